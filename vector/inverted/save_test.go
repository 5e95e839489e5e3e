package inverted_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/inverted"
)

var identity = inverted.Identity{Segment: 42, Token: 0x1234567890abcdef}

func save(t testing.TB, ix *inverted.Index) []byte {
	var b bytes.Buffer
	require.NoError(t, ix.Save(&b, identity))
	require.Equal(t, ix.Size(), int64(b.Len()))
	return b.Bytes()
}

// savedCases are indexes of each shape.
func savedCases() map[string]*collection {
	r := rand.New(rand.NewPCG(1, 2))
	return map[string]*collection{
		"small":   random(r, 30, 6, 8, kinds["signed"], true),
		"windows": random(r, 17_000, 2, 5, kinds["positive"], true),
		"ties":    random(r, 200, 5, 30, kinds["tied"], false),
		"blank":   random(r, 3, 0, 1, kinds["signed"], false),
		"empty":   {Vectors: inverted.Vectors{Offs: []uint32{0}}},
	}
}

func TestSaveAndLoad(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for name, c := range savedCases() {
		t.Run(name, func(t *testing.T) {
			ix := build(t, c)
			b := save(t, ix)
			unaligned := append(make([]byte, 1), b...)[1:]
			opened, err := inverted.Open(b, identity)
			require.NoError(t, err)
			copied, err := inverted.Open(unaligned, identity)
			require.NoError(t, err)
			loaded, err := inverted.Load(bytes.NewReader(b), int64(len(b)), identity)
			require.NoError(t, err)
			for _, got := range []*inverted.Index{opened, copied, loaded} {
				require.Equal(t, ix.Rows(), got.Rows())
				require.Equal(t, b, save(t, got))
				for range 10 {
					q := sparse(r, nil, 4, 30, kinds["signed"])
					hits, stats, err := got.Search([]vector.Hit{}, q, 10, nil)
					require.NoError(t, err)
					requireHits(t, c.truth(t, q, 10, nil), hits)
					_, want, err := ix.Search(nil, q, 10, nil)
					require.NoError(t, err)
					require.Equal(t, want, stats)
				}
			}
		})
	}
}

// golden is what testdata/v1.idx was made of. It draws nothing at random, so
// that it stays the same.
func golden() *collection {
	c := &collection{Vectors: inverted.Vectors{Offs: []uint32{0}}}
	for i := range uint32(16_500) {
		valid := byte(1)
		switch {
		case i%1000 == 999:
			valid = 0
		case i%97 == 0:
			c.Data = appendSparse(c.Data, []entry{
				{i % 5, float32(i%13) / 4}, {7, -1 / float32(i+1)}, {100_000 + i%7, 1 + float32(i)}, {math.MaxUint32 - 1, .5},
			})
		}
		c.Offs = append(c.Offs, uint32(len(c.Data)))
		c.Valid = append(c.Valid, valid)
	}
	return c
}

// TestGolden reads the file that the first version wrote, and writes it.
func TestGolden(t *testing.T) {
	c := golden()
	path := filepath.Join("testdata", "v1.idx")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, save(t, build(t, c)), 0o644))
	}
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(b, save(t, build(t, c))))
	ix, err := inverted.Open(b, identity)
	require.NoError(t, err)
	require.Equal(t, c.Rows(), ix.Rows())
	r := rand.New(rand.NewPCG(3, 3))
	for range 50 {
		q := appendSparse(nil, []entry{
			{r.Uint32N(6), float32(r.NormFloat64())}, {7, float32(r.NormFloat64())}, {100_000 + r.Uint32N(7), float32(r.NormFloat64())},
		})
		for _, k := range []int{1, 10, 400} {
			hits, _, err := ix.Search(nil, q, k, nil)
			require.NoError(t, err)
			requireHits(t, c.truth(t, q, k, nil), hits)
		}
	}
}

func TestEveryFlippedBitIsSeen(t *testing.T) {
	b := save(t, build(t, savedCases()["small"]))
	_, err := inverted.Open(b, identity)
	require.NoError(t, err)
	for i := range b {
		b[i] ^= 1 << (i % 8)
		_, err := inverted.Open(b, identity)
		require.ErrorIs(t, err, inverted.ErrCorrupt, "byte %d", i)
		b[i] ^= 1 << (i % 8)
	}
	for n := range len(b) {
		_, err := inverted.Open(b[:n:n], identity)
		require.ErrorIs(t, err, inverted.ErrCorrupt, "%d bytes", n)
	}
	_, err = inverted.Open(append(b, 0), identity)
	require.ErrorIs(t, err, inverted.ErrCorrupt)
}

func TestIdentityIsChecked(t *testing.T) {
	b := save(t, build(t, savedCases()["ties"]))
	for _, id := range []inverted.Identity{{}, {Segment: 42}, {Segment: 43, Token: identity.Token}} {
		_, err := inverted.Open(b, id)
		var c *inverted.CorruptionError
		require.ErrorAs(t, err, &c)
		require.Equal(t, "identity", c.Kind)
		require.Equal(t, int64(16), c.Offset)
	}
}

func TestLoadReportsReadErrors(t *testing.T) {
	b := save(t, build(t, savedCases()["ties"]))
	_, err := inverted.Load(bytes.NewReader(b[:700]), int64(len(b)), identity)
	require.ErrorContains(t, err, "EOF")
	_, err = inverted.Load(bytes.NewReader(b[:100]), int64(len(b)), identity)
	require.ErrorContains(t, err, "EOF")
	_, err = inverted.Load(bytes.NewReader(b), 100, identity)
	require.ErrorIs(t, err, inverted.ErrCorrupt)
	_, err = inverted.Load(bytes.NewReader(b), int64(len(b))+64, identity)
	require.ErrorIs(t, err, inverted.ErrCorrupt)
	_, err = inverted.Load(bytes.NewReader(b), int64(len(b)), inverted.Identity{})
	require.ErrorIs(t, err, inverted.ErrCorrupt)
	broken := errors.New("broken disk")
	for n := range 6 {
		require.ErrorIs(t, build(t, savedCases()["ties"]).Save(&brokenWriter{n, broken}, identity), broken)
	}
}

// brokenWriter fails after some writes.
type brokenWriter struct {
	left int
	err  error
}

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, w.err
	}
	return len(b), nil
}

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

// tryAll opens b and, if that works, searches: neither may panic, and the hits
// are rows.
func tryAll(t testing.TB, b []byte) {
	ix, err := inverted.Open(b, identity)
	if err != nil {
		require.ErrorIs(t, err, inverted.ErrCorrupt)
		return
	}
	q := appendSparse(nil, []entry{{0, 1}, {1000, 2}, {2000, 1}, {3000, -1}, {5000, 3}})
	for _, o := range []*inverted.SearchOptions{nil, {Allowed: []uint64{0xf0}}, {Dead: []uint64{0xf0}}} {
		for _, k := range []int{1, 7} {
			hits, _, err := ix.Search(nil, q, k, o)
			require.NoError(t, err)
			require.LessOrEqual(t, len(hits), min(k, ix.Rows()))
			for _, h := range hits {
				require.Less(t, int(h.Row), ix.Rows())
			}
		}
	}
}

// TestDamageUnderRightChecksums changes numbers and mends the checksums: what
// is left is checked by value.
func TestDamageUnderRightChecksums(t *testing.T) {
	good := save(t, build(t, savedCases()["small"]))
	r := rand.New(rand.NewPCG(6, 6))
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	for i := range rounds {
		b := bytes.Clone(good)
		at := r.IntN(len(b) - 4)
		if i%4 == 0 {
			at = r.IntN(128) // the header's own fields
		}
		switch i % 3 {
		case 0:
			b[at] ^= byte(1 + r.IntN(255))
		case 1:
			binary.LittleEndian.PutUint16(b[at/2*2:], []uint16{0, 1, 29, 30, 31, 1 << 14, 1<<16 - 1}[r.IntN(7)])
		default:
			binary.LittleEndian.PutUint32(b[at/4*4:], []uint32{0, 1, 2, 29, 30, 1 << 8, 1 << 31, ^uint32(0), r.Uint32()}[r.IntN(9)])
		}
		reseal(b)
		tryAll(t, b)
	}
}

func FuzzOpen(f *testing.F) {
	for name, c := range savedCases() {
		if name == "windows" {
			continue
		}
		ix := build(f, c)
		f.Add(save(f, ix), false)
		f.Add(save(f, ix), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		if mend && len(b) >= 512 {
			copy(b, "SELKSPX\n\x01\x00\x00\x00")
			binary.LittleEndian.PutUint64(b[16:], identity.Segment)
			binary.LittleEndian.PutUint64(b[24:], identity.Token)
			reseal(b)
		}
		tryAll(t, b)
	})
}
