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
}

// pruneRows is the most candidates a pruner takes.
const pruneRows = maxList

func newPruner(w *leafWorker, alpha float64) *pruner {
	return &pruner{
		leafWorker: w,
		alpha256:   int64(alpha * alpha * 256),
		rows:       make([]uint32, pruneRows),
		dead:       make([]bool, pruneRows),
		chosen:     make([]uint32, 0, pruneRows),
		joined:     make([]uint32, 0, len(w.square)),
	}
}

// prune chooses at most degree of the candidates of a row, given by their
// sorted keys: the nearest, then each one that is not nearer, by the factor
// α, to one already chosen than to the row (robust pruning, Subramanya et al.,
// DiskANN, NeurIPS 2019, algorithm 2). With fill, places left over go to the
// nearest of those passed over. The result is valid until the next call.
func (p *pruner) prune(c *codedRows, keys []uint64, degree int, fill bool) []uint32 {
	keys = keys[:min(len(keys), pruneRows)]
	rows, dead := p.rows[:len(keys)], p.dead[:len(keys)]
	for i, key := range keys {
		rows[i] = uint32(key)
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
		dots := p.score(c, row, i+1)
		squares := p.square[i+1 : len(rows)]
		dots, rest, far := dots[:len(squares)], dead[i+1:], keys[i+1:]
		rest, far = rest[:len(squares)], far[:len(squares)]
		for j, s := range squares {
			d := int64(s-2*dots[j]) + int64(p.bias)
			if d*p.alpha256 < int64(vector.KeyDistance(far[j]))<<8 {
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

// reversed are the edges of a graph the other way round.
type reversed struct {
	starts []int
	from   []uint32
}

// into returns the rows that have an edge to r, ascending.
func (v *reversed) into(r uint32) []uint32 {
	return v.from[v.starts[r]:v.starts[r+1]]
}

func reverse(n int, a *adjacency) *reversed {
	v := &reversed{starts: make([]int, n+1)}
	for _, to := range a.next {
		if to != none {
			v.starts[to+1]++
		}
	}
	for i := range n {
		v.starts[i+1] += v.starts[i]
	}
	v.from = make([]uint32, v.starts[n])
	places := slices.Clone(v.starts[:n])
	for r := range n {
		for _, to := range a.row(uint32(r)) {
			if to == none {
				break
			}
			v.from[places[to]] = uint32(r)
			places[to]++
		}
	}
	return v
}

// join adds to the neighbours of r in a the rows of extra, prunes if they are
// too many, and writes the result to b, which may be a.
func (p *pruner) join(c *codedRows, a *adjacency, r uint32, extra []uint32, b *adjacency) {
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
	if len(all) > a.degree {
		all = p.prune(c, p.rank(c, r, all), a.degree, true)
	}
	b.set(r, all)
}
