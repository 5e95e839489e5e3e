package vector

import (
	"encoding/binary"
	"fmt"
	"math"
)

// BM25Params are what BM25 scores by beside the weights of a query's terms.
type BM25Params struct {
	K1, B   float64
	Average float64 // the mean length of the rows, in terms; more than 0 if any row has a term
}

// bm25 scores rows that hold, for each term of a text, how often it occurs.
type bm25 struct {
	sparseQuery
	p BM25Params
}

// NewBM25Query prepares a query of (term, weight) pairs in the layout of a sparse row, the weight being the term's inverse document frequency times its
// occurrences in the query. Rows are (term, occurrences) pairs. A row's score is
//
//	Σ weight · f·(k1+1) / (f + k1·(1 - b + b·length/average))
//
// over the terms that it shares with the query, f its occurrences of the term, length the sum of all its occurrences (Robertson, Zaragoza: The
// Probabilistic Relevance Framework, 2009, 3.1; the form of Lucene up to version 7, and of Milvus). It is NaN, which enters no TopK, for a row that shares none.
func NewBM25Query(raw []byte, p BM25Params) (*Query, error) {
	q, err := NewQuery(BM25, Sparse, 0, raw)
	if err != nil {
		return nil, err
	}
	if !(p.K1 > 0) || !(p.B >= 0 && p.B <= 1) || !(p.Average >= 0) {
		return nil, fmt.Errorf("%w: BM25 with k1 %v, b %v, mean length %v", ErrInvalid, p.K1, p.B, p.Average)
	}
	q.bm25 = &bm25{q.sparse, p}
	return q, nil
}

// BM25 returns what a BM25 query scores by; ok is false for others.
func (q *Query) BM25() (p BM25Params, ok bool) {
	if q.bm25 == nil {
		return p, false
	}
	return q.bm25.p, true
}

// Norm is what a row's length, the sum of its occurrences, adds to the denominators of its Parts.
func (p BM25Params) Norm(length float64) float64 {
	norm := p.K1 * (1 - p.B)
	if p.Average > 0 {
		norm += p.K1 * p.B * length / p.Average
	}
	return norm
}

// Part is what f occurrences of a term of the given weight add to the score of a row. A score is the sum of its parts by ascending terms.
func (p BM25Params) Part(weight, f, norm float64) float64 {
	return weight * f * (p.K1 + 1) / (f + norm)
}

// scoreSparse scores one sparse row.
func (q *Query) scoreSparse(row []byte) float32 {
	if q.bm25 != nil {
		return q.bm25.score(row)
	}
	return q.sparse.dot(row)
}

func (s *bm25) score(row []byte) float32 {
	length, shares := 0.0, false
	for at := row; len(at) >= sparsePair; at = at[sparsePair:] {
		length += float64(f32at(at, 1))
		bit := binary.LittleEndian.Uint32(at) * hashFactor >> (s.shift & 31)
		shares = shares || s.filter[bit/64]>>(bit%64)&1 != 0
	}
	if !shares {
		return float32(math.NaN())
	}
	norm := s.p.Norm(length)
	sum, found := 0.0, false
	for ; len(row) >= sparsePair; row = row[sparsePair:] {
		if w, ok := s.weight(binary.LittleEndian.Uint32(row)); ok {
			sum += s.p.Part(w, float64(f32at(row, 1)), norm)
			found = true
		}
	}
	if !found {
		return float32(math.NaN())
	}
	return clamp(sum)
}

// weight returns what a query has for an index.
func (s *sparseQuery) weight(index uint32) (float64, bool) {
	for slot := index * hashFactor >> (s.shift & 31) >> slotBits; s.index[slot] != noIndex; slot = s.next(slot) {
		if s.index[slot] == index {
			return s.value[slot], true
		}
	}
	return 0, false
}
