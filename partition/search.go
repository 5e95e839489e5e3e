package partition

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
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
}

// Search scans every live row of the snapshot and returns the best of each query, best first; rows of equal score in the order of
// their primary keys. A row whose vector is null is not found.
func (s *Snapshot) Search(ctx context.Context, n Nearest) ([][]Hit, error) {
	out := make([][]Hit, len(n.Queries))
	scan := scans.Get().(*scan)
	defer scans.Put(scan)
	for i, view := range s.views {
		if err := scan.run(ctx, view, n); err != nil {
			return nil, err
		}
		for q := range n.Queries {
			hits := scan.top[q].Sorted()
			if len(hits) == 0 {
				continue
			}
			rows := make([]uint32, len(hits))
			for j, h := range hits {
				rows[j] = h.Row
			}
			keys, err := s.keys(ctx, n.Key, i, rows)
			if err != nil {
				return nil, err
			}
			for j, h := range hits {
				out[q] = append(out[q], Hit{Key: keys.At(j), Score: h.Score, ref: segment.RowRef{View: uint32(i), Row: h.Row}})
			}
		}
	}
	for q := range out {
		slices.SortFunc(out[q], func(a, b Hit) int {
			switch {
			case n.Metric.Better(a.Score, b.Score):
				return -1
			case n.Metric.Better(b.Score, a.Score):
				return 1
			}
			return a.Key.Compare(b.Key)
		})
		out[q] = out[q][:min(len(out[q]), n.K)]
	}
	return out, nil
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
	scores []float32
	dead   []uint64
}

func (s *scan) run(ctx context.Context, view segment.View, n Nearest) error {
	before, err := keyBefore(ctx, view)
	if err != nil {
		return err
	}
	for len(s.top) < len(n.Queries) {
		s.top = append(s.top, vector.NewTopK(n.Metric, 0))
	}
	for q := range n.Queries {
		s.top[q].Reset(n.Metric, n.K, before)
	}
	dead := view.Dead().Words(s.dead, 0, view.Rows())
	if dead != nil {
		s.dead = dead
	}
	return view.Scan(ctx, n.Field, 0, view.Rows(), func(first uint32, d column.Data) error {
		if cap(s.scores) < d.Rows {
			s.scores = make([]float32, d.Rows)
		}
		scores := s.scores[:d.Rows]
		for q, query := range n.Queries {
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
