package graph_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

var identity = graph.Identity{Segment: 42, Token: 0x1234567890abcdef}

func save(t testing.TB, ix *graph.Index) []byte {
	var b bytes.Buffer
	require.NoError(t, ix.Save(&b, identity))
	require.Equal(t, ix.Size(), int64(b.Len()))
	return b.Bytes()
}

// savedCases are indexes of each shape.
func savedCases(t testing.TB) map[string]*collection {
	return map[string]*collection{
		"graph l2":       clustered(1, vector.L2, 900, 20),
		"graph ip":       clustered(2, vector.IP, 900, 100),
		"graph cosine":   clustered(3, vector.Cosine, 900, 64),
		"4 bits l2":      noise(1, vector.L2, 900, 70),
		"4 bits ip":      noise(2, vector.IP, 900, 100),
		"4 bits cosine":  noise(3, vector.Cosine, 900, 200),
		"4 bits flat":    noise(4, vector.L2, 2, 130),
		"4 bits, absent": noise(5, vector.L2, 900, 100).without(func(row int) bool { return row%3 > 0 }),
		"flat":           clustered(4, vector.L2, 2, 3),
		"some absent":    clustered(5, vector.L2, 900, 20).without(func(row int) bool { return row%3 > 0 }),
		"flat, absent":   clustered(6, vector.L2, 3, 20).without(func(row int) bool { return row == 1 }),
		"all absent":     clustered(7, vector.Cosine, 100, 20).without(func(int) bool { return true }),
		"empty":          newCollection(vector.L2, 5, nil, nil),
	}
}

func TestSaveAndLoad(t *testing.T) {
	for name, c := range savedCases(t) {
		t.Run(name, func(t *testing.T) {
			o := graph.Options{FlatBytes: -1, Degree: 24}
			if strings.Contains(name, "4 bits") {
				o.Bits = 4
			}
			ix := build(t, c, o)
			b := save(t, ix)
			unaligned := append(make([]byte, 1), b...)[1:]
			opened, err := graph.Open(b, identity)
			require.NoError(t, err)
			copied, err := graph.Open(unaligned, identity)
			require.NoError(t, err)
			loaded, err := graph.Load(bytes.NewReader(b), int64(len(b)), identity)
			require.NoError(t, err)
			for _, got := range []*graph.Index{opened, copied, loaded} {
				require.Equal(t, c.metric, got.Metric())
				require.Equal(t, c.dim, got.Dim())
				require.Equal(t, strings.Contains(name, "4 bits"), got.Bits() == 4)
				sameIndex(t, ix, got)
				require.Equal(t, b, save(t, got))
				for i := range c.count() {
					want, stats, err := ix.Search(nil, c.query(i), 10, nil)
					require.NoError(t, err)
					hits, gotStats, err := got.Search(nil, c.query(i), 10, nil)
					require.NoError(t, err)
					require.Equal(t, want, hits)
					require.Equal(t, stats, gotStats)
				}
			}
		})
	}
}

// TestGolden reads the files that the first version wrote.
func TestGolden(t *testing.T) {
	c := noise(9, vector.Cosine, 300, 70).without(func(row int) bool { return row%7 == 3 })
	for file, bits := range map[string]int{"v1.idx": 8, "v1-4bit.idx": 4} {
		ix := build(t, c, graph.Options{FlatBytes: -1, Bits: bits, Degree: 12, Candidates: 24, LeafRows: 64, Entries: 16})
		path := filepath.Join("testdata", file)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.WriteFile(path, save(t, ix), 0o644))
		}
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		got, err := graph.Open(b, identity)
		require.NoError(t, err)
		require.Equal(t, c.n(), got.Rows())
		require.Equal(t, bits, got.Bits())
		require.Equal(t, got.Vectors(), got.Reachable())
		recall, _ := c.recall(t, got, 10, graph.SearchOptions{}, nil)
		require.GreaterOrEqual(t, recall, .9)
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	c := clustered(9, vector.L2, 80, 10).without(func(row int) bool { return row < 10 })
	b := save(t, build(t, c, graph.Options{FlatBytes: -1, Degree: 4, Candidates: 8, LeafRows: 64, Entries: 4}))
	_, err := graph.Open(b, identity)
	require.NoError(t, err)
	for i := range b {
		b[i] ^= 1 << (i % 8)
		_, err := graph.Open(b, identity)
		require.ErrorIs(t, err, graph.ErrCorrupt, "byte %d", i)
		b[i] ^= 1 << (i % 8)
	}
	for n := range len(b) {
		_, err := graph.Open(b[:n:n], identity)
		require.ErrorIs(t, err, graph.ErrCorrupt, "%d bytes", n)
	}
	_, err = graph.Open(append(b, 0), identity)
	require.ErrorIs(t, err, graph.ErrCorrupt)
}

func TestIdentityIsChecked(t *testing.T) {
	b := save(t, build(t, clustered(1, vector.L2, 100, 10), graph.Options{}))
	for _, id := range []graph.Identity{{}, {Segment: 42}, {Segment: 43, Token: identity.Token}} {
		_, err := graph.Open(b, id)
		var c *graph.CorruptionError
		require.ErrorAs(t, err, &c)
		require.Equal(t, "identity", c.Kind)
	}
}

func TestLoadReportsReadErrors(t *testing.T) {
	b := save(t, build(t, clustered(1, vector.L2, 100, 10), graph.Options{}))
	_, err := graph.Load(bytes.NewReader(b[:700]), int64(len(b)), identity)
	require.Error(t, err)
	_, err = graph.Load(bytes.NewReader(b), 100, identity)
	require.ErrorIs(t, err, graph.ErrCorrupt)
	_, err = graph.Load(bytes.NewReader(b), int64(len(b))+64, identity)
	require.ErrorIs(t, err, graph.ErrCorrupt)
	broken := errors.New("broken disk")
	err = build(t, clustered(1, vector.L2, 100, 10), graph.Options{}).Save(brokenWriter{broken}, identity)
	require.ErrorIs(t, err, broken)
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// reseal makes all checksums of b right again, as far as its own section table
// allows.
func reseal(b []byte) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for i := range 9 {
		e := b[128+24*i:]
		at, n := binary.LittleEndian.Uint64(e), binary.LittleEndian.Uint64(e[8:])
		if n > uint64(len(b)) || at > uint64(len(b)) {
			continue
		}
		end := min(at+(n+63)/64*64, uint64(len(b)))
		binary.LittleEndian.PutUint32(e[16:], crc32.Checksum(b[at:end], table))
	}
	binary.LittleEndian.PutUint32(b[508:], crc32.Checksum(b[:508], table))
}

// tryAll opens b and, if that works, searches: neither may panic.
func tryAll(t testing.TB, b []byte) {
	ix, err := graph.Open(b, identity)
	if err != nil {
		require.ErrorIs(t, err, graph.ErrCorrupt)
		return
	}
	q := make([]float32, ix.Dim())
	q[0] = 1
	hits, _, err := ix.Search(nil, q, 7, nil)
	require.NoError(t, err)
	require.Len(t, hits, min(7, ix.Vectors()))
	hits, _, err = ix.Search(nil, q, 3, &graph.SearchOptions{Allowed: []uint64{0xf0}})
	require.NoError(t, err)
	require.LessOrEqual(t, len(hits), 3)
}

// TestDamageUnderRightChecksums changes numbers and mends the checksums: what
// is left is checked by value.
func TestDamageUnderRightChecksums(t *testing.T) {
	c := clustered(9, vector.L2, 80, 10).without(func(row int) bool { return row < 10 })
	good := save(t, build(t, c, graph.Options{FlatBytes: -1, Degree: 4, Candidates: 8, LeafRows: 64, Entries: 4}))
	r := rand.New(rand.NewPCG(6, 6))
	c = noise(9, vector.L2, 80, 66).without(func(row int) bool { return row < 10 })
	coarse := save(t, build(t, c, graph.Options{FlatBytes: -1, Bits: 4, Degree: 4, Candidates: 8, LeafRows: 64, Entries: 4}))
	for i := range 8000 {
		b := bytes.Clone(good)
		if i%2 == 0 {
			b = bytes.Clone(coarse)
		}
		at := r.IntN(len(b) - 4)
		if i%3 == 0 {
			at = r.IntN(128) // the header's own fields
		}
		binary.LittleEndian.PutUint32(b[at/4*4:], []uint32{0, 1, 2, 69, 70, 1 << 31, ^uint32(0), r.Uint32()}[r.IntN(8)])
		reseal(b)
		tryAll(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	for name, c := range savedCases(f) {
		c.cut(20)
		bits := 8
		if strings.Contains(name, "4 bits") {
			bits = 4
		}
		ix := build(f, c, graph.Options{FlatBytes: -1, Bits: bits, Degree: 6, Candidates: 8, LeafRows: 64, Entries: 8})
		f.Add(save(f, ix), false)
		f.Add(save(f, ix), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend && len(b) >= 512 {
			copy(b, "SELKIDX\n\x01\x00\x00\x00")
			binary.LittleEndian.PutUint64(b[16:], identity.Segment)
			binary.LittleEndian.PutUint64(b[24:], identity.Token)
			reseal(b)
		}
		tryAll(t, b)
	})
}
