package segment_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/segment"
)

// The rows of interest: around words, pages, and far beyond the last page.
var deadRow = rapid.OneOf(rapid.Uint32Range(0, 200), rapid.Uint32Range(32_600, 32_900), rapid.Uint32Range(65_500, 65_600), rapid.Uint32Range(0, 200_000))

func TestDeadAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var dead *segment.Dead
		model := map[uint32]bool{}
		older, olderRows := dead, []uint32(nil)
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			older, olderRows = dead, slices.Sorted(keysOf(model))
			rows := rapid.SliceOfN(deadRow, 0, 40).Draw(t, "rows")
			dead = dead.With(rows)
			for _, r := range rows {
				model[r] = true
			}
		}
		require.EqualValues(t, len(model), dead.Count())
		require.Equal(t, slices.Sorted(keysOf(model)), listed(dead))
		require.Equal(t, olderRows, listed(older), "With changes nothing but its result")
		for range 20 {
			r := deadRow.Draw(t, "row")
			require.Equal(t, model[r], dead.Has(r))
		}
		for range 6 {
			checkWords(t, dead, model, deadRow.Draw(t, "first"), rapid.Uint32Range(0, 70_000).Draw(t, "n"), rapid.Bool().Draw(t, "reuse"))
		}
		same := segment.DeadOf(slices.Sorted(keysOf(model)))
		require.Equal(t, listed(dead), listed(same))
	})
}

func checkWords(t require.TestingT, dead *segment.Dead, model map[uint32]bool, first, n uint32, reuse bool) {
	var dst []uint64
	if reuse {
		dst = make([]uint64, 2000)
		for i := range dst {
			dst[i] = ^uint64(0) // what was in it before must not shine through
		}
	}
	words := dead.Words(dst, first, n)
	any := false
	for r := range model {
		any = any || r >= first && r-first < n
	}
	require.Equal(t, any, words != nil, "nil if and only if none of the rows is dead")
	if words == nil {
		return
	}
	require.Len(t, words, int(n+63)/64)
	for i := range uint32(len(words)) * 64 {
		want := i < n && model[first+i]
		if got := words[i/64]>>(i%64)&1 == 1; got != want {
			require.Equal(t, want, got, "row %d, bit %d from %d", first+i, i, first)
		}
	}
}

func keysOf(m map[uint32]bool) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func listed(d *segment.Dead) (rows []uint32) {
	d.Each(func(r uint32) { rows = append(rows, r) })
	return rows
}

func TestNoDead(t *testing.T) {
	for _, d := range []*segment.Dead{nil, {}, segment.DeadOf(nil), (*segment.Dead)(nil).With(nil)} {
		require.Zero(t, d.Count())
		require.False(t, d.Has(0))
		require.Nil(t, d.Words(nil, 0, 100))
		require.Empty(t, listed(d))
	}
}

// Tombstones at every LSN against a list of (row, LSN), while readers of falling and rising LSNs fold them.
func TestTombstonesAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 50), 0, 5, rapid.ID).Draw(t, "dead at first")
		tombs := segment.NewTombstones(segment.DeadOf(start), 10)
		at := map[uint32]uint64{} // row → LSN of its tombstone
		for _, r := range start {
			at[r] = 10
		}
		saved, folded, lsn := uint64(10), uint64(10), uint64(10)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				lsn += rapid.Uint64Range(1, 3).Draw(t, "gap")
				fresh := 0
				rows := rapid.SliceOfN(rapid.Uint32Range(0, 99), 0, 6).Draw(t, "rows") // a row may be listed twice
				for _, r := range rows {
					if _, ok := at[r]; !ok {
						at[r] = lsn
						fresh++
					}
				}
				require.Equal(t, fresh, tombs.Add(rows, lsn))
			},
			"read": func(t *rapid.T) {
				// Readers come in the order of their LSNs but for stragglers.
				ask := rapid.Uint64Range(9, lsn).Draw(t, "LSN")
				dead, ok := tombs.At(ask)
				if !ok {
					require.Less(t, ask, folded, "a reader at the newest LSN that was read always gets its set")
					return
				}
				var want []uint32
				for r, l := range at {
					if l <= ask {
						want = append(want, r)
					}
				}
				slices.Sort(want)
				require.Equal(t, want, listed(dead))
				folded = max(folded, ask)
			},
			"save": func(t *rapid.T) {
				saved = max(saved, rapid.Uint64Range(9, lsn).Draw(t, "LSN"))
				tombs.Saved(saved)
			},
			"": func(t *rapid.T) {
				require.EqualValues(t, len(at), tombs.Marked())
				var unsaved []uint32
				var oldest uint64
				for r := range uint32(100) {
					l, ok := at[r]
					require.Equal(t, ok, tombs.Has(r))
					if ok && l > saved {
						unsaved = append(unsaved, r)
						if oldest == 0 || l < oldest {
							oldest = l
						}
					}
				}
				require.Equal(t, unsaved, tombs.Unsaved(lsn), "each row once, ascending")
				require.Equal(t, oldest, tombs.OldestUnsaved())
				var upTo []uint32
				for _, r := range unsaved {
					if at[r] <= (saved+lsn)/2 {
						upTo = append(upTo, r)
					}
				}
				require.Equal(t, upTo, tombs.Unsaved((saved+lsn)/2))
			},
		})
	})
}

func TestRowsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := map[uint32]bool{}
		for range rapid.IntRange(0, 5).Draw(t, "runs") { // runs, which roaring keeps in another form, and single rows
			from, n := deadRow.Draw(t, "from"), rapid.Uint32Range(1, 9000).Draw(t, "n")
			for r := from; r < from+n; r++ {
				set[r] = true
			}
		}
		for _, r := range rapid.SliceOfN(rapid.Uint32Range(0, 1<<31-1), 0, 20).Draw(t, "single") {
			set[r] = true
		}
		rows := slices.Sorted(keysOf(set))
		prefix := []byte("before")
		raw, err := segment.EncodeRows(prefix, rows)
		require.NoError(t, err)
		require.Equal(t, "before", string(raw[:6]))
		got, rest, err := segment.DecodeRows(append(raw[6:], "after"...), 1<<31)
		require.NoError(t, err)
		require.Equal(t, "after", string(rest))
		require.Equal(t, len(rows), len(got))
		require.True(t, slices.Equal(rows, got))
		if len(rows) > 0 {
			_, _, err = segment.DecodeRows(raw[6:], rows[len(rows)-1])
			require.ErrorIs(t, err, segment.ErrBadTombstones, "a row beyond the segment")
		}
	})
}

// Each flipped bit and each cut is found.
func TestRowsDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var rows []uint32
	for r := uint32(0); r < 300_000; r += 1 + rng.Uint32N(900) {
		rows = append(rows, r)
	}
	raw, err := segment.EncodeRows(nil, rows)
	require.NoError(t, err)
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1 << rng.IntN(8)
		_, _, err := segment.DecodeRows(bad, 300_000)
		require.ErrorIs(t, err, segment.ErrBadTombstones, "byte %d", i)
		_, _, err = segment.DecodeRows(raw[:i], 300_000)
		require.ErrorIs(t, err, segment.ErrBadTombstones, "%d bytes", i)
	}
}
