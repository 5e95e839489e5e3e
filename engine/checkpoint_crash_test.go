package engine_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

// TestCrashDuringCheckpoint cuts the power before each writing operation of a checkpoint: the store is what it was, and the copy is whole, or under another
// name, which is no store.
func TestCrashDuringCheckpoint(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	mem := vfs.NewCrashableMem()
	type cut struct {
		fs *vfs.MemFS
		op string
	}
	var mu sync.Mutex
	var cuts []cut
	watching := false
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if watching && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			for _, percent := range []int{0, 50, 100} {
				clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(rng.Uint64(), 0))})
				cuts = append(cuts, cut{clone, op.Path})
			}
		}
		return nil
	}))
	watch := func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		watching = on
	}
	require.NoError(t, mem.MkdirAll(imageDir, 0o755))
	s := &session{dir: imageDir, opts: tiny(fs)}
	require.NoError(t, s.open())
	l := newLedger()
	script := life()
	for _, st := range script[:len(script)/2] {
		require.NoError(t, s.run(ctx, st))
		require.NoError(t, l.apply(st))
	}
	watch(true)
	_, err := s.eng.Checkpoint(ctx, "data/copy")
	require.NoError(t, err)
	watch(false)
	require.NoError(t, s.close())
	require.NotEmpty(t, cuts)
	copies := 0
	for _, c := range cuts {
		dirs := []string{imageDir}
		if _, err := c.fs.Stat("data/copy"); err == nil {
			dirs = append(dirs, "data/copy")
			copies++
		}
		for _, dir := range dirs {
			again := &session{dir: dir, opts: tiny(c.fs)}
			require.NoError(t, again.open(), "%s, cut before %s", dir, c.op)
			o, err := observe(ctx, again.eng)
			require.NoError(t, err, "%s, cut before %s", dir, c.op)
			require.Equal(t, l.content(), o.content(), "%s, cut before %s", dir, c.op)
			require.NoError(t, again.close())
		}
	}
	figures(t, "%d images, %d of them with a copy", len(cuts), copies)
}
