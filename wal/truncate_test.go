package wal_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/wal"
)

// A log that is cut by what is needed from any LSN on still has every later record: the files' ends are where one too many could go.
func TestTruncateKeepsWhatIsNeeded(t *testing.T) {
	const records = 40
	cut := 0
	for needed := range uint64(records + 1) {
		fs, a := vfs.NewMem(), newAcks()
		l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10}), 0, nil)
		require.NoError(t, err)
		for i := range uint64(records) {
			mustAppend(t, l, a, payload(i+1, 1000))
		}
		seq := l.FirstSeqFor(needed)
		require.NoError(t, l.Truncate(seq))
		require.NoError(t, l.Close())
		if seq > 1 {
			cut++
		}
		got, err := collect(wal.Options{FS: fs, Dir: "wal", FirstSeq: seq}, needed)
		require.NoError(t, err)
		require.Len(t, got, records-int(needed), "needed beyond LSN %d", needed)
		for i, r := range got {
			require.Equal(t, needed+uint64(i)+1, r.lsn)
		}
	}
	require.Greater(t, cut, records/2)
}
