package segment

import (
	"context"
	"io"
	"math"
	"sync"
	"unsafe"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// denseIndex is an index of dense vectors: it proposes rows by their codes, and scores those by the vectors of the column.
type denseIndex struct {
	g         *graph.Index
	col       *vectorColumn
	file      *fileMap  // what g lies in; nil if that is memory of our own
	searchers sync.Pool // of *denseSearcher
}

func newDenseIndex(g *graph.Index, col *vectorColumn, file *fileMap) *denseIndex {
	return &denseIndex{g: g, col: col, file: file}
}

func (d *denseIndex) memory() int64 {
	n := int64(d.g.Bytes())
	if d.file != nil {
		n = max(0, n-int64(len(d.file.data)))
	}
	return n
}

func (d *denseIndex) kind() string {
	if d.g.Flat() {
		return "codes"
	}
	return "graph"
}

func (d *denseIndex) save(w io.Writer, id graph.Identity) error { return d.g.Save(w, id) }

func (d *denseIndex) close() error {
	d.g = nil
	return d.file.close()
}

// denseSearcher holds the scratch space of one search.
type denseSearcher struct {
	col     *vectorColumn
	ctx     context.Context
	query   *vector.Query
	floats  []float32
	options graph.SearchOptions
	rows    []unsafe.Pointer // of one exact
	at      []uint32         // the same as offsets in the mapped table
	block   []byte           // the same, copied
}

func (d *denseIndex) search(ctx context.Context, q *vector.Query, o IndexSearch, dead []uint64, dst []vector.Hit) (hits []vector.Hit, _ IndexStats, err error) {
	s, _ := d.searchers.Get().(*denseSearcher)
	if s == nil {
		s = &denseSearcher{col: d.col}
		s.options.Exact = s.exact
	}
	was := faultsPanic()
	defer func() {
		// After a fault the searcher is left to the collector.
		if file, fault := catchFault(was, recover(), d.file, d.col.file); fault != nil {
			hits, err = dst, fault
			if file == d.file {
				err = &indexFault{fault}
			}
		}
	}()
	s.ctx, s.query, s.floats = ctx, q, q.AppendFloats(s.floats[:0])
	s.options.Ef, s.options.Refine, s.options.Dead, s.options.Allowed = d.ef(o), o.Refine, dead, o.Allowed
	s.options.Plan, s.options.Matches = o.Plan, o.Matches
	hits, stats, err := d.g.Search(dst, s.floats, o.K, &s.options)
	s.ctx, s.query, s.options.Dead, s.options.Allowed = nil, nil, nil, nil
	clear(s.rows)
	d.searchers.Put(s)
	return hits, IndexStats{
		Hops: stats.Hops, Distances: stats.Distances, Exact: stats.Exact, Plan: stats.Plan,
		Certain: stats.Plan != graph.PlanWalk && len(hits) < o.K || o.Matches > 0 && len(hits) >= o.Matches,
	}, err
}

// spread is how the candidates of a search fall with the share of the rows that a segment holds, at equal recall over all segments: measured,
// S segments of equal size each need S^-0.65 of what one would.
const spread = 0.65

// ef is the number of candidates for this segment; 0 leaves it to the graph.
func (d *denseIndex) ef(o IndexSearch) int {
	if o.Total <= d.g.Rows() {
		return o.Ef
	}
	ef := o.Ef
	if ef == 0 {
		ef = d.g.DefaultEf(o.Total, o.K)
	}
	return max(int(math.Ceil(float64(ef)*math.Pow(float64(d.g.Rows())/float64(o.Total), spread))), o.K)
}

// indexFault is the error of an index whose file can no longer be read.
type indexFault struct{ error }

func (e *indexFault) Unwrap() error { return e.error }

// exact scores rows by their vectors: where they lie in the mapped table, or gathered into one block.
func (s *denseSearcher) exact(rows []uint32, out []float32) error {
	col, mapped := s.col, s.col.file != nil && len(s.col.file.data) <= math.MaxUint32
	s.rows, s.at = s.rows[:0], s.at[:0]
	for _, row := range rows {
		p, err := col.row(s.ctx, row)
		if err != nil {
			return err
		}
		vector.Prefetch(unsafe.Slice((*uint32)(p), col.width/4))
		mapped = mapped && col.file.holds(uintptr(p))
		if mapped {
			s.at = append(s.at, uint32(uintptr(p)-col.file.base()))
		}
		s.rows = append(s.rows, p)
	}
	if mapped {
		s.query.GatherAt(col.file.data, s.at, out)
		return nil
	}
	s.block = s.block[:0]
	for _, p := range s.rows {
		s.block = append(s.block, unsafe.Slice((*byte)(p), col.width)...)
	}
	s.query.Scan(s.block, len(rows), out)
	return nil
}

// emptyIndex is the index of a field that the segment does not hold: no row has a vector.
type emptyIndex struct{}

func (emptyIndex) search(_ context.Context, _ *vector.Query, _ IndexSearch, _ []uint64, dst []vector.Hit) ([]vector.Hit, IndexStats, error) {
	return dst, IndexStats{}, nil
}
func (emptyIndex) save(io.Writer, graph.Identity) error { return nil }
func (emptyIndex) memory() int64                        { return 0 }
func (emptyIndex) kind() string                         { return "none" }
func (emptyIndex) close() error                         { return nil }
