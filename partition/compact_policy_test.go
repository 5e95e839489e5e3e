package partition

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/segment"
)

func TestChoose(t *testing.T) {
	l := CompactLimits{TargetBytes: 1 << 30, TargetRows: 2_000_000, FanIn: 4, DeadShare: 0.2, Idle: time.Minute, IdleBytes: 64 << 20}
	seg := func(shard int, bytes, rows, dead int64) candidateSegment {
		return candidateSegment{s: &segment.Sealed{}, shard: shard, bytes: bytes, rows: rows, live: rows - dead}
	}
	same := func(n int, c candidateSegment) (out []candidateSegment) {
		for range n {
			out = append(out, c)
		}
		return out
	}
	tiny, small, half := seg(0, 2_000, 1, 0), seg(0, 20_000, 40, 0), seg(0, 600<<20, 900_000, 0)
	for name, c := range map[string]struct {
		all    []candidateSegment
		idle   time.Duration
		n      int
		reason CompactReason
	}{
		"nothing":                  {nil, time.Hour, 0, ""},
		"seven tiny ones":          {same(7, tiny), 0, 0, ""},
		"eight tiny ones":          {same(8, tiny), 0, 8, CompactTier},
		"three of a tier":          {same(3, small), 0, 0, ""},
		"four of a tier":           {same(4, small), 0, 4, CompactTier},
		"and larger ones":          {append(same(8, tiny), small, half), 0, 8, CompactTier},
		"a tier and what is below": {append(same(4, small), tiny), 0, 5, CompactTier},
		"in two shards":            {append(same(7, tiny), seg(1, 2_000, 1, 0)), 0, 0, ""},
		"large ones":               {same(9, half), time.Hour, 0, ""},
		"when it is quiet":         {[]candidateSegment{tiny, small}, time.Minute, 2, CompactIdle},
		"one alone":                {[]candidateSegment{tiny}, time.Hour, 0, ""},
		"too large for quiet":      {[]candidateSegment{seg(0, 50<<20, 1000, 0), seg(0, 60<<20, 1000, 0)}, time.Hour, 0, ""},
		"no more than the target":  {same(4, seg(0, 400<<20, 1000, 0)), 0, 2, CompactTier},
		"no more rows":             {same(4, seg(0, 100<<20, 900_000, 0)), 0, 2, CompactTier},
		"a fifth dead":             {[]candidateSegment{seg(0, 1<<20, 100, 20)}, 0, 0, ""},
		"more than a fifth":        {[]candidateSegment{tiny, seg(0, 1<<20, 100, 21)}, 0, 1, CompactDead},
		"the worst of them":        {[]candidateSegment{seg(0, 1<<20, 100, 21), seg(0, 2<<30, 100, 40), seg(0, 1<<20, 100, 30)}, 0, 1, CompactDead},
		"a tier before the dead":   {append(same(4, small), seg(0, 1<<20, 100, 21)), 0, 4, CompactTier},
		"a large one":              {[]candidateSegment{seg(0, 2<<30, 100, 21)}, 0, 1, CompactDead},
		"a tiny one":               {[]candidateSegment{seg(0, 2_000, 4, 3)}, 0, 0, ""},
		"all dead":                 {[]candidateSegment{seg(0, 2_000, 4, 4)}, 0, 1, CompactDead},
		"many at once":             {same(500, tiny), 0, maxInputs, CompactTier},
	} {
		t.Run(name, func(t *testing.T) {
			in, reason := l.choose(c.all, c.idle)
			require.Len(t, in, c.n)
			require.Equal(t, c.reason, reason)
		})
	}
	in, _ := l.choose([]candidateSegment{seg(0, 1<<20, 100, 21), seg(0, 2<<30, 100, 40), seg(0, 1<<20, 100, 30)}, 0)
	require.EqualValues(t, 60, in[0].live, "the one with the greatest share of dead rows")
	in, _ = CompactLimits{}.choose(same(100, tiny), time.Hour)
	require.Empty(t, in, "the zero value merges nothing")
}
