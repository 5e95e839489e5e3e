package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/internal/backup"
)

// memory is a sink that keeps everything.
type memory struct {
	header backup.Header
	files  map[string]*file
	err    error
}

type file struct {
	bytes.Buffer
	size   int64
	closed bool
}

func (f *file) Close() error { f.closed = true; return nil }

func (m *memory) Begin(h backup.Header) error {
	m.header, m.files = h, map[string]*file{}
	return nil
}

func (m *memory) Create(path string, size int64) (io.WriteCloser, error) {
	f := &file{size: size}
	m.files[path] = f
	return f, m.err
}

// contents are files that take different ways through the writer.
func contents() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	const piece = 1 << 20
	return map[string][]byte{
		"empty": {}, "a": {1}, "zero": {0}, "zeros": make([]byte, 3*piece+5), "piece": random(piece), "more": random(piece + 1),
		"hole": append(append(random(700), make([]byte, 2*piece)...), 9), "tail": append(random(3000), make([]byte, piece)...),
		"seg/000001/rows.sst": random(20_000), strings.Repeat("x", 1024): random(3),
	}
}

func written(t testing.TB, h backup.Header, files map[string][]byte, earlier ...backup.Entry) []byte {
	var b bytes.Buffer
	w, err := backup.NewWriter(&b, h)
	require.NoError(t, err)
	for _, e := range earlier {
		w.Earlier(e)
	}
	for name, raw := range files {
		require.NoError(t, w.File(context.Background(), name, 7, int64(len(raw)), bytes.NewReader(raw)))
	}
	require.NoError(t, w.Close())
	require.Equal(t, int64(b.Len()), w.Written())
	require.Equal(t, len(files), w.Stored())
	return b.Bytes()
}

func TestRoundTrip(t *testing.T) {
	files := contents()
	h := backup.Header{ID: 0xabc, Base: 0xdef, LSN: 12, Created: 34}
	raw := written(t, h, files, backup.Entry{Path: "old", Size: 5, Identity: 8, Sum: 9})
	size := 0
	for _, b := range files {
		size += len(bytes.TrimRight(b, "\x00"))
	}
	require.Less(t, len(raw), size+2<<20+100*(len(files)+1)+2<<10, "zeros take no room, but for those in the middle of a piece")
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(raw), "byte by byte": iotest.OneByteReader(bytes.NewReader(raw))} {
		m := &memory{}
		c, err := backup.Read(context.Background(), r, m)
		require.NoError(t, err, name)
		require.Equal(t, h, m.header)
		require.Equal(t, h, c.Header)
		require.Equal(t, int64(len(raw)), c.Bytes)
		require.Len(t, c.Files, len(files)+1)
		for _, e := range c.Files {
			if e.Path == "old" {
				require.Equal(t, backup.Entry{Path: "old", Size: 5, Identity: 8, Sum: 9}, e)
				continue
			}
			want := files[e.Path]
			require.Equal(t, backup.Entry{
				Path: e.Path, Size: int64(len(want)), Identity: 7, Sum: crc32.Checksum(want, crc32.MakeTable(crc32.Castagnoli)), Here: true,
			}, e)
			f := m.files[e.Path]
			require.True(t, f.closed)
			require.Equal(t, int64(len(want)), f.size)
			require.True(t, bytes.Equal(want, f.Bytes()), e.Path)
		}
	}
}

func TestLongList(t *testing.T) {
	files := map[string][]byte{}
	for i := range 4000 {
		files[fmt.Sprintf("seg/%06d/%s", i, strings.Repeat("n", 300))] = nil
	}
	c, err := backup.Read(context.Background(), bytes.NewReader(written(t, backup.Header{ID: 1}, files)), backup.Discard{})
	require.NoError(t, err)
	require.Len(t, c.Files, len(files))
}

// A path that leads out of the directory is neither written nor believed.
func TestPaths(t *testing.T) {
	w, err := backup.NewWriter(io.Discard, backup.Header{ID: 1})
	require.NoError(t, err)
	for _, path := range []string{"", "/", "/etc/passwd", "..", "a/../../b", "a//b", "./a", "a/", `a\b`, "c:", "a\x00", strings.Repeat("x", 1025)} {
		require.Error(t, w.File(context.Background(), path, 0, 0, strings.NewReader("")), "%q", path)
	}
	raw := written(t, backup.Header{ID: 1}, map[string][]byte{"aa/b": {1}})
	for _, forged := range []string{"../b", "/a/b", "a\\/b"} {
		b := bytes.ReplaceAll(raw, []byte("aa/b"), []byte(forged))
		for at := 64; at < len(b); { // with right checksums
			n := int(b[at+4]) | int(b[at+5])<<8
			crc := crc32.Checksum(b[at+4:at+32+n], crc32.MakeTable(crc32.Castagnoli))
			b[at], b[at+1], b[at+2], b[at+3] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
			at += 32 + n
		}
		m := &memory{}
		_, err := backup.Read(context.Background(), bytes.NewReader(b), m)
		var c *backup.CorruptionError
		require.ErrorAs(t, err, &c, forged)
		require.Equal(t, int64(64), c.Offset)
		require.Empty(t, m.files)
	}
}

func TestErrorsOfOthers(t *testing.T) {
	ctx := context.Background()
	broken := errors.New("broken")
	raw := written(t, backup.Header{ID: 1}, map[string][]byte{"a": make([]byte, 100), "b": {1, 2, 3}})
	_, err := backup.Read(ctx, io.MultiReader(bytes.NewReader(raw[:100]), iotest.ErrReader(broken)), &memory{})
	require.ErrorIs(t, err, broken)
	_, err = backup.Read(ctx, io.MultiReader(bytes.NewReader(raw), iotest.ErrReader(broken)), &memory{})
	require.ErrorIs(t, err, broken, "behind the end")
	_, err = backup.Read(ctx, bytes.NewReader(raw), &memory{err: broken})
	require.ErrorIs(t, err, broken)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = backup.Read(ended, bytes.NewReader(raw), &memory{})
	require.ErrorIs(t, err, context.Canceled)
	w, err := backup.NewWriter(io.Discard, backup.Header{ID: 1})
	require.NoError(t, err)
	require.ErrorIs(t, w.File(ended, "a", 0, 5, strings.NewReader("abcde")), context.Canceled)
	require.ErrorContains(t, w.File(ctx, "a", 0, 6, strings.NewReader("abcde")), "a ends before byte 6")
	newer := bytes.Clone(raw)
	newer[8] = 2
	crc := crc32.Checksum(newer[:60], crc32.MakeTable(crc32.Castagnoli))
	newer[60], newer[61], newer[62], newer[63] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
	_, err = backup.Read(ctx, bytes.NewReader(newer), &memory{})
	require.ErrorIs(t, err, backup.ErrVersion)
}

// FuzzRead: whatever the bytes, reading ends with a right answer or an error, and takes no more memory than there are bytes.
func FuzzRead(f *testing.F) {
	raw := written(f, backup.Header{ID: 1, Base: 2}, map[string][]byte{"a": {1, 2, 3}, "b/c": make([]byte, 2000)}, backup.Entry{Path: "old"})
	f.Add(raw)
	f.Add(raw[:200])
	f.Add([]byte("SELKBAK1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := backup.Read(context.Background(), bytes.NewReader(b), backup.Discard{})
		if err == nil && c.Bytes != int64(len(b)) {
			t.Fatalf("%d bytes of %d", c.Bytes, len(b))
		}
		var damage *backup.CorruptionError
		if err != nil && !errors.Is(err, backup.ErrVersion) && (!errors.As(err, &damage) || damage.Offset < 0 || damage.Offset > int64(len(b))) {
			t.Fatal(err)
		}
	})
}
