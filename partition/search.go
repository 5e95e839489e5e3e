package partition

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/internal/force"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// Hit is a row that a search found.
type Hit struct {
	Key   column.Key
	Score float32 // the metric's own number: see vector.Metric
	ref   segment.RowRef
}

// Nearest is a search for the K rows nearest to each of the queries.
type Nearest struct {
	Field   *schema.Field
	Key     *schema.Field
	Metric  vector.Metric
	K       int
	Queries []*vector.Query

	Ef       int     // candidates, as if all rows were in one segment; 0: what the index thinks right
	RefineK  float64 // K times this many candidates get exact scores; 0: what the index thinks right
	Exact    bool    // scan every row, whatever indexes there are
	Parallel int     // goroutines at most; less than 2: the caller's alone

	Filter  *filter.Expr // rows that may be found; nil: all
	Matches *Matches     // the same, already found; Filter is not looked at then
	Range   *query.Range // scores that may be found; nil: all

	Text   *schema.Function // a search of texts that Prepare has not seen yet: what made the field
	Within []*Partition     // partitions whose rows may be found; nil: all of the snapshot

	Explain *query.Receipt // gets what was done; nil: nobody asks
}

// candidate is a row that one segment's search found.
type candidate struct {
	score float32
	view  uint32
	row   uint32
}

// Search returns the best rows of each query, best first; rows of equal score in the order of their primary keys. A row whose vector is
// null is not found. Segments with an index of the field and metric are searched by it, all others row by row; scores are exact either way.
func (s *Snapshot) Search(ctx context.Context, n Nearest) ([][]Hit, error) {
	w := searches.Get().(*search)
	defer w.end()
	w.begin(s, n)
	if n.Explain != nil {
		s.explainAll(n.Explain)
	}
	if w.match = n.Matches; w.match == nil && n.Filter != nil && !n.Filter.AlwaysTrue() {
		var err error
		if w.match, err = s.Match(ctx, n.Filter, n.Explain); err != nil {
			return nil, err
		}
	}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	out := make([][]Hit, len(n.Queries))
	for q := range out {
		hits, err := w.rank(ctx, q)
		if err != nil {
			return nil, err
		}
		out[q] = hits
	}
	return out, nil
}

var searches = sync.Pool{New: func() any { return &search{} }}

// search holds the scratch space of one call.
type search struct {
	Nearest
	s     *Snapshot
	total float64  // rows in sealed segments
	match *Matches // nil without a filter

	mu    sync.Mutex // guards lists while goroutines search side by side
	lists [][]candidate

	units []unit
	rows  []uint32
	ints  []int64
	order []uint32
}

// unit is a piece of work: some of the queries in one segment.
type unit struct {
	view   uint32
	lo, hi int
}

func (w *search) begin(s *Snapshot, n Nearest) {
	w.s, w.Nearest, w.total = s, n, 0
	for len(w.lists) < len(n.Queries) {
		w.lists = append(w.lists, nil)
	}
	for q := range n.Queries {
		w.lists[q] = w.lists[q][:0]
	}
	w.units = w.units[:0]
	pieces := 1
	if n.Parallel > 1 {
		pieces = min(n.Parallel, len(n.Queries))
	}
	for i, view := range s.views {
		if s.leftOut(n, i) {
			continue
		}
		_, sealed := view.(*segment.SealedView)
		if sealed {
			w.total += float64(view.Rows())
		}
		p := 1
		if sealed && !n.Exact { // a scan reads the rows once for all queries
			p = pieces
		}
		for k := range p {
			w.units = append(w.units, unit{uint32(i), k * len(n.Queries) / p, (k + 1) * len(n.Queries) / p})
		}
	}
}

// maxKept bounds the memory that a search leaves behind for the next.
const maxKept = 1 << 16

func (w *search) end() {
	kept := 0
	for _, l := range w.lists {
		kept += cap(l)
	}
	if kept > maxKept {
		w.lists = nil
	}
	w.s, w.match, w.Nearest = nil, nil, Nearest{}
	searches.Put(w)
}

func (w *search) run(ctx context.Context) error {
	if workers := min(w.Parallel, runtime.GOMAXPROCS(0), len(w.units)); workers > 1 {
		return w.runParallel(ctx, workers)
	}
	scan := scans.Get().(*scan)
	defer scans.Put(scan)
	for _, u := range w.units {
		if err := w.do(ctx, scan, u); err != nil {
			return err
		}
	}
	return nil
}

// runParallel is apart from run because its goroutines have variables put on the heap.
func (w *search) runParallel(ctx context.Context, workers int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			scan := scans.Get().(*scan)
			defer scans.Put(scan)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(w.units) {
					return
				}
				if err := w.do(ctx, scan, w.units[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// do searches one unit, by the segment's index if it has one that fits.
func (w *search) do(ctx context.Context, scan *scan, u unit) error {
	view := w.s.views[u.view]
	sealed, ok := view.(*segment.SealedView)
	opts := w.indexSearch(ctx)
	if w.match != nil {
		if set := w.match.sets[u.view]; set != nil {
			if set.Count == 0 {
				return nil
			}
			opts.Allowed, opts.Matches = set.Words, set.Count
		}
	}
	if ok && !w.Exact {
		for q := u.lo; q < u.hi; q++ {
			begin := w.now()
			hits, stats, ok, err := sealed.SearchIndex(ctx, w.Field, w.Queries[q], opts, scan.hits[:0])
			if err != nil {
				return err
			}
			if ok {
				hits, ok = narrow(hits, w.Range, w.K)
			}
			if !ok { // no index, or it was dropped meanwhile, or it did not come as far as the range
				u.lo = q
				return w.scan(ctx, scan, view, u)
			}
			scan.hits = hits
			w.add(q, u.view, hits)
			w.note(u.view, begin, stats.Plan.String(), stats, 1)
		}
		return nil
	}
	return w.scan(ctx, scan, view, u)
}

// indexSearch is how each segment is searched.
func (w *search) indexSearch(ctx context.Context) segment.IndexSearch {
	o := segment.IndexSearch{K: w.K, Ef: w.Ef, Total: int(w.total), Plan: graph.Plan(force.PlanOf(ctx))}
	if w.RefineK > 0 {
		o.Refine = int(math.Ceil(w.RefineK * float64(w.K)))
	}
	return o
}

func (w *search) scan(ctx context.Context, scan *scan, view segment.View, u unit) error {
	before, err := keyBefore(ctx, view)
	if err != nil {
		return err
	}
	queries := w.Queries[u.lo:u.hi]
	var set *segment.RowSet
	if w.match != nil {
		set = w.match.sets[u.view]
	}
	scan.within = w.Range
	begin := w.now()
	scored, err := scan.run(ctx, view, w.Field, w.Metric, w.K, queries, set, before)
	if err != nil {
		return err
	}
	n := scored * len(queries)
	w.note(u.view, begin, "scan of vectors", segment.IndexStats{Distances: n, Exact: n, Certain: true}, len(queries))
	for q := range queries {
		w.add(u.lo+q, u.view, scan.top[q].Sorted())
	}
	return nil
}

func (w *search) add(q int, view uint32, hits []vector.Hit) {
	if w.Parallel > 1 {
		w.mu.Lock()
		defer w.mu.Unlock()
	}
	for _, h := range hits {
		w.lists[q] = append(w.lists[q], candidate{h.Score, view, h.Row})
	}
}

// rank returns the K best candidates of a query. Keys are read for those alone, and for what shares the last one's score.
func (w *search) rank(ctx context.Context, q int) ([]Hit, error) {
	list := w.lists[q]
	slices.SortFunc(list, func(a, b candidate) int {
		switch {
		case w.Metric.Better(a.score, b.score):
			return -1
		case w.Metric.Better(b.score, a.score):
			return 1
		}
		return 0
	})
	n := min(len(list), w.K)
	for n > 0 && n < len(list) && list[n].score == list[n-1].score {
		n++
	}
	list = list[:n]
	if n == 0 {
		return nil, nil
	}
	hits := make([]Hit, n)
	for i, c := range list {
		hits[i] = Hit{Score: c.score, ref: segment.RowRef{View: c.view, Row: c.row}}
	}
	if err := w.readKeys(ctx, hits); err != nil {
		return nil, err
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		switch {
		case w.Metric.Better(a.Score, b.Score):
			return -1
		case w.Metric.Better(b.Score, a.Score):
			return 1
		}
		return a.Key.Compare(b.Key)
	})
	return hits[:min(n, w.K)], nil
}

// readKeys fills in the primary keys, segment by segment.
func (w *search) readKeys(ctx context.Context, hits []Hit) error {
	w.order = w.order[:0]
	for i := range hits {
		w.order = append(w.order, uint32(i))
	}
	slices.SortFunc(w.order, func(a, b uint32) int {
		x, y := hits[a].ref, hits[b].ref
		if x.View != y.View {
			return int(x.View) - int(y.View)
		}
		return int(int64(x.Row) - int64(y.Row))
	})
	for order := w.order; len(order) > 0; {
		view := hits[order[0]].ref.View
		w.rows = w.rows[:0]
		for _, i := range order {
			if hits[i].ref.View != view {
				break
			}
			w.rows = append(w.rows, hits[i].ref.Row)
		}
		mine := order[:len(w.rows)]
		order = order[len(w.rows):]
		if err := w.readKeysOf(ctx, view, hits, mine); err != nil {
			return err
		}
	}
	return nil
}

// readKeysOf fills in the keys of the hits listed, all of one view, whose rows are in w.rows.
func (w *search) readKeysOf(ctx context.Context, view uint32, hits []Hit, mine []uint32) error {
	if sealed, ok := w.s.views[view].(*segment.SealedView); ok && w.Key.Type == schema.TypeInt64 {
		w.ints = slices.Grow(w.ints[:0], len(mine))[:len(mine)]
		if err := sealed.IntKeys(ctx, w.rows, w.ints); err != nil {
			return err
		}
		for j, i := range mine {
			hits[i].Key = column.Key{Int: w.ints[j]}
		}
		return nil
	}
	keys, err := w.s.keys(ctx, w.Key, int(view), w.rows)
	if err != nil {
		return err
	}
	for j, i := range mine {
		hits[i].Key = keys.At(j)
	}
	return nil
}

// keys reads the primary keys of rows of one view.
func (s *Snapshot) keys(ctx context.Context, key *schema.Field, view int, rows []uint32) (column.Keys, error) {
	b := column.NewBuilder(key.Width(), false)
	if err := s.views[view].Read(ctx, key, rows, b); err != nil {
		return column.Keys{}, err
	}
	return column.KeysOf(key, b.Data()), nil
}

var scans = sync.Pool{New: func() any { return &scan{} }}

// scan holds the scratch space of a search over one segment.
type scan struct {
	top    []*vector.TopK
	hits   []vector.Hit
	scores []float32
	dead   []uint64
	rows   []uint32
	within *query.Range
}

func (s *scan) run(ctx context.Context, view segment.View, f *schema.Field, m vector.Metric, k int, queries []*vector.Query, set *segment.RowSet, before func(a, b uint32) bool) (scored int, err error) {
	for len(s.top) < len(queries) {
		s.top = append(s.top, vector.NewTopK(m, 0))
	}
	for q := range queries {
		s.top[q].Reset(m, k, before)
	}
	if sealed, ok := view.(*segment.SealedView); ok && set != nil && set.Count < int(view.Rows())/gatherShare {
		if scored, ok, err = s.gather(ctx, sealed, f, queries, set); ok || err != nil {
			return scored, err
		}
	}
	dead := view.Dead().Words(s.dead, 0, view.Rows())
	if set != nil {
		if dead == nil {
			dead = slices.Grow(s.dead[:0], len(set.Words))[:len(set.Words)]
			clear(dead)
		}
		for i, w := range set.Words {
			dead[i] |= ^w
		}
	}
	if dead != nil {
		s.dead = dead
	}
	return int(view.Rows()), view.Scan(ctx, f, 0, view.Rows(), func(first uint32, d column.Data) error {
		if cap(s.scores) < d.Rows {
			s.scores = make([]float32, d.Rows)
		}
		scores := s.scores[:d.Rows]
		for q, query := range queries {
			if d.Width == 0 {
				query.ScanSparse(d.Offs, d.Bytes, scores)
			} else {
				query.Scan(d.Fixed, d.Rows, scores)
			}
			if d.Valid != nil {
				for i, ok := range d.Valid {
					if ok == 0 {
						scores[i] = float32(math.NaN()) // enters no list
					}
				}
			}
			leaveOutside(scores, s.within)
			s.top[q].PushBlock(scores, first, dead)
		}
		return ctx.Err()
	})
}

// keyBefore tells which of two rows of a view has the smaller primary key; nil if the rows lie in that order.
func keyBefore(ctx context.Context, view segment.View) (func(a, b uint32) bool, error) {
	g, ok := view.(*segment.GrowingView)
	if !ok {
		return nil, ctx.Err()
	}
	return g.KeyBefore, nil
}
