package probe

// This file is of the package itself: it compares the kernels with their plain Go twins, neither of which is exported.

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// has is what the filter on disk means, one word after another.
func has(blocks []Block, hash uint64) bool {
	i, seed := place(hash, len(blocks))
	for w := range blocks[i] {
		if blocks[i][w]&bit(seed, w) == 0 {
			return false
		}
	}
	return true
}

// may is what a look-up in a table means, one slot after another.
func may(slots []atomic.Uint64, hash uint64) bool {
	free := false
	for i := range LineSlots {
		v := slots[Start(hash, len(slots))+i].Load()
		if v>>32 == hash>>32 {
			return true
		}
		free = free || v == 0
	}
	return !free
}

// compare runs a function and its twin, and holds both against the meaning, for lists of several lengths.
func compare(t *testing.T, hashes []uint64, fast, twin func(hashes []uint64, out []uint32) int, want func(hash uint64) bool) {
	t.Helper()
	for from := range min(len(hashes), 3) {
		part := hashes[from:]
		var places []uint32
		for i, h := range part {
			if want(h) {
				places = append(places, uint32(i))
			}
		}
		for name, f := range map[string]func([]uint64, []uint32) int{"kernel": fast, "twin": twin} {
			out := make([]uint32, len(part)+1)
			out[len(part)] = 0xdead
			n := f(part, out[:len(part)])
			require.Equal(t, places, append([]uint32(nil), out[:n]...), "%s from %d", name, from)
			require.Equal(t, uint32(0xdead), out[len(part)], "%s writes behind the list", name)
		}
	}
}

func compareFilter(t *testing.T, blocks []Block, hashes []uint64) {
	t.Helper()
	compare(t, hashes,
		func(h []uint64, out []uint32) int { return Filter(blocks, h, out) },
		func(h []uint64, out []uint32) int { return filterGo(blocks, h, out) },
		func(h uint64) bool { return has(blocks, h) })
}

func compareTable(t *testing.T, slots []atomic.Uint64, hashes []uint64) {
	t.Helper()
	compare(t, hashes,
		func(h []uint64, out []uint32) int { return Table(slots, h, out) },
		func(h []uint64, out []uint32) int { return tableGo(slots, h, out) },
		func(h uint64) bool { return may(slots, h) })
}

func TestFilter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, keys := range []int{1, 15, 16, 17, 1000, 20_000} {
		blocks := make([]Block, keys/16+1)
		hashes := make([]uint64, 0, 1500)
		for range keys {
			h := rng.Uint64()
			AddToFilter(blocks, h)
			if len(hashes) < 200 {
				require.True(t, has(blocks, h))
				hashes = append(hashes, h)
			}
		}
		for len(hashes) < 1500 {
			hashes = append(hashes, rng.Uint64())
		}
		rng.Shuffle(len(hashes), func(i, j int) { hashes[i], hashes[j] = hashes[j], hashes[i] })
		compareFilter(t, blocks, hashes)
		compareFilter(t, blocks, hashes[:3])
	}
	require.Zero(t, Filter(make([]Block, 1), nil, nil))
	require.Panics(t, func() { Filter(nil, make([]uint64, 1), make([]uint32, 1)) })
	require.Panics(t, func() { Filter(make([]Block, 1), make([]uint64, 2), make([]uint32, 1)) })
}

// What a filter's bytes mean stays what it was.
func TestFilterIsOnDisk(t *testing.T) {
	blocks := make([]Block, 3)
	AddToFilter(blocks, 0x0123456789abcdef)
	AddToFilter(blocks, 42)
	require.Equal(t, []Block{
		{},
		{0x280000, 0x40200000, 0x500000, 0x80001, 0x42000, 0x80008, 0x180, 0x800002},
		{},
	}, blocks)
}

func newTable(rng *rand.Rand, n, used int) (slots []atomic.Uint64, hashes []uint64) {
	slots = make([]atomic.Uint64, n)
	for range used {
		h := rng.Uint64()
		i := Start(h, n)
		for slots[i].Load() != 0 {
			i = (i + 1) & (n - 1)
		}
		slots[i].Store(h>>32<<32 | uint64(rng.Uint32()|1))
		hashes = append(hashes, h)
	}
	return slots, hashes
}

func TestTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{8, 16, 128, 1 << 13} {
		for percent := 0; percent <= 100; percent += 25 {
			slots, hashes := newTable(rng, n, n*percent/100)
			rng.Shuffle(len(hashes), func(i, j int) { hashes[i], hashes[j] = hashes[j], hashes[i] })
			hashes = append(hashes[:min(len(hashes), 200)], 0, 1, 1<<32, ^uint64(0), 0xffffffff00000000)
			for range 800 {
				hashes = append(hashes, rng.Uint64())
			}
			compareTable(t, slots, hashes)
			compareTable(t, slots, hashes[len(hashes)-3:])
		}
	}
	require.Zero(t, Table(make([]atomic.Uint64, 8), nil, nil))
	for _, n := range []int{0, 4, 12} {
		require.Panics(t, func() { Table(make([]atomic.Uint64, n), make([]uint64, 1), make([]uint32, 1)) }, "%d slots", n)
	}
	require.Panics(t, func() { Table(make([]atomic.Uint64, 8), make([]uint64, 2), make([]uint32, 1)) })
}

// words reads data as 64-bit words.
func words(data []byte) (w []uint64) {
	for ; len(data) >= 8; data = data[8:] {
		w = append(w, binary.LittleEndian.Uint64(data))
	}
	return w
}

func FuzzFilter(f *testing.F) {
	f.Add([]byte("01234567"), []byte("0123456789abcdef"), uint8(0))
	f.Fuzz(func(t *testing.T, add, look []byte, n uint8) {
		blocks := make([]Block, int(n)+1)
		for _, h := range words(add) {
			AddToFilter(blocks, h)
		}
		compareFilter(t, blocks, append(words(look), words(add)...))
	})
}

func FuzzTable(f *testing.F) {
	f.Add(make([]byte, 64), make([]byte, 8))
	f.Fuzz(func(t *testing.T, data, look []byte) {
		w, n := words(data), LineSlots
		for n < len(w) {
			n *= 2
		}
		slots := make([]atomic.Uint64, n)
		for i, v := range w {
			slots[i].Store(v)
		}
		compareTable(t, slots, append(words(look), w...))
	})
}

// The benchmarks give the median time of a key in structures too large for near caches, whose lines other work has driven out.
func bench(b *testing.B, fast, twin func(hashes []uint64, out []uint32) int) {
	const keys, rounds = 1000, 501
	rng := rand.New(rand.NewPCG(5, 6))
	hashes, out := make([]uint64, keys), make([]uint32, keys)
	from, to := make([]byte, 4<<20), make([]byte, 4<<20)
	for name, f := range map[string]func([]uint64, []uint32) int{"kernel": fast, "twin": twin} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				took := make([]time.Duration, rounds)
				for r := range took {
					for i := range hashes {
						hashes[i] = rng.Uint64()
					}
					copy(to, from)
					start := time.Now()
					f(hashes, out)
					took[r] = time.Since(start)
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[rounds/2].Nanoseconds())/keys, "ns/key")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	rng := rand.New(rand.NewPCG(7, 8))
	blocks := make([]Block, 333_000/16)
	for range 333_000 {
		AddToFilter(blocks, rng.Uint64())
	}
	bench(b, func(h []uint64, out []uint32) int { return Filter(blocks, h, out) },
		func(h []uint64, out []uint32) int { return filterGo(blocks, h, out) })
}

func BenchmarkTable(b *testing.B) {
	for _, percent := range []int{40, 55, 75} {
		b.Run(fmt.Sprintf("%d%%", percent), func(b *testing.B) {
			slots, _ := newTable(rand.New(rand.NewPCG(9, 10)), 1<<19, 1<<19*percent/100)
			bench(b, func(h []uint64, out []uint32) int { return Table(slots, h, out) },
				func(h []uint64, out []uint32) int { return tableGo(slots, h, out) })
		})
	}
}
