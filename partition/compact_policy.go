package partition

import (
	"cmp"
	"slices"
	"time"

	"github.com/selkiedb/selkie/segment"
)

// CompactReason says why segments are merged.
type CompactReason string

// The reasons for a compaction.
const (
	CompactTier CompactReason = "tier" // as many segments of like size as make one of the next
	CompactIdle CompactReason = "idle" // small segments that no flush has joined for a while
	CompactDead CompactReason = "dead" // too many of its rows are dead
	CompactAsk  CompactReason = "ask"  // Compact was called
)

// CompactLimits say which segments are merged without being asked. The zero value merges none.
type CompactLimits struct {
	TargetBytes int64         // no segment is made larger by merging; those of at least half as much are left alone
	TargetRows  int64         // likewise
	FanIn       int           // segments of a tier that are merged
	DeadShare   float64       // share of dead rows from which on a segment is rewritten
	Idle        time.Duration // time without a flush after which small segments are merged whatever their tiers
	IdleBytes   int64         // of all of them together, at most
}

// maxInputs bounds what one merge reads: a file or two are open for each.
const maxInputs = 64

// firstTier is the size of a segment of the lowest tier, at most; each tier is FanIn times the one below it. A merge of segments that small costs
// its syncs, however few rows they hold, so firstFanIn times as many are merged at a time.
const (
	firstTier  = 16 << 10
	firstFanIn = 2
)

const (
	// smallInput is the greatest size of a segment that need not wait for a merge of large ones.
	smallInput = 64 << 10
	// SmallMerge is the size of what is read up to which a merge is so short that it is not paced.
	SmallMerge = 256 << 10
)

// candidateSegment is what the choice looks at.
type candidateSegment struct {
	s     *segment.Sealed
	shard int
	bytes int64
	rows  int64
	live  int64
}

// choose picks segments of one shard that should become one, or nil. idle is the time since the partition's last flush.
//
// Each row is rewritten once a tier, so FanIn-fold growth costs log(size)/log(FanIn) writes of each byte, and at most FanIn-1
// segments stand in a tier but the lowest.
func (l CompactLimits) choose(all []candidateSegment, idle time.Duration) ([]candidateSegment, CompactReason) {
	if l.FanIn < 2 {
		return nil, ""
	}
	byShard := map[int][]candidateSegment{}
	var dying []candidateSegment // the one with the greatest share of dead rows beyond the limit
	share := l.DeadShare
	for i, c := range all {
		if c.live == 0 {
			return []candidateSegment{c}, CompactDead
		}
		// The dead rows of a tiny segment go when it is merged with others.
		if dead := float64(c.rows-c.live) / float64(c.rows); c.bytes > firstTier && dead > share {
			dying, share = all[i:i+1], dead
		}
		if c.bytes < l.TargetBytes/2 && c.rows < l.TargetRows/2 {
			byShard[c.shard] = append(byShard[c.shard], c)
		}
	}
	shards := make([]int, 0, len(byShard))
	for shard := range byShard {
		shards = append(shards, shard)
	}
	slices.Sort(shards)
	for _, shard := range shards {
		small := byShard[shard]
		slices.SortFunc(small, func(a, b candidateSegment) int {
			return cmp.Or(cmp.Compare(a.bytes, b.bytes), cmp.Compare(a.s.ID(), b.s.ID()))
		})
		if in := l.chooseTier(small); in != nil {
			return in, CompactTier
		}
	}
	if len(dying) > 0 { // after the tiers: what rids many segments of their dead rows at once goes first
		return dying, CompactDead
	}
	for _, shard := range shards {
		if l.Idle > 0 && idle >= l.Idle {
			if in := l.fit(byShard[shard], l.IdleBytes); len(in) > 1 {
				return in, CompactIdle
			}
		}
	}
	return nil, ""
}

// chooseTier returns the segments of the lowest tier that holds enough of them, and of those below it. They ascend by size.
func (l CompactLimits) chooseTier(small []candidateSegment) []candidateSegment {
	tier, inTier := int64(firstTier), 0
	for i, c := range small {
		for c.bytes > tier {
			tier *= int64(l.FanIn)
			inTier = 0
		}
		fanIn := l.FanIn
		if tier == firstTier {
			fanIn *= firstFanIn
		}
		if inTier++; inTier >= fanIn && (i+1 == len(small) || small[i+1].bytes > tier) {
			if in := l.fit(small[:i+1], l.TargetBytes); len(in) > 1 {
				return in
			}
		}
	}
	return nil
}

// fit returns as many of the segments, smallest first, as fit into one of the size.
func (l CompactLimits) fit(small []candidateSegment, most int64) []candidateSegment {
	var bytes, rows int64
	n := 0
	for ; n < min(len(small), maxInputs); n++ {
		bytes += small[n].bytes
		rows += small[n].live
		if bytes > min(most, l.TargetBytes) || rows > l.TargetRows {
			break
		}
	}
	return small[:n]
}
