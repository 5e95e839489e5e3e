package wal

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
)

// TestSalvage damages one frame, the header of a file, and removes a file: all other records are found.
func TestSalvage(t *testing.T) {
	fs := vfs.NewMem()
	opts := Options{FS: fs, Dir: "wal", FirstSeq: 0, MaxFileSize: 64 << 10}
	require.NoError(t, fs.MkdirAll("wal", 0o755))
	l, err := Open(opts, 0, nil)
	require.NoError(t, err)
	want := map[uint64]string{}
	for i := range 600 {
		payload := fmt.Sprintf("record %d %s", i, bytes.Repeat([]byte("x"), i))
		r, err := l.Prepare(context.Background(), []byte(payload))
		require.NoError(t, err)
		lsn, err := l.Append(r)
		require.NoError(t, err)
		want[lsn] = payload
	}
	require.NoError(t, l.Sync(context.Background()))
	require.NoError(t, l.Close())
	read := func() (got map[uint64]string, lost []Lost) {
		got = map[uint64]string{}
		last := uint64(0)
		require.NoError(t, Salvage(context.Background(), fs, "wal", func(lsn uint64, payload []byte) error {
			require.Greater(t, lsn, last)
			last = lsn
			got[lsn] = string(payload)
			return nil
		}, func(x Lost) { lost = append(lost, x) }))
		return got, lost
	}
	got, lost := read()
	require.True(t, maps.Equal(want, got))
	require.Empty(t, lost)

	names, err := fs.List("wal")
	require.NoError(t, err)
	require.Greater(t, len(names), 2)
	poke := func(name string, at int64) {
		f, err := fs.OpenReadWrite("wal/"+name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		b := make([]byte, 1)
		_, err = f.ReadAt(b, at)
		require.NoError(t, err)
		b[0] ^= 0x40
		_, err = f.WriteAt(b, at)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	const missing = "record 7 xxxxxxx"
	raw := make([]byte, 16<<10)
	f, err := fs.Open("wal/" + fileName(1))
	require.NoError(t, err)
	_, err = f.ReadAt(raw, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	poke(fileName(1), int64(bytes.Index(raw, []byte(missing))))
	poke(fileName(2), 30) // in the header: its salt
	_, err = Open(opts, 0, nil)
	require.ErrorIs(t, err, ErrCorrupt)
	got, lost = read()
	require.Len(t, got, len(want)-1)
	for lsn, payload := range want {
		if payload != missing {
			require.Equal(t, payload, got[lsn])
		}
	}
	require.Len(t, lost, 2)
	require.Equal(t, "wal/"+fileName(1), lost[0].Path)
	require.Equal(t, frameSpan(int64(len(missing))), lost[0].To-lost[0].From)
	require.Equal(t, "wal/"+fileName(2), lost[1].Path)
	require.Zero(t, lost[1].From)

	stop := fmt.Errorf("stop")
	require.ErrorIs(t, Salvage(context.Background(), fs, "wal", func(uint64, []byte) error { return stop }, func(Lost) {}), stop)
}
