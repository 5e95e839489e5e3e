package graph

import (
	"fmt"
	"math"

	"github.com/selkiedb/selkie/vector"
)

// Plan is a way to find the nearest among the rows that a filter lets through.
type Plan uint8

// The plans. A search chooses one, unless it is told; see SearchOptions.Plan.
const (
	PlanAuto     Plan = iota
	PlanWalk          // no filter: a walk of the graph
	PlanCodes         // no filter, or a filter: the codes of all rows are scanned
	PlanScan          // the codes of the rows that match are scanned
	PlanPost          // a walk goes deeper, and what does not match is left out after it
	PlanInside        // a walk keeps what matches in a list of its own, until nothing can better that
	PlanPostings      // of other indexes: the postings of the query's dimensions are merged
)

var planNames = [...]string{"auto", "graph", "scan of codes", "scan of matches", "graph, filter after", "graph, filter inside", "postings"}

// String gives the plan's name in a few words.
func (p Plan) String() string {
	if int(p) < len(planNames) {
		return planNames[p]
	}
	return fmt.Sprintf("plan(%d)", uint8(p))
}

// A walk that leaves out rows after it has to go deeper, the fewer of the rows
// around the query match. How many do is not known beforehand: a filter may have
// to do with what lies around. So a walk stops after a few rows and looks at how
// many of the nearest it has seen match.
const (
	probeHops   = 24   // rows expanded before the walk looks
	probeSample = 128  // of the nearest rows seen, how many it looks at
	probeTrust  = 2    // the sample counts as if it had so many more rows, matching as often as all do
	probeSize   = 320  // labels that are kept on the way, unless more are known to be needed
	poolPrice   = 1024 // the depth at which a walk costs twice as much a row
	maxDepth    = 1 << 14
)

// depth returns how far a walk must go so that about as much is found as by one
// of size ef without a filter, if a share of the rows around the query match;
// and enough rows match.
func depth(ef, enough int, share float64) int {
	d := max(float64(ef)/math.Sqrt(share), depthSlack*float64(enough)/share)
	return int(min(d, maxDepth))
}

const depthSlack = 1.2

// filteredWalk returns the keys of near labels that o allows, sorted, by walks
// that go as deep as it takes; nil where a scan of the matches is cheaper, or
// too few are found.
func (w *walker) filteredWalk(ix *Index, matches, k, ef, refine int, o *SearchOptions) []uint64 {
	overall := float64(matches) / float64(ix.n)
	enough := max(k, min(refine, ef))
	size := depth(ef, enough, overall)
	probed := o.Plan == PlanPost // it is to go on whatever it sees
	if !probed {
		size = min(size+size/2, max(ef, probeSize))
	}
	for {
		n := w.start(ix, size)
		before := w.stats
		to := size
		if !probed {
			probed = true
			n = w.deepen(ix, n, probeHops)
			sample := min(n, probeSample)
			share := (float64(w.matching(ix, sample, o)) + probeTrust*overall) / float64(sample+probeTrust)
			to = depth(ef, enough, share)
			if w.dearer(before, to, matches) {
				return nil
			}
			if to > size {
				size = to
				continue
			}
		}
		n = w.deepen(ix, n, to)
		found := w.collect(ix, n, o)
		if len(found) >= enough || len(found) >= matches {
			w.partial = len(found) < matches
			return found
		}
		share := (float64(len(found)) + overall) / float64(n+1)
		next := max(depth(ef, enough, share), size+size/2)
		if size >= maxDepth || n < size && to == size || o.Plan != PlanPost && w.dearer(before, 2*next, matches) {
			break
		}
		size = min(next, maxDepth)
	}
	return nil
}

// dearer tells whether a walk of some depth costs more than scanning the
// matches, by what the walk has cost so far. A distance of a walk costs about
// thrice one of a scan, but on the first rows a walk finds about thrice as many
// new neighbours as later on. Deep walks pay for their long pools.
func (w *walker) dearer(before Stats, depth, matches int) bool {
	hops := max(w.stats.Hops-before.Hops, 1)
	each := float64(w.stats.Distances-before.Distances) / float64(hops)
	return each*float64(depth)*(1+float64(depth)/poolPrice) > float64(matches)
}

// matching counts the first of the pool that o allows.
func (w *walker) matching(ix *Index, first int, o *SearchOptions) (m int) {
	for _, key := range w.pool[:first] {
		if o.allows(ix.rowOf(keyLabel(key))) {
			m++
		}
	}
	return m
}

// collect gathers in results those of the first n of the pool that o allows.
func (w *walker) collect(ix *Index, n int, o *SearchOptions) []uint64 {
	w.results = w.results[:0]
	for _, key := range w.pool[:n] {
		if o.allows(ix.rowOf(keyLabel(key))) {
			w.results = append(w.results, key)
		}
	}
	return w.results
}

// deepen walks on from the first n labels of the pool until the nearest to of
// them are expanded. It returns the number of labels then in the pool.
func (w *walker) deepen(ix *Index, n, to int) int {
	pool, size := w.pool, len(w.pool)
	farAhead := ix.n*ix.stride > prefetchBytes
	for c := 0; c < min(n, to); {
		if pool[c]&expanded != 0 {
			c++
			continue
		}
		at := len(w.touched)
		j, taken := c, 0
		for ; j < min(n, to) && taken < 2; j++ {
			if pool[j]&expanded == 0 {
				pool[j] |= expanded
				w.fresh(ix, keyLabel(pool[j]))
				taken++
			}
		}
		w.stats.Hops += taken
		for ahead := 0; j < n && j < c+16 && ahead < 2; j++ {
			if pool[j]&expanded == 0 {
				vector.Prefetch(ix.row(keyLabel(pool[j])))
				ahead++
			}
		}
		labels := w.touched[at:]
		if len(labels) == 0 {
			c++
			continue
		}
		if farAhead {
			vector.PrefetchRows(ix.codes, ix.stride, labels)
		}
		limit := int32(math.MaxInt32)
		if n == size {
			limit = vector.KeyDistance(pool[n-1])
		}
		m := w.below(ix, labels, limit)
		lowest := c + 1
		for _, key := range w.keys[:m] {
			var place int
			n, place = insert(pool, n, size, poolKey(key))
			lowest = min(lowest, place)
		}
		c = lowest
	}
	return n
}
