package segment_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
)

// Every kind of index leaves memory for its mapped file, and comes back.
func TestUnloadAndReload(t *testing.T) {
	if !segment.CanMap {
		t.Skip("files are not mapped here")
	}
	ctx := context.Background()
	x := newIndexed(t, schema.FloatVector("v", 64), 3000, true)
	id, _ := x.in.Schema.Field("id")
	for n, spec := range map[uint64]segment.IndexSpec{1: x.spec(1, vector.L2, forceGraph), 2: {ID: 2, Field: id}} {
		x.build(spec)
		loaded, ok := x.IndexInfo(n)
		require.True(t, ok)
		require.Positive(t, loaded.MemoryBytes)
		freed, err := x.UnloadIndex(ctx, n, x.tmp)
		require.NoError(t, err)
		require.Equal(t, loaded.MemoryBytes, freed)
		mapped, _ := x.IndexInfo(n)
		require.Less(t, mapped.MemoryBytes, loaded.MemoryBytes/2, mapped.Kind)
		require.NoError(t, x.ReloadIndex(ctx, n))
		back, _ := x.IndexInfo(n)
		require.InDelta(t, loaded.MemoryBytes, back.MemoryBytes, float64(loaded.MemoryBytes)/10, back.Kind)
	}
}

// openHook is a file system that does something before a file of an index is opened.
type openHook struct {
	vfs.FS
	hook func()
}

func (f *openHook) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if strings.HasSuffix(name, ".idx") && f.hook != nil {
		f.hook()
	}
	return f.FS.Open(name, o...)
}

// An index that is dropped while it is unloaded or reloaded is no error of those.
func TestDropBesideUnload(t *testing.T) {
	if !segment.CanMap {
		t.Skip("files are not mapped here")
	}
	ctx := context.Background()
	for name, mapped := range map[string]bool{"unload": false, "reload": true} {
		t.Run(name, func(t *testing.T) {
			x := newIndexed(t, schema.FloatVector("v", 16), 500, true)
			fs := &openHook{FS: x.fs}
			x.fs = fs
			s := x.buildIn(t.TempDir(), 8)
			defer s.Unref()
			spec := x.spec(1, vector.L2, forceGraph)
			require.NoError(t, s.BuildIndex(ctx, spec, segment.IndexBuild{TmpDir: x.tmp, Mapped: mapped}))
			dropped := 0
			fs.hook = func() {
				dropped++
				require.NoError(t, s.DropIndex(1))
			}
			if mapped {
				require.NoError(t, s.ReloadIndex(ctx, 1))
			} else {
				_, err := s.UnloadIndex(ctx, 1, x.tmp)
				require.NoError(t, err)
			}
			require.Equal(t, 1, dropped)
			require.Empty(t, s.Indexes())
		})
	}
}
