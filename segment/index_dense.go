package segment

import (
	"context"
	"io"
	"math"
	"sync"
	"unsafe"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

const maxInt = math.MaxInt

// denseIndex is an index of dense vectors: it proposes rows by their codes, and scores those by the vectors of the column.
type denseIndex struct {
	g         *graph.Index
	col       *vectorColumn
	searchers sync.Pool // of *denseSearcher
}

func newDenseIndex(g *graph.Index, col *vectorColumn) *denseIndex {
	return &denseIndex{g: g, col: col}
}

func (d *denseIndex) memory() int64 { return int64(d.g.Bytes()) }

func (d *denseIndex) kind() string {
	if d.g.Flat() {
		return "codes"
	}
	return "graph"
}

func (d *denseIndex) save(w io.Writer, id graph.Identity) error { return d.g.Save(w, id) }

// denseSearcher holds the scratch space of one search.
type denseSearcher struct {
	col     *vectorColumn
	ctx     context.Context
	query   *vector.Query
	floats  []float32
	options graph.SearchOptions
	at      []unsafe.Pointer
}

func (d *denseIndex) search(ctx context.Context, q *vector.Query, o *IndexSearch, dead []uint64, dst []vector.Hit) ([]vector.Hit, IndexStats, error) {
	s, _ := d.searchers.Get().(*denseSearcher)
	if s == nil {
		s = &denseSearcher{col: d.col}
		s.options.Exact = s.exact
	}
	s.ctx, s.query, s.floats = ctx, q, q.AppendFloats(s.floats[:0])
	s.options.Ef, s.options.Refine, s.options.Dead, s.options.Allowed = o.Ef, o.Refine, dead, o.Allowed
	hits, stats, err := d.g.Search(dst, s.floats, o.K, &s.options)
	s.ctx, s.query, s.options.Dead, s.options.Allowed = nil, nil, nil, nil
	d.searchers.Put(s)
	return hits, IndexStats(stats), err
}

// exact scores rows by their vectors.
func (s *denseSearcher) exact(rows []uint32, out []float32) error {
	s.at = s.at[:0]
	for _, row := range rows {
		p, err := s.col.row(s.ctx, row)
		if err != nil {
			return err
		}
		s.at = append(s.at, p)
	}
	for i, p := range s.at {
		s.query.Scan(unsafe.Slice((*byte)(p), s.col.width), 1, out[i:i+1])
	}
	return nil
}

// emptyIndex is the index of a field that the segment does not hold: no row has a vector.
type emptyIndex struct{}

func (emptyIndex) search(_ context.Context, _ *vector.Query, _ *IndexSearch, _ []uint64, dst []vector.Hit) ([]vector.Hit, IndexStats, error) {
	return dst, IndexStats{}, nil
}
func (emptyIndex) save(io.Writer, graph.Identity) error { return nil }
func (emptyIndex) memory() int64                        { return 0 }
func (emptyIndex) kind() string                         { return "none" }

// vectorSource gives a build the rows of a field, dead ones included: those are left out when it is searched.
type vectorSource struct {
	ctx    context.Context
	v      *SealedView
	f      *schema.Field
	col    *vectorColumn
	absent []uint64
}

func newVectorSource(ctx context.Context, s *Sealed, col *vectorColumn, f *schema.Field) (*vectorSource, error) {
	src := &vectorSource{ctx: ctx, v: &SealedView{s: s}, f: f, col: col}
	if col.c.nulls == 0 {
		return src, nil
	}
	src.absent = make([]uint64, (src.Rows()+63)/64)
	return src, src.v.Scan(ctx, f, 0, s.man.Rows, func(first uint32, d column.Data) error {
		for i := range d.Rows {
			if d.IsNull(i) {
				src.absent[(first+uint32(i))/64] |= 1 << ((first + uint32(i)) % 64)
			}
		}
		return nil
	})
}

// Rows returns the number of rows.
func (s *vectorSource) Rows() int { return int(s.v.s.man.Rows) }

// Dim returns the number of elements of a row.
func (s *vectorSource) Dim() int { return s.f.Dim }

// Absent marks the rows whose vector is null; nil if there are none.
func (s *vectorSource) Absent() []uint64 { return s.absent }

// Read decodes the rows lo to hi-1.
func (s *vectorSource) Read(lo, hi int, dst []float32) error {
	dst = dst[:0]
	return s.v.Scan(s.ctx, s.f, uint32(lo), uint32(hi), func(_ uint32, d column.Data) error {
		dst = vector.AppendDecoded(dst, s.col.element, d.Fixed)
		return nil
	})
}
