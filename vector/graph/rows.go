package graph

import (
	"context"
	"encoding/binary"
	"math"
	"unsafe"

	"github.com/selkiedb/selkie/vector"
)

// codedRows are n rows of codes with what their distances need. Rows have the
// numbers 0 to n-1: row offsets while a graph is built, labels after that.
type codedRows struct {
	n      int
	stride int
	codes  []byte  // n × stride, aligned to 64 bytes
	square []int32 // n; Σy² with y the codes less 128
	sum    []int32 // n; Σy. While building only
	// norm is, for IP, the length of each vector: its code is that of the vector
	// divided by it. The graph is one of directions, and square is needed only
	// while it is built.
	norm []float32
}

// at returns the code of one row.
func (c *codedRows) at(row uint32) []byte {
	return c.codes[int(row)*c.stride:][:c.stride]
}

// part returns the rows lo to hi-1 as rows of their own.
func (c *codedRows) part(lo, hi int) *codedRows {
	return &codedRows{
		n: hi - lo, stride: c.stride,
		codes:  c.codes[lo*c.stride : hi*c.stride],
		square: c.square[lo:hi],
		sum:    c.sum[lo:hi],
	}
}

func newCodedRows(n, stride int) *codedRows {
	return &codedRows{
		n: n, stride: stride,
		codes:  alignedBytes(n * stride),
		square: make([]int32, n),
		sum:    make([]int32, n),
	}
}

// encodeRows streams src into codes. Row r gets the number place[r], or r if
// place is nil. All of it is share of the build.
func encodeRows(ctx context.Context, src Source, z *quantizer, place []uint32, workers int, said *progress, share float64) (*codedRows, error) {
	c := newCodedRows(src.Rows(), z.rowBytes())
	if z.metric == vector.IP {
		c.norm = make([]float32, c.n)
	}
	encoders := make([]*encoder, workers)
	for i := range encoders {
		encoders[i] = newEncoder(z)
	}
	d := src.Dim()
	err := readBlocks(ctx, src, func(lo, hi int, rows []float32) {
		each(workers, hi-lo, 32, func(worker, from, to int) {
			e := encoders[worker]
			for i := from; i < to; i++ {
				row := uint32(lo + i)
				if place != nil {
					row = place[row]
				}
				x := rows[i*d : (i+1)*d]
				c.square[row], c.sum[row] = e.encode(x, c.at(row))
				if c.norm != nil {
					c.norm[row] = norm(x)
				}
			}
		})
		said.add(share, hi-lo, src.Rows())
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// norm returns the length of x.
func norm(x []float32) float32 {
	s := 0.0
	for _, v := range x {
		s += float64(float64(v) * float64(v))
	}
	return float32(min(math.Sqrt(s), math.MaxFloat32))
}

// rowScorer measures the distances of one row to a list of others, exactly:
//
//	|a-b|² = square[b] - 2·dot + bias,  dot = Σ y[a]·c[b]
//
// where bias depends on a alone. It belongs to one goroutine.
type rowScorer struct {
	query  vector.CodeQuery
	signed []int8
	bias   int32
}

// reset makes row a of c the one that is compared.
func (s *rowScorer) reset(c *codedRows, a uint32) {
	s.resetCode(c.at(a))
	s.bias = c.square[a] + 256*c.sum[a]
}

// resetCode is reset without the bias.
func (s *rowScorer) resetCode(code []byte) {
	if len(s.signed) != len(code) {
		s.signed = make([]int8, len(code))
	}
	signCodes(s.signed, code)
	s.query.Reset(vector.Code8, s.signed)
}

// signCodes writes code less 128. Where a row is padded the result is -128,
// which meets zeros. REQUIRES: both have a multiple of 8 bytes.
func signCodes(signed []int8, code []byte) {
	n := len(code) / 8
	from := unsafe.Slice((*[8]byte)(unsafe.Pointer(unsafe.SliceData(code))), n)
	to := unsafe.Slice((*[8]byte)(unsafe.Pointer(unsafe.SliceData(signed))), n)
	for i := range from {
		binary.LittleEndian.PutUint64(to[i][:], binary.LittleEndian.Uint64(from[i][:])^0x8080808080808080)
	}
}
