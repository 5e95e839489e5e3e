package graph

import (
	"context"
	"math/rand/v2"
	"slices"
)

// leaves are overlapping groups of rows that lie near each other. Each row is
// in several; rows of a leaf ascend.
type leaves struct {
	rows   []uint32
	ends   []int // leaf i is rows[ends[i-1]:ends[i]]
	memory *region
}

func (l *leaves) count() int { return len(l.ends) }

func (l *leaves) leaf(i int) []uint32 {
	lo := 0
	if i > 0 {
		lo = l.ends[i-1]
	}
	return l.rows[lo:l.ends[i]]
}

func (l *leaves) add(rows []uint32) {
	l.rows = append(l.rows, rows...)
	l.ends = append(l.ends, len(l.rows))
}

// carver carves rows into leaves by balls, as in PiPNN (Rubel et al., 2026):
//
//  1. Of a group of rows some are drawn as leaders.
//  2. Each row joins the groups of its nearest leaders: several on the first
//     two levels, so that neighbours parted by one boundary meet within
//     another, and one below.
//  3. Groups that are still too large are carved again.
//
// A group is carved in pieces by all workers; the outcome does not depend on
// their number.
type carver struct {
	*codedRows
	maxLeaf int
	fan     [2]int // groups that a row joins on the first and second level
	seed    uint64
	workers []*leafWorker
	*progress
}

const (
	maxLeaders  = 1000
	carvePiece  = 2048 // rows of a group that one worker takes at a time
	maxLevels   = 24   // beyond it, groups are cut up as they come
	tinyDivisor = 16   // groups below maxLeaf/tinyDivisor are put together
)

// group is a set of rows still to be carved.
type group struct {
	rows    []uint32
	leaders []uint32
	fan     int
	chosen  []uint16 // fan places in leaders for each of rows
}

func (c *carver) carve(ctx context.Context) (*leaves, error) {
	// A row is in as many leaves as it may choose, or fewer.
	out := &leaves{memory: newRegion(4*c.n*c.fan[0]*c.fan[1], 1)}
	out.rows = carveOut[uint32](out.memory, c.n*c.fan[0]*c.fan[1])[:0]
	level, err := c.carveInto(ctx, out)
	if err != nil {
		out.memory.free()
		return nil, err
	}
	c.add(shareCarve, max(2-level, 0), 2)
	return out, nil
}

// carveInto carves all rows and returns the number of levels that took.
func (c *carver) carveInto(ctx context.Context, out *leaves) (level int, err error) {
	// The rows of a level's groups, and of the next one's.
	rows := newRegion(4*c.n, 1)
	defer func() { rows.free() }()
	all := carveOut[uint32](rows, c.n)
	for i := range all {
		all[i] = uint32(i)
	}
	if len(all) <= c.maxLeaf {
		out.add(all)
		return 0, nil
	}
	groups := []group{{rows: all}}
	for ; len(groups) > 0; level++ {
		if level == maxLevels {
			for _, g := range groups {
				c.cut(g.rows, out)
			}
			break
		}
		size := 0
		for i := range groups {
			c.draw(&groups[i], level, i)
			size += len(groups[i].rows) * groups[i].fan
		}
		chosen := newRegion(2*size, len(groups))
		for i := range groups {
			groups[i].chosen = carveOut[uint16](chosen, len(groups[i].rows)*groups[i].fan)
		}
		if err := c.choose(ctx, groups, level); err != nil {
			chosen.free()
			return level, err
		}
		members := newRegion(4*size, len(groups))
		var next []group
		for i := range groups {
			next = c.divide(&groups[i], next, out, carveOut[uint32](members, len(groups[i].chosen)))
		}
		chosen.free()
		rows.free()
		groups, rows = next, members
	}
	return level, nil
}

// draw picks a group's leaders.
func (c *carver) draw(g *group, level, number int) {
	n := len(g.rows)
	count := n * 3 / c.maxLeaf
	g.fan = 1
	if level < len(c.fan) {
		g.fan = c.fan[level]
	}
	if level == 0 {
		count = max(n/(4*c.maxLeaf), 16)
	}
	count = min(max(count, g.fan+2), maxLeaders, n)
	g.fan = min(g.fan, count)
	r := rand.New(rand.NewPCG(c.seed, uint64(level)<<40|uint64(number)))
	g.leaders = make([]uint32, 0, count)
	seen := make(map[uint32]bool, count)
	for len(g.leaders) < count {
		row := g.rows[r.IntN(n)]
		if !seen[row] {
			seen[row] = true
			g.leaders = append(g.leaders, row)
		}
	}
}

// choose finds the nearest leaders of all rows of all groups.
func (c *carver) choose(ctx context.Context, groups []group, level int) error {
	type piece struct{ group, lo, hi int }
	var pieces []piece
	all := 0
	for i, g := range groups {
		all += len(g.rows)
		for lo := 0; lo < len(g.rows); lo += carvePiece {
			pieces = append(pieces, piece{i, lo, min(lo+carvePiece, len(g.rows))})
		}
	}
	each(len(c.workers), len(pieces), 1, func(worker, at, _ int) {
		if ctx.Err() != nil {
			return
		}
		p, w := pieces[at], c.workers[worker]
		g := &groups[p.group]
		w.load(c.codedRows, g.leaders)
		for i := p.lo; i < p.hi; i++ {
			w.nearest(c.codedRows, g.rows[i], g.chosen[i*g.fan:(i+1)*g.fan])
		}
		if level < 2 {
			c.add(shareCarve/2, p.hi-p.lo, all)
		}
	})
	return ctx.Err()
}

// divide forms the groups that a group's rows have chosen: leaves go to out,
// larger ones to next, with their rows in members.
func (c *carver) divide(g *group, next []group, out *leaves, members []uint32) []group {
	sizes := make([]int, len(g.leaders)+1)
	for _, l := range g.chosen {
		sizes[l+1]++
	}
	for i := range g.leaders {
		sizes[i+1] += sizes[i]
	}
	places := slices.Clone(sizes)
	for i, l := range g.chosen {
		members[places[l]] = g.rows[i/g.fan]
		places[l]++
	}
	var tiny []uint32
	flush := func() {
		if len(tiny) > 0 {
			slices.Sort(tiny)
			out.add(slices.Compact(tiny))
			tiny = tiny[:0]
		}
	}
	for i := range g.leaders {
		rows := members[sizes[i]:sizes[i+1]]
		switch {
		case len(rows) < c.maxLeaf/tinyDivisor:
			tiny = append(tiny, rows...)
			if len(tiny) > c.maxLeaf/2 {
				flush()
			}
		case len(rows) <= c.maxLeaf:
			out.add(rows)
		case len(rows) == len(g.rows):
			c.cut(rows, out) // all alike: no leader tells them apart
		default:
			next = append(next, group{rows: rows})
		}
	}
	flush()
	return next
}

// cut makes leaves of rows as they come.
func (c *carver) cut(rows []uint32, out *leaves) {
	for len(rows) > c.maxLeaf {
		out.add(rows[:c.maxLeaf])
		rows = rows[c.maxLeaf:]
	}
	out.add(rows)
}
