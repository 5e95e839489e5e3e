package wal_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

var golden = flag.Bool("golden", false, "write the golden log of the current format version")

// goldenVersions are read forever.
var goldenVersions = []int{1}

func goldenPayload(lsn uint64) []byte {
	return fmt.Appendf(nil, "record %d of the golden log%0*d", lsn, lsn%40, lsn)
}

// TestGoldenFiles replays a log written by each format version: 60 records, LSN 11 to 40 and 101 to 130, several
// files, opened twice.
func TestGoldenFiles(t *testing.T) {
	if *golden {
		writeGolden(t, fmt.Sprintf("testdata/v%d", goldenVersions[len(goldenVersions)-1]))
	}
	for _, v := range goldenVersions {
		got, err := collect(wal.Options{Dir: fmt.Sprintf("testdata/v%d", v), FirstSeq: 1}, 0)
		require.NoError(t, err)
		require.Len(t, got, 60)
		for i, r := range got {
			want := uint64(11 + i)
			if i >= 30 {
				want = uint64(101 + i - 30)
			}
			require.Equal(t, want, r.lsn)
			require.Equal(t, goldenPayload(r.lsn), r.payload)
		}
	}
}

func writeGolden(t *testing.T, dir string) {
	require.NoError(t, os.RemoveAll(dir))
	for round, min := range []uint64{10, 100} {
		a := newAcks()
		opts := a.with(wal.Options{
			Dir: dir, MinLSN: min, FirstSeq: uint64(round), InitialFileSize: 8 << 10, MaxFileSize: 8 << 10,
		})
		mustOpen(t, opts, func(l *wal.Log) {
			for lsn := min + 1; lsn <= min+30; lsn++ {
				require.Equal(t, lsn, mustAppend(t, l, a, goldenPayload(lsn)))
			}
		})
	}
}
