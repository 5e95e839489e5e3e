package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

const (
	bigDim  = 1024
	bigRows = 300 // more than a MiB of vectors: they get a table of their own
)

func bigVector(key int64) []float32 {
	rng := rand.New(rand.NewPCG(uint64(key), 7))
	v := make([]float32, bigDim)
	for i := range v {
		v[i] = rng.Float32()
	}
	return v
}

// bigStore is a closed store of two segments with vectors.sst each.
func bigStore(t testing.TB) image {
	ctx := context.Background()
	fs := vfs.NewMem()
	opts := &engine.Options{FS: fs, LogFileBytes: 4 << 20, CompactBytes: -1}
	eng, err := engine.Open(imageDir, opts)
	require.NoError(t, err)
	c, err := eng.CreateCollection(ctx, schema.New("big").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", bigDim)))
	require.NoError(t, err)
	for lo := int64(0); lo < 2*bigRows; lo += bigRows {
		var ids []int64
		var flat []float32
		for id := lo; id < lo+bigRows; id++ {
			ids, flat = append(ids, id), append(flat, bigVector(id)...)
		}
		_, err = c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", bigDim, flat))
		require.NoError(t, err)
		_, err = c.Flush(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, eng.Close())
	return capture(t, fs)
}

// checkBig reads everything in every way. It returns what the store said of damage, and what must never be.
func (m image) checkBig(about ...string) (out outcome, err error) {
	ctx := context.Background()
	judge := func(e error) {
		var ce *engine.CorruptionError
		if !errors.As(e, &ce) || !errors.Is(e, engine.ErrCorrupt) || !slices.Contains(about, ce.Path) {
			err = errors.Join(err, fmt.Errorf("not what was damaged: %w", e))
		}
	}
	eng, oerr := engine.Open(imageDir, &engine.Options{FS: m.fs(), ReadOnly: true, CacheBytes: 8 << 20})
	if oerr != nil {
		judge(oerr)
		return refused, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	c, cerr := eng.Collection("big")
	if cerr != nil {
		return out, cerr
	}
	n, failed := int64(0), false
	for row, rerr := range c.All(ctx, "*") {
		if rerr != nil {
			judge(rerr)
			out, failed = reported, true
			break
		}
		if row.Int64("id") != n || !slices.Equal(row.FloatVector("v"), bigVector(n)) {
			return out, errors.Join(err, wrong("row %d is %d with another vector", n, row.Int64("id")))
		}
		n++
	}
	if !failed && n != 2*bigRows || c.NumEntities() != 2*bigRows {
		err = errors.Join(err, wrong("%d rows, NumEntities %d", n, c.NumEntities()))
	}
	hits, serr := c.Search(ctx, query.Nearest("v", bigVector(bigRows+5)).Metric(vector.L2).Limit(2))
	if serr != nil {
		judge(serr)
		return reported, err
	}
	if len(hits) != 2 || hits[0].Key.Int != bigRows+5 || hits[0].Score != 0 {
		err = errors.Join(err, wrong("hits %v", hits))
	}
	return out, err
}

// TestDamagedVectors damages the tables that hold only vectors.
func TestDamagedVectors(t *testing.T) {
	if thinner > 1 && !*long {
		t.Skip("megabytes are slow under the race detector, and nothing here is concurrent")
	}
	m := bigStore(t)
	var names []string
	for _, n := range m.names() {
		if path.Base(n) == "vectors.sst" {
			names = append(names, n)
		}
	}
	require.Len(t, names, 2)
	out, err := m.checkBig()
	require.NoError(t, err)
	require.Equal(t, harmless, out)

	rng := seeded(t)
	var counts [nOutcomes]atomic.Int64
	c := newTally(t)
	try := func(what string, m image, about ...string) {
		c.jobs <- func() {
			out, err := m.checkBig(about...)
			if err != nil && c.failed.Add(1) <= 8 {
				t.Errorf("%s: %v", what, err)
			}
			counts[out].Add(1)
		}
	}
	for i, name := range names {
		raw := m[name]
		stride, ends := 50_000, 60
		if *long {
			stride, ends = 601, 1
		}
		flip := func(at int) {
			b := bytes.Clone(raw)
			b[at] ^= []byte{0xff, 1 << rng.IntN(8)}[at%2]
			try(fmt.Sprintf("byte %d", at), m.with(name, b), name)
		}
		for at := rng.IntN(stride); at < len(raw); at += stride {
			flip(at)
		}
		for at := len(raw) - 6000 + rng.IntN(ends); at < len(raw); at += ends { // index, properties, footer
			flip(at)
		}
		for range 10 {
			cut := rng.IntN(len(raw))
			try(fmt.Sprintf("cut at %d", cut), m.with(name, raw[:cut:cut]), name)
		}
		other := names[1-i]
		try("of the other segment", m.with(name, m[other]), name)
		try("swapped", m.with(name, m[other]).with(other, raw), name, other)
		try("removed", m.with(name, nil), name)
		try("another kind", m.with(name, m[strings.Replace(name, "vectors", "rows", 1)]), name)
	}
	close(c.jobs)
	c.wg.Wait()
	figures(t, "%d refused by Open, %d reported by reads, %d harmless, %d wrong",
		counts[refused].Load(), counts[reported].Load(), counts[harmless].Load(), c.failed.Load())
	require.Positive(t, counts[reported].Load(), "vectors are checked when they are read")
}
