package inverted_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

// blocks gives the rows of a collection in blocks of odd sizes, each in memory
// of its own that is overwritten afterwards.
type blocks struct {
	*collection
	r *rand.Rand
}

func (b blocks) Each(_ context.Context, visit func(first uint32, offs []uint32, data, valid []byte) error) error {
	for lo := 0; lo < b.Rows(); {
		hi := min(lo+b.r.IntN(500), b.Rows())
		const junk = 5
		offs := []uint32{junk}
		data := make([]byte, junk)
		var valid []byte
		for i := lo; i < hi; i++ {
			data = append(data, b.Data[b.Offs[i]:b.Offs[i+1]]...)
			offs = append(offs, uint32(len(data)))
			if b.Valid != nil {
				valid = append(valid, b.Valid[i])
			}
		}
		if err := visit(uint32(lo), offs, data, valid); err != nil {
			return err
		}
		for i := range data {
			data[i] = 0xa5
		}
		lo = hi
	}
	return nil
}

func TestBuildIsDeterministic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, absent := range []bool{false, true} {
		c := random(r, 20_000, 6, 500, kinds["signed"], absent)
		want := save(t, build(t, c))
		for range 3 {
			require.Equal(t, want, save(t, build(t, blocks{c, r})))
		}
	}
}

func TestCounts(t *testing.T) {
	c := &collection{Vectors: inverted.Vectors{Offs: []uint32{0}}}
	for _, v := range [][]entry{{{3, 1}, {8, 0}}, {}, {{3, 2}, {9, -1}}, {{math.MaxUint32 - 1, 1}}} {
		c.Data = appendSparse(c.Data, v)
		c.Offs = append(c.Offs, uint32(len(c.Data)))
	}
	ix := build(t, c)
	require.Equal(t, 4, ix.Rows())
	require.Equal(t, 3, ix.Terms())
	require.Equal(t, 4, ix.Postings())
	require.Less(t, int64(ix.Bytes()), ix.Size())

	empty := build(t, inverted.Vectors{})
	hits, _, err := empty.Search(nil, c.Data[:8], 3, nil)
	require.NoError(t, err)
	require.Empty(t, hits)
}

func TestMemoryBudget(t *testing.T) {
	c := random(rand.New(rand.NewPCG(2, 2)), 40_000, 10, 3000, kinds["positive"], true)
	ix := build(t, c)
	need := inverted.Memory(ix.Rows(), ix.Postings(), ix.Terms())
	require.GreaterOrEqual(t, need, ix.Size())
	require.Less(t, need, 2*ix.Size())
	got, err := inverted.Build(ctx, c, inverted.Options{MemoryBudget: need})
	require.NoError(t, err)
	require.Equal(t, ix.Size(), got.Size())
	for _, budget := range []int64{1, 50_000, ix.Size()} {
		_, err = inverted.Build(ctx, c, inverted.Options{MemoryBudget: budget})
		require.ErrorIs(t, err, inverted.ErrMemory)
		require.ErrorContains(t, err, "bytes to build")
	}
	_, err = inverted.Build(ctx, c, inverted.Options{MemoryBudget: -1})
	require.ErrorIs(t, err, inverted.ErrInvalid)
}

func TestBuildIsCancelled(t *testing.T) {
	c := random(rand.New(rand.NewPCG(3, 3)), 5000, 3, 10, kinds["positive"], false)
	for after := range 9 {
		ctx, cancel := context.WithCancel(ctx)
		visits := 0
		_, err := inverted.Build(ctx, source{c.Rows(), func(_ int, visit visitor) error {
			return c.Each(ctx, func(first uint32, offs []uint32, data, valid []byte) error {
				if visits == after {
					cancel()
				}
				visits++
				return visit(first, offs, data, valid)
			})
		}}, inverted.Options{})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, after+1, visits)
		cancel()
	}
}

type visitor = func(first uint32, offs []uint32, data, valid []byte) error

// source is a Source made of a function that is told how often it was read.
type source struct {
	rows int
	each func(reading int, visit visitor) error
}

func (s source) Rows() int { return s.rows }

func (s source) Each(ctx context.Context, visit visitor) error {
	n, _ := ctx.Value(readings{}).(*int)
	if n == nil {
		n = new(int)
	}
	*n++
	return s.each(*n, visit)
}

type readings struct{}

func TestBuildRefuses(t *testing.T) {
	one := appendSparse(nil, []entry{{5, 1}, {7, 2}})
	offs := []uint32{0, 16}
	broken := errors.New("broken disk")
	fixed := func(first uint32, offs []uint32, data, valid []byte) func(int, visitor) error {
		return func(_ int, visit visitor) error { return visit(first, offs, data, valid) }
	}
	// changing gives one row first and another then.
	changing := func(then []entry) func(int, visitor) error {
		return func(reading int, visit visitor) error {
			data := one
			if reading > 1 {
				data = appendSparse(nil, then)
			}
			return visit(0, []uint32{0, uint32(len(data))}, data, nil)
		}
	}
	for name, tc := range map[string]struct {
		source source
		want   error
	}{
		"negative rows":    {source{-1, nil}, inverted.ErrInvalid},
		"too many rows":    {source{1 << 31, nil}, inverted.ErrInvalid},
		"fewer rows":       {source{2, fixed(0, offs, one, nil)}, inverted.ErrInvalid},
		"more rows":        {source{0, fixed(0, offs, one, nil)}, inverted.ErrInvalid},
		"another row":      {source{1, fixed(1, offs, one, nil)}, inverted.ErrInvalid},
		"beyond the data":  {source{1, fixed(0, []uint32{0, 24}, one, nil)}, inverted.ErrInvalid},
		"backwards":        {source{1, fixed(0, []uint32{16, 0}, one, nil)}, inverted.ErrInvalid},
		"half a pair":      {source{1, fixed(0, []uint32{0, 12}, one, nil)}, vector.ErrInvalid},
		"too few validity": {source{1, fixed(0, offs, one, []byte{})}, inverted.ErrInvalid},
		"error":            {source{1, func(int, visitor) error { return broken }}, broken},
		"later error": {source{1, func(reading int, visit visitor) error {
			if reading > 1 {
				return broken
			}
			return visit(0, offs, one, nil)
		}}, broken},
		"new term":      {source{1, changing([]entry{{5, 1}, {6, 2}})}, inverted.ErrInvalid},
		"lost term":     {source{1, changing([]entry{{5, 1}})}, inverted.ErrInvalid},
		"greater value": {source{1, changing([]entry{{5, 1}, {7, 3}})}, inverted.ErrInvalid},
		"more postings": {source{2, func(reading int, visit visitor) error {
			data, offs := one, []uint32{0, 16, 16}
			if reading > 1 {
				data, offs = append(one, one...), []uint32{0, 16, 32}
			}
			return visit(0, offs, data, nil)
		}}, inverted.ErrInvalid},
		"more chunks": {source{2 << 14, func(reading int, visit visitor) error {
			// Two rows of one window first, and of two then.
			offs := make([]uint32, 2<<14+1)
			for i := range offs {
				if i > 0 {
					offs[i] += 8
				}
				if i > 1 && reading == 1 || i > 1<<14 {
					offs[i] += 8
				}
			}
			return visit(0, offs, appendSparse(nil, []entry{{5, 1}, {5, 1}}), nil)
		}}, inverted.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := inverted.Build(context.WithValue(ctx, readings{}, new(int)), tc.source, inverted.Options{})
			require.ErrorIs(t, err, tc.want)
		})
	}
}
