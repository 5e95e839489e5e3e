package wal_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/wal"
)

// worn is a log of which files have been written anew, and of whose records those after kept are still there.
func worn(t *testing.T, before func(l *wal.Log)) (fs *vfs.MemFS, opts wal.Options, l *wal.Log, kept, last uint64) {
	a := newAcks()
	fs = vfs.NewMem()
	opts = a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	for range 20 {
		for range 12 {
			last++
			n := 100 + int(last%7)
			if last%5 == 0 {
				n = 3001 // padded
			}
			require.Equal(t, last, mustAppend(t, l, a, payload(last, n)))
		}
		before(l)
		kept = last - 5
		opts.FirstSeq = l.FirstSeqFor(kept)
		require.NoError(t, l.Truncate(opts.FirstSeq))
	}
	return fs, opts, l, kept, last
}

// TestRecycledFiles: what an old file held does not come back, wherever the log ends, closed or not.
func TestRecycledFiles(t *testing.T) {
	fs, opts, l, kept, last := worn(t, func(*wal.Log) {})
	require.Greater(t, l.Stats().Recycled, uint64(5))
	check := func(opts wal.Options) {
		t.Helper()
		got, err := collect(opts, kept)
		require.NoError(t, err)
		require.Len(t, got, int(last-kept))
		for i, r := range got {
			require.Equal(t, kept+uint64(i)+1, r.lsn)
			require.Equal(t, payload(r.lsn, len(r.payload)), r.payload)
		}
	}
	check(wal.Options{FS: fs, Dir: "wal", FirstSeq: opts.FirstSeq, ReadOnly: true})
	require.NoError(t, l.Close())
	names, err := fs.List("wal")
	require.NoError(t, err)
	for _, name := range names {
		require.NotContains(t, name, ".tmp", "Close leaves no file to be written anew")
	}
	check(wal.Options{FS: fs, Dir: "wal", FirstSeq: opts.FirstSeq})
	var salvaged []uint64
	require.NoError(t, wal.Salvage(context.Background(), fs, "wal", func(lsn uint64, p []byte) error {
		salvaged = append(salvaged, lsn)
		require.Equal(t, payload(lsn, len(p)), p)
		return nil
	}, func(wal.Lost) {}))
	require.Equal(t, last, salvaged[len(salvaged)-1])
	for i, lsn := range salvaged {
		require.Equal(t, salvaged[0]+uint64(i), lsn, "nothing of an old file")
	}
}

// TestLinkedFilesAreNotRecycled: a copy of the log by hard links stays as it was.
func TestLinkedFilesAreNotRecycled(t *testing.T) {
	copies := 0
	fs, _, l, _, _ := worn(t, func(l *wal.Log) {
		fs := wal.FS(l)
		dir := fmt.Sprintf("copy%d", copies)
		copies++
		require.NoError(t, fs.MkdirAll(dir, 0o755))
		_, err := l.CopyTo(context.Background(), l.State(), fs, dir, true)
		require.NoError(t, err)
	})
	require.Zero(t, l.Stats().Recycled)
	require.NoError(t, l.Close())
	for i := range copies {
		last := uint64(0)
		require.NoError(t, wal.Salvage(context.Background(), fs, fmt.Sprintf("copy%d", i), func(lsn uint64, p []byte) error {
			last = lsn
			return nil
		}, func(l wal.Lost) { require.Fail(t, "lost", "%+v", l) }))
		require.EqualValues(t, 12*(i+1), last)
	}
}

// TestFoundFilesAreNotRecycled: a log does not know what was linked before it was opened.
func TestFoundFilesAreNotRecycled(t *testing.T) {
	a, fs, last := newAcks(), vfs.NewMem(), uint64(0)
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	write := func(l *wal.Log) {
		for range 24 {
			last++
			mustAppend(t, l, a, payload(last, 1000))
		}
	}
	mustOpen(t, opts, write)
	opts.FirstSeq = 1
	require.NoError(t, fs.MkdirAll("copy", 0o755))
	names, err := fs.List("wal")
	require.NoError(t, err)
	slices.Sort(names)
	names = names[:len(names)-1] // a checkpoint copies the one that is written
	held := func() (all []byte) {
		for _, name := range names {
			f, err := fs.Open("copy/" + name)
			require.NoError(t, err)
			b, err := io.ReadAll(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			all = append(all, b...)
		}
		return all
	}
	for _, name := range names {
		require.NoError(t, fs.Link("wal/"+name, "copy/"+name))
	}
	copied, before := last, held()
	mustOpen(t, opts, func(l *wal.Log) {
		require.NoError(t, l.Truncate(l.FirstSeqFor(copied)))
		write(l)
		require.Zero(t, l.Stats().Recycled)
	})
	require.Equal(t, before, held())
}
