package partition

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
)

// weighTexts gives the terms of queries the weights that they have among all live rows of the snapshot. n.Queries hold the terms and how often they occur.
//
// With N texts of which n have a term, its weight is ln((N-n+0.5)/(n+0.5)+1), as in Milvus and Lucene.
func (s *Snapshot) weighTexts(ctx context.Context, n Nearest) ([]*vector.Query, error) {
	var terms []uint32
	for _, q := range n.Queries {
		for raw := q.Pairs(); len(raw) >= 8; raw = raw[8:] {
			terms = append(terms, binary.LittleEndian.Uint32(raw))
		}
	}
	slices.Sort(terms)
	terms = slices.Compact(terms)
	sum := segment.TermCounts{With: make([]int64, len(terms))}
	for _, v := range s.views {
		c, err := segment.CountTerms(ctx, v, n.Field, terms)
		if err != nil {
			return nil, err
		}
		sum.Add(c)
	}
	p := vector.BM25Params{}
	p.K1, p.B = n.Text.Numbers()
	if sum.Texts > 0 {
		p.Average = float64(sum.Length) / float64(sum.Texts)
	}
	out := make([]*vector.Query, len(n.Queries))
	for i, q := range n.Queries {
		weighted := slices.Clone(q.Pairs())
		for raw := weighted; len(raw) >= 8; raw = raw[8:] {
			at, _ := slices.BinarySearch(terms, binary.LittleEndian.Uint32(raw))
			with, all := float64(sum.With[at]), float64(sum.Texts)
			times := math.Float32frombits(binary.LittleEndian.Uint32(raw[4:]))
			weight := float64(times) * math.Log((all-with+0.5)/(with+0.5)+1)
			binary.LittleEndian.PutUint32(raw[4:], math.Float32bits(float32(weight)))
		}
		var err error
		if out[i], err = vector.NewBM25Query(weighted, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Prepare makes a search ready for the snapshot, once for all times that it is searched. A search of texts takes its counts from the whole snapshot, of which
// it may find the rows of some partitions only.
func (s *Snapshot) Prepare(ctx context.Context, n Nearest) (Nearest, error) {
	if n.Text == nil {
		return n, nil
	}
	var err error
	n.Queries, err = s.weighTexts(ctx, n)
	n.Text = nil
	return n, err
}

// leftOut reports whether a search finds nothing in a view.
func (s *Snapshot) leftOut(n Nearest, view int) bool {
	return n.Within != nil && !slices.Contains(n.Within, s.parts[view])
}
