package segment_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
)

// Readers at every LSN while one writer appends and deletes: each view shows the rows and the dead of its LSN and nothing of a younger
// one. Batch n holds the keys n*3 .. n*3+2 and kills the first row of batch n-1.
func TestGrowingReadersBesideWriter(t *testing.T) {
	ctx := context.Background()
	s := segmenttest.Finish(t, schema.New("c").With(schema.VarChar("id", 20).PrimaryKey(), schema.Int64("n"), schema.VarChar("s", 2000).Nullable(), schema.FloatVector("v", 40)))
	const batches = 1500
	rng := rand.New(rand.NewPCG(1, 1))
	text := make([]byte, 2000)
	for i := range text {
		text[i] = 'a' + byte(rng.IntN(26))
	}
	key := func(row int) string { return string(rune('a'+row%7)) + string(column.Key{Int: int64(row)}.String()) }
	g := segment.NewGrowing(1, s, created)
	var visible atomic.Uint64 // batches that readers may look at
	var wg sync.WaitGroup
	errs := make(chan string, 16)
	fail := func(what string) {
		select {
		case errs <- what:
		default:
		}
	}
	read := func(rng *rand.Rand, lsn uint64) {
		v := g.At(lsn)
		rows := int(lsn) * 3
		if int(v.Rows()) != rows {
			fail("rows")
			return
		}
		if n := int(v.Dead().Count()); n != max(int(lsn)-1, 0) {
			fail("dead")
		}
		if rows == 0 {
			return
		}
		from := rng.IntN(rows)
		next := from
		err := v.Scan(ctx, s.Fields[1], uint32(from), uint32(rows), func(first uint32, d column.Data) error {
			for i, n := range column.FromData(s.Fields[1], d).Int64s() {
				if n != int64(first)+int64(i) {
					fail("value")
				}
			}
			next += d.Rows
			return nil
		})
		if err != nil || next != rows {
			fail("scan")
		}
		b := column.NewBuilder(0, false)
		at := rng.IntN(rows)
		if err := v.Read(ctx, s.Fields[2], []uint32{uint32(at)}, b); err != nil {
			fail("read")
		} else if d := b.Data(); d.IsNull(0) != (at%5 == 0) || !d.IsNull(0) && string(d.Value(0)) != string(text[at%1900:at%1900+100]) {
			fail("text")
		}
		alive, dead, beyond := 1, -1, rows
		alive = at/3*3 + 1
		if lsn > 1 {
			dead = rng.IntN(int(lsn)-1) * 3
		}
		keys := []string{key(alive), key(beyond)}
		if dead >= 0 {
			keys = append(keys, key(dead))
		}
		found := 0
		if err := v.Find(ctx, column.StringKeys(keys...), func(i int, row uint32) {
			found++
			if i != 0 || row != uint32(alive) {
				fail("found what is not there")
			}
		}); err != nil || found != 1 {
			fail("not found")
		}
	}
	for w := range 3 {
		rng := rand.New(rand.NewPCG(uint64(w), 9))
		wg.Go(func() {
			for {
				now := visible.Load()
				read(rng, now)
				read(rng, rng.Uint64N(now+1))
				if now == batches {
					return
				}
			}
		})
	}
	for n := range batches {
		var ids, texts []string
		var numbers []int64
		var valid []bool
		for row := n * 3; row < n*3+3; row++ {
			ids, numbers = append(ids, key(row)), append(numbers, int64(row))
			texts, valid = append(texts, string(text[row%1900:row%1900+100])), append(valid, row%5 != 0)
		}
		b, err := column.Build(s, []*column.Column{
			column.VarChar("id", ids), column.Int64("n", numbers), column.VarChar("s", texts).WithValid(valid),
			column.FloatVectorFlat("v", 40, make([]float32, 120)),
		}, column.BuildOptions{})
		require.NoError(t, err)
		lsn := uint64(n + 1)
		require.NoError(t, g.Append(b, lsn, created))
		if n > 0 {
			require.True(t, g.Delete(uint32(n-1)*3, lsn))
		}
		visible.Store(lsn)
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		t.Error(e)
	}
}

func vectorBatch(t testing.TB, s *schema.Schema, first, rows, dim int) *column.Batch {
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(first+i) * 7919 % (1 << 40)
	}
	b, err := column.Build(s, []*column.Column{column.Int64("id", ids), column.FloatVectorFlat("v", dim, make([]float32, rows*dim))}, column.BuildOptions{})
	require.NoError(t, err)
	return b
}

// C11: what a growing segment holds is its values and little more, and what it says it holds is what it holds.
func TestGrowingMemory(t *testing.T) {
	const dim, rows, step = 100, 120_000, 1000
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	g := segment.NewGrowing(1, s, created)
	var charged int64
	for at := 0; at < rows; at += step {
		require.NoError(t, g.Append(vectorBatch(t, s, at, step, dim), uint64(at+1), created))
		charged += g.Charge()
		if n := int64(at + step); n >= 100_000 {
			raw := n * (8 + 4*dim)
			require.Equal(t, raw, g.RawBytes())
			require.LessOrEqual(t, g.MemoryBytes(), raw*115/100+n*64)
		}
	}
	held := heap() - before
	require.InDelta(t, g.MemoryBytes(), held, float64(g.MemoryBytes())/20, "what it says and what the runtime says")
	require.Equal(t, g.MemoryBytes(), charged)
	require.Equal(t, charged, g.Charged())
	require.Zero(t, g.Charge())
	for row := range uint32(rows) {
		if row%3 == 0 {
			require.True(t, g.Delete(row, rows+1))
		}
	}
	require.InDelta(t, g.MemoryBytes(), heap()-before, float64(g.MemoryBytes())/20, "with tombstones")
	runtime.KeepAlive(g)
}

// Strings, nulls and duplicates are accounted for, too.
func TestGrowingMemoryOfStrings(t *testing.T) {
	s := segmenttest.Finish(t, schema.New("c").With(schema.VarChar("id", 256).PrimaryKey(), schema.JSON("doc").Nullable(), schema.FloatVector("v", 2)).WithDuplicateKeys())
	rng := rand.New(rand.NewPCG(1, 1))
	var batches []*column.Batch
	for range 20 {
		keys := segmenttest.StringKeys(rng, 2000) // the same ones each time
		batches = append(batches, segmenttest.Batch(t, rng, s, keys))
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	g := segment.NewGrowing(1, s, created)
	for i, b := range batches {
		require.NoError(t, g.Append(b, uint64(i+1), created))
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(batches)
	require.InDelta(t, g.MemoryBytes(), int64(after.HeapAlloc)-int64(before.HeapAlloc), float64(g.MemoryBytes())/10)
	first, last := g.LSNs()
	require.Equal(t, []uint64{1, 20}, []uint64{first, last})
	keys := column.StringKeys("", "absent", "k2")
	hashes := []uint64{keys.Hash(0), keys.Hash(1), keys.Hash(2)}
	found := map[int]int{}
	g.Live(keys, hashes, nil, func(i int, _ uint32) { found[i]++ })
	require.Equal(t, map[int]int{0: 20, 2: 20}, found)
	g.Live(keys, hashes, func(i int) bool { return i == 2 }, func(i int, _ uint32) { found[i]++ })
	require.Equal(t, map[int]int{0: 20, 2: 40}, found)
	runtime.KeepAlive(g)
}

// Appending allocates pieces of memory for the values, now and then, and nothing for a row.
func TestAppendAllocatesNothingPerRow(t *testing.T) {
	const dim, step, runs = 16, 1000, 100
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", dim)))
	batches := make([]*column.Batch, runs+1)
	for i := range batches {
		batches[i] = vectorBatch(t, s, i*step, step, dim)
	}
	g := segment.NewGrowing(1, s, created)
	n := 0
	allocs := testing.AllocsPerRun(runs, func() {
		require.NoError(t, g.Append(batches[n], uint64(n+1), created))
		n++
	})
	require.Less(t, allocs, 20.0, "allocations for %d rows", step)
}

func TestGrowingState(t *testing.T) {
	in := sampleInput(t, 10, 2)
	g := segment.NewGrowing(3, in.Schema, created)
	require.Equal(t, segment.ID(3), g.ID())
	require.Same(t, in.Schema, g.Schema())
	require.Equal(t, created, g.Born())
	require.True(t, g.LastAppend().Equal(created))
	require.Positive(t, g.MemoryBytes())
	require.Zero(t, g.At(100).Rows())
	require.True(t, g.CanTake(segment.MaxRows))
	require.False(t, g.CanTake(segment.MaxRows+1))
	later := created.Add(1e9)
	require.NoError(t, g.Append(in.Batches[0], 5, later))
	require.True(t, g.LastAppend().Equal(later))
	require.Zero(t, g.At(4).Rows())
	require.EqualValues(t, 10, g.At(5).Rows())
	require.False(t, g.CanTake(segment.MaxRows-9))
	require.True(t, g.Delete(2, 6))
	require.True(t, g.Delete(7, 6))
	var dead []uint32
	g.Tombstones(func(row uint32, lsn uint64) {
		require.EqualValues(t, 6, lsn)
		dead = append(dead, row)
	})
	require.Equal(t, []uint32{2, 7}, dead)
	require.Zero(t, g.At(5).Dead().Count())
	require.Equal(t, []uint32{2, 7}, slices.Collect(func(y func(uint32) bool) { g.At(6).Dead().Each(func(r uint32) { y(r) }) }))

	other := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 9), schema.VarChar("s", 9)))
	rng := rand.New(rand.NewPCG(1, 1))
	require.Error(t, g.Append(segmenttest.Batch(t, rng, other, column.IntKeys(1)), 7, later), "a batch of another schema")
	require.EqualValues(t, 10, g.Rows(), "nothing of it is there")
	require.NoError(t, g.Append(segmenttest.Batch(t, rng, in.Schema, column.IntKeys(5000)), 7, later))
	require.EqualValues(t, 11, g.At(7).Rows())
}

func TestNames(t *testing.T) {
	require.Equal(t, "000012", segment.ID(12).String())
	require.Equal(t, "12345678", segment.ID(12345678).String())
	for s, want := range map[segment.State]string{
		segment.StateGrowing: "growing", segment.StateSealing: "sealing", segment.StateSealed: "sealed", segment.StateDropped: "dropped", 9: "state(9)",
	} {
		require.Equal(t, want, s.String())
	}
}
