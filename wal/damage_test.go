package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

// images holds the files of a log by name.
type images map[string][]byte

// capture copies the files of a log as a process kill would leave them.
func capture(t testing.TB, fs vfs.FS, dir string) images {
	t.Helper()
	names, err := fs.List(dir)
	require.NoError(t, err)
	m := images{}
	for _, name := range names {
		if !strings.HasSuffix(name, ".wal") {
			continue // being prepared; replay ignores it
		}
		f, err := fs.Open(fs.PathJoin(dir, name))
		require.NoError(t, err)
		m[name], err = io.ReadAll(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	return m
}

// with returns a copy in which one file has other contents; nil removes it.
func (m images) with(name string, b []byte) images {
	c := maps.Clone(m)
	if c[name] = b; b == nil {
		delete(c, name)
	}
	return c
}

// fs writes the images to a new file system.
func (m images) fs() *vfs.MemFS {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("wal", 0o755); err != nil {
		panic(err)
	}
	for name, b := range m {
		f, err := fs.Create("wal/"+name, vfs.WriteCategoryUnspecified)
		if err == nil {
			_, err = f.Write(bytes.Clone(b))
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			panic(err)
		}
	}
	return fs
}

func (m images) names() []string { return slices.Sorted(maps.Keys(m)) }

// check opens the log. It returns an error unless all n records come back, or the log says that it is corrupt;
// reported tells which.
func (m images) check(n int) (reported bool, err error) {
	got, err := collect(wal.Options{FS: m.fs(), Dir: "wal", FirstSeq: 1}, 0)
	for i, r := range got {
		if r.lsn != uint64(i+1) || !bytes.Equal(r.payload, payload(r.lsn, damageSize(r.lsn))) {
			return false, fmt.Errorf("wrong record %d", r.lsn)
		}
	}
	if err != nil {
		var ce *wal.CorruptionError
		if !errors.Is(err, wal.ErrCorrupt) || !errors.As(err, &ce) || ce.Path == "" || ce.Kind == "" || ce.Error() == "" {
			return false, fmt.Errorf("not a corruption error: %w", err)
		}
		return true, nil
	}
	if len(got) != n {
		return false, fmt.Errorf("%d records instead of %d", len(got), n)
	}
	return false, nil
}

func damageSize(lsn uint64) int { return int(lsn*37) % 300 }

// lives are ways a log comes to be. Each returns the images and the number of acknowledged records.
var lives = map[string]func(t testing.TB) (images, int){
	"closed":     func(t testing.TB) (images, int) { return liveOnce(t, 12, true) },
	"killed":     func(t testing.TB) (images, int) { return liveOnce(t, 12, false) },
	"one record": func(t testing.TB) (images, int) { return liveOnce(t, 1, false) },
	"rotated":    func(t testing.TB) (images, int) { return liveOnce(t, 25, false) },
	"reopened":   liveReopened,
}

func liveOnce(t testing.TB, n int, closed bool) (images, int) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	for i := range uint64(n) {
		mustAppend(t, l, a, payload(i+1, damageSize(i+1)))
	}
	var m images
	if !closed {
		m = capture(t, fs, "wal")
	}
	require.NoError(t, l.Close())
	if closed {
		m = capture(t, fs, "wal")
	}
	return m, n
}

// liveReopened is a killed log with a torn tail, reopened and killed again.
func liveReopened(t testing.TB) (images, int) {
	m, n := liveOnce(t, 5, false)
	b := bytes.Clone(m["000001.wal"])
	frames := wal.Layout(b)
	end := frames[len(frames)-1].Off + frames[len(frames)-1].Span
	copy(b[end:], payload(1, 500))
	fs, a := m.with("000001.wal", b).fs(), newAcks()
	l, err := wal.Open(a.with(wal.Options{FS: fs, Dir: "wal", FirstSeq: 1, InitialFileSize: 8 << 10}), 0, nil)
	require.NoError(t, err)
	for i := range uint64(5) {
		mustAppend(t, l, a, payload(uint64(n)+i+1, damageSize(uint64(n)+i+1)))
	}
	m = capture(t, fs, "wal")
	require.NoError(t, l.Close())
	return m, n + 5
}

// TestEveryFlippedByte flips each byte of each file: in file headers and data frames that must be reported, elsewhere
// it must at least not cost a record.
func TestEveryFlippedByte(t *testing.T) {
	for name, live := range lives {
		t.Run(name, func(t *testing.T) {
			m, n := live(t)
			reported, err := m.check(n)
			require.NoError(t, err)
			require.False(t, reported)
			for fi, name := range m.names() {
				must := make([]bool, len(m[name])) // must be reported
				for i := range wal.FileHeaderLen {
					must[i] = true
				}
				for _, f := range wal.Layout(m[name]) {
					if f.Kind != wal.KindDataFrame {
						continue
					}
					for i := f.Off; i < f.Off+f.Span; i++ {
						must[i] = true
					}
				}
				count := 0
				for i := 0; i < len(m[name]); i += stride {
					if !must[i] && i%16 > 0 && i > wal.FileHeaderLen+3000 {
						continue // never-written space is uniform
					}
					b := bytes.Clone(m[name])
					b[i] ^= []byte{1 << (i / 2 % 8), 0xff}[i%2]
					reported, err := m.with(name, b).check(n)
					if err != nil || must[i] && !reported {
						t.Fatalf("file %d byte %d: reported %v, %v", fi, i, reported, err)
					}
					if reported {
						count++
					}
				}
				t.Logf("%s: %d flips reported", name, count)
			}
		})
	}
}

// TestEveryCut cuts each file at each length, and pads it.
func TestEveryCut(t *testing.T) {
	for name, live := range lives {
		t.Run(name, func(t *testing.T) {
			m, n := live(t)
			for _, name := range m.names() {
				for cut := 0; cut < len(m[name]); cut += stride * (1 + cut/4096*6) {
					reported, err := m.with(name, append([]byte{}, m[name][:cut]...)).check(n)
					require.NoError(t, err)
					require.True(t, reported, "cut at %d", cut)
				}
				reported, err := m.with(name, append(bytes.Clone(m[name]), 0)).check(n)
				require.NoError(t, err)
				require.True(t, reported)
			}
		})
	}
}

// TestMissingAndForeignFiles removes, swaps, duplicates and replaces whole files.
func TestMissingAndForeignFiles(t *testing.T) {
	m, n := liveOnce(t, 60, true)
	early, _ := liveOnce(t, 20, true)
	other, _ := liveOnce(t, 60, true)
	names := m.names()
	require.GreaterOrEqual(t, len(names), 4)
	must := func(damaged images, path, kind, what string) {
		t.Helper()
		_, err := collect(wal.Options{FS: damaged.fs(), Dir: "wal", FirstSeq: 1}, 0)
		var ce *wal.CorruptionError
		require.ErrorAs(t, err, &ce, what)
		require.Equal(t, "wal/"+path, ce.Path, what)
		if kind != "" {
			require.Equal(t, kind, ce.Kind, what)
		}
	}
	for i, name := range names {
		must(m.with(name, nil), name, wal.KindMissing, "missing "+name)
		for _, to := range names {
			if to != name {
				must(m.with(to, m[name]), to, wal.KindHeader, name+" copied over "+to)
			}
		}
		if i > 0 {
			swapped := m.with(name, m[names[0]]).with(names[0], m[name])
			must(swapped, names[0], wal.KindHeader, "swapped")
			// A file of another log with the same sequence does not fit its neighbours.
			reported, err := m.with(name, other[name]).check(n)
			require.NoError(t, err)
			require.True(t, reported, "foreign "+name)
		}
		must(m.with(wal.FileName(uint64(len(names)+2)), m[name]), wal.FileName(uint64(len(names)+1)), wal.KindMissing, "gap")
		must(m.with(wal.FileName(uint64(len(names)+1)), m[name]), wal.FileName(uint64(len(names)+1)), wal.KindHeader, "duplicate")
		must(m.with(name, make([]byte, len(m[name]))), name, wal.KindHeader, "zeroed "+name)
		must(m.with(name, []byte{}), name, wal.KindSize, "emptied "+name)
	}
	require.NotNil(t, early[names[0]])
	reported, err := m.with(names[0], early[names[0]]).check(n)
	require.NoError(t, err)
	require.True(t, reported, "file of another log")
	_, err = collect(wal.Options{FS: images{}.fs(), Dir: "wal", FirstSeq: 3}, 0)
	require.ErrorIs(t, err, wal.ErrCorrupt)
	_, err = collect(wal.Options{FS: m.fs(), Dir: "wal"}, 0)
	require.ErrorIs(t, err, wal.ErrCorrupt, "a log that should be new")
}

// TestStaleCopy puts an older state of a file in the place of its later one.
func TestStaleCopy(t *testing.T) {
	fs, a := vfs.NewMem(), newAcks()
	opts := a.with(wal.Options{FS: fs, Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 8 << 10})
	l, err := wal.Open(opts, 0, nil)
	require.NoError(t, err)
	for i := range uint64(5) {
		mustAppend(t, l, a, payload(i+1, damageSize(i+1)))
	}
	stale := capture(t, fs, "wal")["000001.wal"]
	for i := range uint64(40) {
		mustAppend(t, l, a, payload(i+6, damageSize(i+6)))
	}
	require.NoError(t, l.Close())
	m := capture(t, fs, "wal")
	reported, err := m.with("000001.wal", stale).check(45)
	require.NoError(t, err)
	require.True(t, reported)
}

// TestAcceptedDamageStaysHarmless opens logs with flips in places that are ignored for writing, appends and reads all.
func TestAcceptedDamageStaysHarmless(t *testing.T) {
	for name, live := range lives {
		m, n := live(t)
		last := m.names()[len(m)-1]
		for i := wal.FileHeaderLen; i < len(m[last]); i += 13 {
			b := bytes.Clone(m[last])
			b[i] ^= 0x5a
			damaged := m.with(last, b)
			if reported, err := damaged.check(n); reported || err != nil {
				require.NoError(t, err)
				continue
			}
			fs, a := damaged.fs(), newAcks()
			opts := a.with(wal.Options{FS: fs, Dir: "wal", FirstSeq: 1, InitialFileSize: 8 << 10})
			mustOpen(t, opts, func(l *wal.Log) {
				mustAppend(t, l, a, payload(uint64(n+1), damageSize(uint64(n+1))))
			})
			reported, err := capture(t, fs, "wal").check(n + 1)
			require.NoError(t, err, "%s byte %d", name, i)
			require.False(t, reported, "%s byte %d", name, i)
		}
	}
}

// TestLateRotateFrame opens a log whose second file was named just before a crash: the rotate frame is made up for, so
// that removing the second file is noticed.
func TestLateRotateFrame(t *testing.T) {
	m, n := liveOnce(t, 3, true)
	fs := m.fs()
	opts := wal.Options{FS: fs, Dir: "wal", FirstSeq: 1, InitialFileSize: 8 << 10}
	mustOpen(t, opts, func(*wal.Log) {})
	m = capture(t, fs, "wal")
	b := bytes.Clone(m["000001.wal"])
	frames := wal.Layout(b)
	rotate := frames[len(frames)-1]
	require.EqualValues(t, wal.KindRotateEnd, rotate.Kind)
	clear(b[rotate.Off : rotate.Off+rotate.Span])
	fs = m.with("000001.wal", b).fs()
	opts.FS = fs
	mustOpen(t, opts, func(*wal.Log) {})
	again := capture(t, fs, "wal")
	require.Equal(t, m, again)
	reported, err := again.with("000002.wal", nil).check(n)
	require.NoError(t, err)
	require.True(t, reported)
}

func TestUnknownVersion(t *testing.T) {
	m, _ := liveOnce(t, 1, true)
	b := bytes.Clone(m["000001.wal"])
	binary.LittleEndian.PutUint32(b[8:], 2)
	binary.LittleEndian.PutUint32(b[4092:], wal.Checksum(b[:4092]))
	_, err := collect(wal.Options{FS: m.with("000001.wal", b).fs(), Dir: "wal", FirstSeq: 1}, 0)
	require.ErrorIs(t, err, wal.ErrVersion)
	require.NotErrorIs(t, err, wal.ErrCorrupt)
}
