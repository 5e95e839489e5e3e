package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// jumping is a clock that goes years ahead and back from one look to the next.
func jumping(rng *rand.Rand) func() time.Time {
	var mu sync.Mutex
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Unix(1_700_000_000, 0).Add(time.Duration(rng.Int64N(int64(40*365*24*time.Hour))) - 20*365*24*time.Hour)
	}
}

// TestSameLifeUnderAllOptions: whatever the options, one list of calls leads to one state, in memory, after a flush of all, and opened again. The
// options are those that decide where rows are and what is done with them in the background, and when it is.
func TestSameLifeUnderAllOptions(t *testing.T) {
	rng := seeded(t)
	sets := map[string]func(o *engine.Options){
		"as in the other tests":  func(*engine.Options) {},
		"default":                func(o *engine.Options) { *o = engine.Options{FS: o.FS} },
		"a row a segment":        func(o *engine.Options) { o.SegmentRows = 1 },
		"background merges":      func(o *engine.Options) { o.SegmentRows, o.CompactBytes, o.Tick = 2, 0, time.Millisecond },
		"no sync":                func(o *engine.Options) { o.Sync = engine.SyncNone },
		"now and then a sync":    func(o *engine.Options) { o.Sync = engine.SyncInterval },
		"mapped indexes":         func(o *engine.Options) { o.MapIndexes = true },
		"least memory":           func(o *engine.Options) { o.MemoryBudget, o.CacheBytes = 16<<20, 0 },
		"segments sealed by age": func(o *engine.Options) { o.MaxSegmentAge, o.Tick = time.Millisecond, time.Millisecond },
		"tiny log files":         func(o *engine.Options) { o.LogFileBytes = 4 << 10 },
		"a clock that jumps":     func(o *engine.Options) { o.Now = jumping(rng) },
		"a clock that jumps, merges": func(o *engine.Options) {
			o.Now, o.CompactBytes, o.Tick, o.SegmentRows = jumping(rng), 0, time.Millisecond, 2
		},
	}
	ctx := context.Background()
	for name, set := range sets {
		t.Run(name, func(t *testing.T) {
			s := &session{dir: imageDir, opts: tiny(vfs.NewMem())}
			set(s.opts)
			require.NoError(t, s.open())
			l := newLedger()
			steps := 0
			look := func(when string) {
				t.Helper()
				o, err := observe(ctx, s.eng)
				require.NoError(t, err, when)
				require.Equal(t, l.content(), o.content(), when) // but for how much of it is sealed
			}
			for _, st := range life() {
				require.NoError(t, s.run(ctx, st), "%v", st)
				require.NoError(t, l.apply(st))
				look(fmt.Sprintf("after %v", st))
				steps++
			}
			for _, name := range s.eng.Collections() {
				c, err := s.eng.Collection(name)
				require.NoError(t, err)
				_, err = c.Flush(ctx)
				require.NoError(t, err)
			}
			look("after a flush of all")
			require.NoError(t, s.close())
			require.NoError(t, s.open())
			look("opened again")
			require.NoError(t, s.close())
			require.Greater(t, steps, 40)
		})
	}
}

// TestManyEmptyPartitions: each costs its line in the catalogue and nothing else; one more than there may be is refused, and nothing is changed. With -long
// there are 100,000.
func TestManyEmptyPartitions(t *testing.T) {
	ctx := context.Background()
	collections := 2
	if *long {
		collections = 98
	}
	o := &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNone}
	eng, err := engine.Open("db", o)
	require.NoError(t, err)
	for i := range collections {
		c, err := eng.CreateCollection(ctx, schema.New(fmt.Sprint("c", i)).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
		require.NoError(t, err)
		for j := range schema.MaxPartitions - 1 { // and _default
			_, err := c.CreatePartition(ctx, fmt.Sprint("p", j))
			require.NoError(t, err)
		}
		_, err = c.CreatePartition(ctx, "more")
		require.ErrorContains(t, err, "at most 1024")
		require.False(t, c.HasPartition("more"))
	}
	require.NoError(t, eng.Close())
	eng, err = engine.Open("db", o)
	require.NoError(t, err)
	n := 0
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		require.NoError(t, err)
		n += len(c.Partitions())
		require.Zero(t, c.NumEntities())
	}
	require.Equal(t, collections*schema.MaxPartitions, n)
	require.Zero(t, eng.Metrics().Segments.Segments)
	figures(t, "%d empty partitions", n)
	require.NoError(t, eng.Close())
}
