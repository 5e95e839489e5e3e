package engine_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// The benchmarks here compare the engine with what the disk does without it, in turns in one run, because machines are noisy: each
// reports medians and their ratio.

const benchDim = 100

func benchVectors(rows int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, rows*benchDim)
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
	return v
}

func benchCollection(b testing.TB, dir string, o *engine.Options, with func(*schema.Schema) *schema.Schema) (*engine.Engine, *engine.Collection) {
	eng, err := engine.Open(dir, o)
	require.NoError(b, err)
	s := schema.New("bench").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", benchDim))
	if with != nil {
		s = with(s)
	}
	c, err := eng.CreateCollection(context.Background(), s)
	require.NoError(b, err)
	return eng, c
}

// writeLoop writes n pieces of a size to a file and syncs each, and returns the time.
func writeLoop(b testing.TB, n, size int) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
	require.NoError(b, err)
	piece := make([]byte, size)
	for i := range piece {
		piece[i] = byte(i * 7)
	}
	start := time.Now()
	for range n {
		_, err := f.Write(piece)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
	}
	took := time.Since(start)
	require.NoError(b, f.Close())
	return took
}

// insertLoop inserts n batches of rows from each of several goroutines and returns the time.
func insertLoop(b testing.TB, c *engine.Collection, vectors []float32, first int64, n, rows, writers int) time.Duration {
	ctx := context.Background()
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			ids := make([]int64, rows)
			for i := range n {
				for j := range ids {
					ids[j] = first + int64((w*n+i)*rows+j)
				}
				at := i * rows % (len(vectors)/benchDim - rows + 1)
				_, err := c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("vector", benchDim, vectors[at*benchDim:(at+rows)*benchDim]))
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkDurableBatches: batches of 1,000 rows of 100 dimensions, one writer, each synced, beside a loop that writes and syncs the
// same bytes to a file.
func BenchmarkDurableBatches(b *testing.B) {
	const rows, batches, rounds = 1000, 200, 15
	vectors := benchVectors(rows * 50)
	for b.Loop() {
		var plain, ours []time.Duration
		eng, c := benchCollection(b, b.TempDir(), nil, nil)
		for r := range rounds {
			plain = append(plain, writeLoop(b, batches, rows*(benchDim*4+8)))
			ours = append(ours, insertLoop(b, c, vectors, int64(r*rows*batches), batches, rows, 1))
		}
		require.NoError(b, eng.Close())
		p, o := median(plain), median(ours)
		b.ReportMetric(p.Seconds()/o.Seconds(), "of-plain-loop")
		b.ReportMetric(float64(rows*batches)/o.Seconds(), "rows/s")
		b.ReportMetric(float64(p.Microseconds())/batches, "plain-us/batch")
		b.ReportMetric(float64(o.Microseconds())/batches, "selkie-us/batch")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkDurableSingleRows: one row a call, synced, from one goroutine and from 64, beside a loop that writes and syncs the bytes
// of one row.
func BenchmarkDurableSingleRows(b *testing.B) {
	const n, rounds = 500, 5
	vectors := benchVectors(2000)
	for b.Loop() {
		var plain, one, many []time.Duration
		eng, c := benchCollection(b, b.TempDir(), nil, nil)
		next := int64(0)
		for range rounds {
			plain = append(plain, writeLoop(b, n, benchDim*4+8))
			one = append(one, insertLoop(b, c, vectors, next, n, 1, 1))
			next += n
			many = append(many, insertLoop(b, c, vectors, next, n, 1, 64))
			next += 64 * n
		}
		require.NoError(b, eng.Close())
		rate := func(d time.Duration, n int) float64 { return float64(n) / d.Seconds() }
		p, o, m := rate(median(plain), n), rate(median(one), n), rate(median(many), 64*n)
		b.ReportMetric(p, "plain-syncs/s")
		b.ReportMetric(o, "one-writer-rows/s")
		b.ReportMetric(m, "64-writers-rows/s")
		b.ReportMetric(o/p, "one-of-plain")
		b.ReportMetric(m/o, "64-of-one")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkDuplicateCheck: what refusing duplicate keys costs, at a million rows with random keys, as a share of the insert's time.
func BenchmarkDuplicateCheck(b *testing.B) {
	const rows, fill, batches, rounds = 1000, 1_000_000, 60, 7
	vectors := benchVectors(rows * 50)
	rng := rand.New(rand.NewPCG(3, 4))
	for b.Loop() {
		type side struct {
			eng  *engine.Engine
			c    *engine.Collection
			took []time.Duration
		}
		sides := make([]*side, 2)
		for i := range sides {
			s := &side{}
			s.eng, s.c = benchCollection(b, b.TempDir(), nil, func(s *schema.Schema) *schema.Schema {
				if i == 1 {
					s = s.WithDuplicateKeys()
				}
				return s
			})
			sides[i] = s
		}
		insert := func(s *side, ids []int64) {
			_, err := s.c.Insert(context.Background(), column.Int64("id", ids), column.FloatVectorFlat("vector", benchDim, vectors[:len(ids)*benchDim]))
			require.NoError(b, err)
		}
		random := func(n int) []int64 {
			ids := make([]int64, n)
			for i := range ids {
				ids[i] = rng.Int64()
			}
			return ids
		}
		for range fill / (rows * 50) {
			ids := random(rows * 50)
			for _, s := range sides {
				insert(s, ids)
			}
		}
		for r := range rounds * batches {
			ids := random(rows)
			for i := range sides {
				s := sides[(i+r)%2]
				start := time.Now()
				insert(s, ids)
				s.took = append(s.took, time.Since(start))
			}
		}
		checked, unchecked := median(sides[0].took), median(sides[1].took)
		for _, s := range sides {
			require.NoError(b, s.eng.Close())
		}
		b.ReportMetric(float64(checked.Microseconds()), "checked-us/batch")
		b.ReportMetric(float64(unchecked.Microseconds()), "unchecked-us/batch")
		b.ReportMetric(100*(checked.Seconds()-unchecked.Seconds())/checked.Seconds(), "%cost")
		b.ReportMetric(0, "ns/op")
	}
}

// BenchmarkReopen: a clean close of a million flushed rows, then the time from Open to the first Get's answer.
func BenchmarkReopen(b *testing.B) {
	const rows, fill = 50_000, 1_000_000
	vectors := benchVectors(rows)
	dir := b.TempDir()
	eng, c := benchCollection(b, dir, nil, nil)
	insertLoop(b, c, vectors, 0, fill/rows, rows, 1)
	_, err := c.Flush(context.Background())
	require.NoError(b, err)
	require.NoError(b, eng.Close())
	for b.Loop() {
		start := time.Now()
		eng, err := engine.Open(dir, nil)
		require.NoError(b, err)
		opened := time.Since(start)
		c, err := eng.Collection("bench")
		require.NoError(b, err)
		got, err := c.Get(context.Background(), column.IntKeys(fill/2), "vector")
		require.NoError(b, err)
		require.Equal(b, 1, got.Len())
		b.ReportMetric(float64(opened.Microseconds())/1000, "open-ms")
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "first-get-ms")
		require.NoError(b, eng.Close())
	}
}

// BenchmarkFlush: the rate at which a growing segment becomes a sealed one.
func BenchmarkFlush(b *testing.B) {
	const rows = 250_000
	vectors := benchVectors(50_000)
	for b.Loop() {
		eng, c := benchCollection(b, b.TempDir(), &engine.Options{SegmentBytes: -1}, nil)
		insertLoop(b, c, vectors, 0, rows/50_000, 50_000, 1)
		start := time.Now()
		r, err := c.Flush(context.Background())
		require.NoError(b, err)
		b.ReportMetric(float64(r.Bytes)/time.Since(start).Seconds()/1e6, "MB/s")
		require.NoError(b, eng.Close())
	}
}

// BenchmarkGrowingMemory: the memory of a growing segment beside the bytes of its columns.
func BenchmarkGrowingMemory(b *testing.B) {
	const rows = 200_000
	vectors := benchVectors(1000)
	for b.Loop() {
		eng, c := benchCollection(b, b.TempDir(), &engine.Options{SegmentBytes: -1}, nil)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		insertLoop(b, c, vectors, 0, rows/1000, 1000, 1)
		runtime.GC()
		runtime.ReadMemStats(&after)
		raw := float64(rows * (benchDim*4 + 8))
		counted := eng.Metrics().GrowingBytes
		heap := float64(after.HeapAlloc) - float64(before.HeapAlloc)
		b.ReportMetric((heap-1.15*raw)/rows, "B/row-over-1.15x")
		b.ReportMetric(heap/raw, "heap/raw")
		b.ReportMetric(float64(counted)/raw, "counted/raw")
		require.NoError(b, eng.Close())
	}
}

// BenchmarkFlushEveryInsert: one row, then a flush, many times: what each costs in syncs of the machine, in how many segments it ends, and how
// often each byte was written.
func BenchmarkFlushEveryInsert(b *testing.B) {
	const n = 2000
	vectors := benchVectors(n)
	ctx := context.Background()
	for b.Loop() {
		plain := writeLoop(b, 200, benchDim*4+8) / 200
		eng, c := benchCollection(b, b.TempDir(), &engine.Options{CompactIdle: time.Second}, nil)
		start := time.Now()
		most := 0
		for i := range n {
			insertLoop(b, c, vectors[i*benchDim:(i+1)*benchDim], int64(i), 1, 1, 1)
			_, err := c.Flush(ctx)
			require.NoError(b, err)
			most = max(most, len(c.Segments()))
		}
		took := time.Since(start) / n
		end := len(c.Segments())
		for deadline := time.Now().Add(time.Minute); len(c.Segments()) > 1 && time.Now().Before(deadline); {
			time.Sleep(100 * time.Millisecond)
		}
		m := eng.Metrics()
		b.ReportMetric(float64(plain.Microseconds()), "sync-us")
		b.ReportMetric(float64(took.Microseconds()), "insert+flush-us")
		b.ReportMetric(took.Seconds()/plain.Seconds(), "syncs/flush")
		b.ReportMetric(float64(most), "segments-at-most")
		b.ReportMetric(float64(end), "segments-at-the-end")
		b.ReportMetric(float64(len(c.Segments())), "segments-when-idle")
		b.ReportMetric(m.WriteAmplification(), "write-amplification")
		b.ReportMetric(0, "ns/op")
		require.NoError(b, eng.Close())
	}
}

// BenchmarkIterate walks over 200,000 rows of a sealed segment in the order of their keys, vectors included.
func BenchmarkIterate(b *testing.B) {
	const rows = 200_000
	eng, c := benchCollection(b, b.TempDir(), nil, nil)
	vectors := benchVectors(50_000)
	insertLoop(b, c, vectors, 0, rows/50_000, 50_000, 1)
	_, err := c.Flush(context.Background())
	require.NoError(b, err)
	n := 0
	for b.Loop() {
		for _, err := range c.All(context.Background(), "vector") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
	require.NoError(b, eng.Close())
}
