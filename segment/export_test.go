package segment

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector/graph"
)

// CanMap says that files are mapped on this system.
const CanMap = runtime.GOOS != "windows"

// LoadGraph reads an index's file without the segment.
func LoadGraph(t testing.TB, s *Sealed, f *os.File, id uint64) *graph.Index {
	info, err := f.Stat()
	require.NoError(t, err)
	g, err := graph.Load(f, info.Size(), s.identity(id))
	require.NoError(t, err)
	return g
}
