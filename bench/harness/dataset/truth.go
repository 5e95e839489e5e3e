package dataset

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/selkiedb/selkie/vector"
)

// blockBytes is the size of the blocks of rows that queries are compared with: it stays in a core's cache.
const blockBytes = 1 << 20

// exact finds the depth nearest rows of each query by looking at all of them, on all cores. step is told the blocks
// that are done, of how many.
func exact(ctx context.Context, rows rowSource, queries []float32, metric vector.Metric, depth int, step func(done, of int)) ([]int32, error) {
	n, dim := rows.Len(), rows.Dim()
	count := len(queries) / dim
	depth = min(depth, n)
	prepared := make([]*vector.Query, count)
	tops := make([]*vector.TopK, count)
	for i := range prepared {
		q, err := vector.NewQuery(metric, vector.Float32, dim, bytesOf(queries[i*dim:(i+1)*dim]))
		if err != nil {
			return nil, err
		}
		prepared[i], tops[i] = q, vector.NewTopK(metric, depth)
	}

	workers := runtime.GOMAXPROCS(0)
	perBlock := max(blockBytes/(4*dim), 1)
	block := make([]float32, perBlock*dim)
	scores := make([][]float32, workers)
	for w := range scores {
		scores[w] = make([]float32, perBlock)
	}
	for lo := 0; lo < n; lo += perBlock {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		hi := min(lo+perBlock, n)
		if err := rows.Read(lo, hi, block[:(hi-lo)*dim]); err != nil {
			return nil, err
		}
		raw := bytesOf(block[:(hi-lo)*dim])
		var next atomic.Int64
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= count {
						return
					}
					prepared[i].Scan(raw, hi-lo, scores[w])
					tops[i].PushBlock(scores[w][:hi-lo], uint32(lo), nil)
				}
			})
		}
		wg.Wait()
		step(hi, n)
	}

	truth := make([]int32, 0, count*depth)
	for _, t := range tops {
		for _, h := range t.Sorted() {
			truth = append(truth, int32(h.Row))
		}
	}
	return truth, nil
}

// rowSource gives rows by number.
type rowSource interface {
	Len() int
	Dim() int
	Read(lo, hi int, dst []float32) error
}

// Len is the number of rows.
func (s *Set) Len() int { return s.Rows }

// rowSource of a Set: Meta's Dim is a field.
type setRows struct{ *Set }

func (r setRows) Dim() int { return r.Set.Dim }

// Recall is the share of the k nearest rows that answers hold, over the queries from..to-1: answers has k row numbers
// for each, -1 where there are fewer. A row that is as near as the k-th true one counts as well (a tie); a row that is
// answered twice counts once. alive says which rows there are; nil: all. It must leave k of those that the set's truth
// holds for each query.
func (s *Set) Recall(answers []int32, from, to, k int, alive func(row int32) bool) (float64, error) {
	hits := 0
	row := make([]float32, s.Dim)
	score := make([]float32, 1)
	for i := from; i < to; i++ {
		want, err := s.nearest(i, k, alive)
		if err != nil {
			return 0, err
		}
		var q *vector.Query
		bound := float32(0)
		found := answers[(i-from)*k : (i-from+1)*k]
	rows:
		for at, id := range found {
			if id < 0 || int(id) >= s.Rows || alive != nil && !alive(id) {
				continue
			}
			for _, before := range found[:at] {
				if before == id {
					continue rows
				}
			}
			for _, t := range want {
				if t == id {
					hits++
					continue rows
				}
			}
			read := func(id int32) error {
				if err := s.Read(int(id), int(id)+1, row); err != nil {
					return err
				}
				q.Scan(bytesOf(row), 1, score)
				return nil
			}
			if q == nil {
				var err error
				if q, err = vector.NewQuery(s.Metric, vector.Float32, s.Dim, bytesOf(s.Query(i))); err != nil {
					return 0, err
				}
				if err := read(want[len(want)-1]); err != nil {
					return 0, err
				}
				bound = score[0]
			}
			if err := read(id); err != nil {
				return 0, err
			}
			if !s.Metric.Better(bound, score[0]) {
				hits++
			}
		}
	}
	return min(float64(hits)/float64((to-from)*min(k, s.Depth)), 1), nil
}

// nearest are the true k nearest rows of a query that are alive.
func (s *Set) nearest(query, k int, alive func(row int32) bool) ([]int32, error) {
	truth := s.Truth[query*s.Depth : (query+1)*s.Depth]
	k = min(k, s.Depth)
	if alive == nil {
		return truth[:k], nil
	}
	var kept []int32
	for _, row := range truth {
		if len(kept) < k && alive(row) {
			kept = append(kept, row)
		}
	}
	if len(kept) < k {
		return nil, fmt.Errorf("query %d: of its %d nearest rows %d are alive, not %d", query, s.Depth, len(kept), k)
	}
	return kept, nil
}

// Deleted reports whether a row is among the given percentage of rows that are deleted, spread evenly at random.
func Deleted(row int32, percent int) bool {
	h := uint32(row) * 2654435761
	h ^= h >> 15
	return int(h*2246822519>>16)%100 < percent
}

func encodeTruth(truth []int32) []byte {
	var raw []byte
	for _, t := range truth {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(t))
	}
	return raw
}
