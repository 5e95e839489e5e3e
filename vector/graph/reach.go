package graph

import (
	"math"

	"github.com/selkiedb/selkie/vector"
)

// A walk need not expand as many rows for every query. Where the next candidate
// is farther than the k-th best by a factor, what lies beyond seldom leads to a
// better one (distance adaptive beam search, Al-Jazzazi et al., 2025); where many
// lie within it, the query is among rows that are hard to tell apart, and more
// than ef are worth their time. So ef is the mean: a walk expands ef/2 rows at
// least, about 2·ef at most, and in between ends by the factor.
//
// An ef of less than 2k would leave no room for a factor. There the walk
// goes on until the k nearest are expanded, below 3k/2 only some of them, half at
// the least ef, k: data on which even that has a good recall are common.
//
// What factor makes ef the mean depends on the data: within a ball they grow as a
// power of the radius. reach is that factor, less one, for reachRank rows about a
// row, reachBase of which make the radius, in reachUnits; others follow
// by the power.
const (
	reachBase  = 10
	reachRank  = 64
	reachUnits = 4096
	maxReach   = 8 * reachUnits
	reachRows  = 256 // sample of rows
)

// A walk expands ef/leastShare to ef·mostShare rows.
const (
	leastShare = 2
	mostShare  = 2
)

// measureReach sets reach, from the codes that the graph was built by, in whole
// numbers: it is the same on every machine. It stays 0, which makes every walk
// expand ef rows, where distances of codes are no distances (IP) or rows are too
// few or too much alike.
func (ix *Index) measureReach() {
	ix.reach = 0
	if ix.metric == vector.IP || ix.n <= 4*mostShare*reachRank {
		return
	}
	const size = mostShare*reachRank + 1
	w := ix.newWalker()
	var all [reachRows][size]int64
	probes := 0
	for i := range reachRows {
		label := uint32(int64(i) * int64(ix.n) / reachRows)
		w.useCode(ix, ix.at(label))
		if w.walk(ix, size) < size {
			continue
		}
		// The nearest is the row itself, or one of the same code.
		d := &all[probes]
		for j, key := range w.pool[:size] {
			d[j] = int64(vector.KeyDistance(key)) - int64(vector.KeyDistance(w.pool[0]))
		}
		if d[reachBase] > 0 {
			probes++
		}
	}
	if probes < reachRows/2 {
		return
	}
	within := func(reach int) int {
		sum := 0
		for i := range probes {
			d := &all[i]
			limit := d[reachBase] * int64(reachUnits+reach)
			count := reachRank / leastShare
			for count < size-1 && d[count+1]*reachUnits <= limit {
				count++
			}
			sum += count
		}
		return sum
	}
	lo, hi := 1, maxReach
	for lo < hi {
		mid := (lo + hi) / 2
		if within(mid) < reachRank*probes {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < maxReach {
		ix.reach = lo
	}
}

// horizon tells a walk when it has seen enough. The zero value never does.
type horizon struct {
	rank   int     // of the pool, whose distance counts; 0: none
	least  int     // rows to expand in any case
	keep   int     // rows to keep in any case
	factor float64 // of that distance
	// A distance d of codes is of the square distance's (d+zero) times a constant.
	zero float64
}

// look makes the walk for k of ef rows on average end as reach says. It returns
// the size of the pool.
func (w *walker) look(ix *Index, k, ef int) int {
	w.horizon = horizon{}
	rank := max(k, reachBase)
	if ix.reach == 0 || ef < rank {
		return ef
	}
	p := &w.prepared
	offset, slope := p.offset, p.slope
	if ix.metric == vector.Cosine {
		offset, slope = 1-offset, -slope
	}
	ratio := float64(ef) / float64(rank)
	switch {
	case 2*ef < 3*rank:
		rank, ratio = ef-rank/2, 1
	case ef < 2*rank:
		ratio = 2*ratio - 2 // from 1 to 2, as before and after
	}
	power := math.Log(ratio) / math.Log(float64(reachRank)/reachBase)
	w.horizon = horizon{
		rank: rank, least: ef / leastShare, keep: ef,
		factor: math.Pow(1+float64(ix.reach)/reachUnits, power),
		zero:   offset / slope,
	}
	return min(mostShare*ef, ix.n)
}

// sight returns the distance beyond which rows are not expanded, given the pool.
func (h *horizon) sight(pool []uint64) int32 {
	if h.rank == 0 || len(pool) < h.rank {
		return math.MaxInt32
	}
	d := h.factor*(float64(vector.KeyDistance(pool[h.rank-1]))+h.zero) - h.zero
	return int32(min(max(d, math.MinInt32), math.MaxInt32))
}
