package graph

import (
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// none ends the neighbours of a row that has fewer than the degree.
const none = ^uint32(0)

// adjacency is the graph itself: degree neighbours a row, the list ended by
// none where it is shorter, no row twice and none its own.
type adjacency struct {
	degree int
	next   []uint32 // n × degree, aligned to 64 bytes
}

func newAdjacency(n, degree int) *adjacency {
	return &adjacency{degree: degree, next: alignedUint32(n * degree)}
}

// row returns all places of a row.
func (a *adjacency) row(r uint32) []uint32 {
	return a.next[int(r)*a.degree:][:a.degree]
}

// neighbours returns the neighbours of a row.
func (a *adjacency) neighbours(r uint32) []uint32 {
	row := a.row(r)
	for n := len(row); n > 0; n-- {
		if row[n-1] != none {
			return row[:n]
		}
	}
	return nil
}

// set makes list, of at most degree rows, the neighbours of r.
func (a *adjacency) set(r uint32, list []uint32) {
	row := a.row(r)
	for i := copy(row, list); i < len(row); i++ {
		row[i] = none
	}
}

// pruner chooses a row's neighbours among candidates. It belongs to one worker.
type pruner struct {
	*leafWorker
	alpha256 int64 // α² in 256ths: distances are squared
	rows     []uint32
	dead     []bool
	chosen   []uint32
	joined   []uint32
	far      []int32
}

// pruneRows is the most candidates a pruner takes.
const pruneRows = maxList

func newPruner(w *leafWorker, alpha float64) *pruner {
	return &pruner{
		leafWorker: w,
		alpha256:   int64(alpha * alpha * 256),
		rows:       make([]uint32, pruneRows),
		dead:       make([]bool, len(w.square)),
		chosen:     make([]uint32, 0, pruneRows),
		joined:     make([]uint32, 0, len(w.square)),
		far:        make([]int32, len(w.square)),
	}
}

// prune chooses at most degree of the candidates of a row, given by their
// sorted keys: the nearest, then each one that is not nearer, by the factor
// α, to one already chosen than to the row (robust pruning, Subramanya et al.,
// DiskANN, NeurIPS 2019, algorithm 2). With fill, places left over go to the
// nearest of those passed over. The result is valid until the next call.
func (p *pruner) prune(c *codedRows, keys []uint64, degree int, fill bool) []uint32 {
	keys = keys[:min(len(keys), pruneRows)]
	rows, dead, reach := p.rows[:len(keys)], p.dead[:len(keys)], p.far[:len(keys)]
	for i, key := range keys {
		rows[i] = uint32(key)
		// d·α² < distance, for whole d.
		reach[i] = int32((int64(vector.KeyDistance(key))<<8 + p.alpha256 - 1) / p.alpha256)
	}
	clear(dead)
	p.load(c, rows)
	p.chosen = p.chosen[:0]
	for i, row := range rows {
		if dead[i] {
			continue
		}
		p.chosen = append(p.chosen, row)
		dead[i] = true
		if len(p.chosen) == degree {
			return p.chosen
		}
		if i+1 == len(rows) {
			break
		}
		dots := p.scorePlace(c, i, i+1)
		rest, near := dead[i+1:], reach[i+1:]
		squares, bias := p.square[i+1:len(rows)], p.bias
		dots, rest, near = dots[:len(squares)], rest[:len(squares)], near[:len(squares)]
		for j, s := range squares {
			if s-2*dots[j]+bias < near[j] {
				rest[j] = true
			}
		}
	}
	if fill && len(p.chosen) < min(degree, len(rows)) {
		n := len(p.chosen)
		for _, row := range rows {
			if len(p.chosen) == degree {
				break
			}
			if !slices.Contains(p.chosen[:n], row) {
				p.chosen = append(p.chosen, row)
			}
		}
	}
	return p.chosen
}

// rank returns the sorted keys of rows by their distance from a. The result is
// valid until the next call.
func (p *pruner) rank(c *codedRows, a uint32, rows []uint32) []uint64 {
	if len(rows) > len(p.leafWorker.square) {
		rows = rows[:len(p.leafWorker.square)]
	}
	p.load(c, rows)
	dots := p.score(c, a, 0)
	n := vector.SelectBelow(dots, p.square[:len(dots)], 1, rows, 2*farther, p.keys)
	bias := uint64(uint32(p.bias)) << 32
	keys := p.keys[:n]
	for i := range keys {
		keys[i] += bias
	}
	if n > pruneRows {
		smallest(keys, pruneRows)
		keys = keys[:pruneRows]
	}
	sortKeys(keys)
	return keys
}

// reversed are edges of a graph the other way round.
type reversed struct {
	memory *region
	starts []uint64
	from   []uint32
}

// into returns the rows that have an edge to r, ascending.
func (v *reversed) into(r uint32) []uint32 {
	return v.from[v.starts[r]:v.starts[r+1]]
}

// reverse collects the edges from the rows lo to hi-1 to those below to. Its
// memory is to be freed.
func reverse(a *adjacency, lo, hi, to int) *reversed {
	count := 0
	for _, next := range a.next[lo*a.degree : hi*a.degree] {
		if next < uint32(to) { // none is not
			count++
		}
	}
	v := &reversed{memory: newRegion(8*(to+2)+4*count, 2)}
	// While places are found, v.starts[i+1] is where the next into i goes.
	v.starts = carveOut[uint64](v.memory, to+2)
	v.from = carveOut[uint32](v.memory, count)
	for _, next := range a.next[lo*a.degree : hi*a.degree] {
		if next < uint32(to) {
			v.starts[next+2]++
		}
	}
	for i := range to {
		v.starts[i+2] += v.starts[i+1]
	}
	for r := lo; r < hi; r++ {
		for _, next := range a.row(uint32(r)) {
			if next < uint32(to) {
				v.from[v.starts[next+1]] = uint32(r)
				v.starts[next+1]++
			}
		}
	}
	return v
}

// join adds to the neighbours of r the rows of extra, and prunes if they are
// too many.
func (p *pruner) join(c *codedRows, a *adjacency, r uint32, extra []uint32) {
	old := a.neighbours(r)
	all := append(p.joined[:0], old...)
	for _, v := range extra {
		if len(all) == cap(all) {
			break // a hub; those left out have it as a neighbour all the same
		}
		if !slices.Contains(old, v) {
			all = append(all, v)
		}
	}
	p.joined = all
	switch {
	case len(all) <= a.degree:
	case len(all)-len(old) <= fewExtra:
		all = p.admit(c, r, len(old), a.degree)
	default:
		all = p.prune(c, p.rank(c, r, all), a.degree, true)
	}
	a.set(r, all)
}

// fewExtra is the number of rows up to which join takes the short way.
const fewExtra = 6

// admit chooses at most degree neighbours of r from p.joined: n old ones, which
// are within the degree, then extra rows. It does so without comparing the old
// ones with each other: an extra row enters if no nearer one stands before it,
// in the sense of prune, and takes the place of the farthest row that it
// stands before itself, or else of the farthest of all. The result is valid
// until the next call.
func (p *pruner) admit(c *codedRows, r uint32, n, degree int) []uint32 {
	all := p.joined // old, then extra
	p.load(c, all)
	far := p.far[:len(all)]
	for i, dot := range p.score(c, r, 0) {
		far[i] = p.square[i] - 2*dot + p.bias
	}
	dead := p.dead[:len(all)]
	clear(dead)
	kept := n
	for x := n; x < len(all); x++ {
		dots := p.scorePlace(c, x, 0)
		worst, stood := -1, false
		for j := range x {
			if dead[j] {
				continue
			}
			d := int64(p.square[j]-2*dots[j]) + int64(p.bias)
			switch {
			case far[j] <= far[x]:
				if d*p.alpha256 < int64(far[x])<<8 {
					dead[x] = true
				}
			case d*p.alpha256 < int64(far[j])<<8:
				if !stood || far[j] > far[worst] {
					worst, stood = j, true
				}
			case !stood && (worst < 0 || far[j] > far[worst]):
				worst = j
			}
			if dead[x] {
				break
			}
		}
		switch {
		case dead[x]:
		case kept < degree:
			kept++
		case worst >= 0:
			dead[worst] = true
		default:
			dead[x] = true // the farthest of all
		}
	}
	p.chosen = p.chosen[:0]
	for i, row := range all {
		if !dead[i] {
			p.chosen = append(p.chosen, row)
		}
	}
	return p.chosen
}
