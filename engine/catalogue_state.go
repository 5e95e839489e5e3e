package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// edit is one change of the catalogue: all of it becomes durable, or nothing.
type edit struct {
	whole           bool
	putCollections  []collectionRecord
	dropCollections []uint64
	putPartitions   []partitionRecord
	dropPartitions  []uint64
	addSegments     []segmentRecord
	dropSegments    []segment.ID
	tombstones      []partition.TombstoneEdit
	cuts            []cutRecord
	nextID          uint64
	nextSegment     segment.ID
	walFirst        uint64
	logLSN          uint64
	putIndexes      []indexRecord
	dropIndexes     []uint64
}

// onlyLog reports whether the edit says something of the log and nothing of what is stored.
func (e *edit) onlyLog() bool {
	return !e.whole && len(e.putCollections)+len(e.dropCollections)+len(e.putPartitions)+len(e.dropPartitions)+len(e.addSegments)+
		len(e.dropSegments)+len(e.tombstones)+len(e.cuts)+len(e.putIndexes)+len(e.dropIndexes) == 0
}

type collectionRecord struct {
	id      uint64
	name    string
	schema  *schema.Schema
	created int64 // unix nanoseconds
}

type partitionRecord struct {
	id         uint64
	collection uint64
	name       string
	hidden     bool
	created    int64
}

type indexRecord struct {
	id         uint64
	collection uint64
	def        schema.Index // checked
	created    int64
}

type segmentRecord struct {
	partition uint64
	manifest  segment.Manifest
}

type cutRecord struct {
	partition uint64
	cut       partition.Cut
}

// state is what exists, as of the last edit.
type state struct {
	collections map[uint64]collectionRecord
	partitions  map[uint64]partitionRecord
	indexes     map[uint64]indexRecord
	segments    map[segment.ID]segmentRecord
	dead        map[segment.ID]*segment.Dead
	cuts        map[uint64]map[int]uint64 // partition → shard → LSN
	nextID      uint64
	nextSegment segment.ID
	walFirst    uint64
	logLSN      uint64 // the log held every LSN up to this one on disk
}

func newState() *state {
	return &state{
		collections: map[uint64]collectionRecord{}, partitions: map[uint64]partitionRecord{}, indexes: map[uint64]indexRecord{}, segments: map[segment.ID]segmentRecord{},
		dead: map[segment.ID]*segment.Dead{}, cuts: map[uint64]map[int]uint64{}, nextID: 1, nextSegment: 1,
	}
}

// check refuses an edit that speaks of what does not exist: it comes too late, or the file is not what was written.
func (s *state) check(e *edit) error {
	if e.whole {
		s = newState()
	}
	collections, partitions, segments := map[uint64]collectionRecord{}, map[uint64]partitionRecord{}, map[segment.ID]uint32{}
	for _, c := range e.putCollections {
		collections[c.id] = c
	}
	hasCollection := func(id uint64) bool {
		_, old := s.collections[id]
		_, fresh := collections[id]
		return old || fresh
	}
	for _, p := range e.putPartitions {
		if !hasCollection(p.collection) {
			return fmt.Errorf("partition %d of collection %d %w", p.id, p.collection, ErrNotFound)
		}
		partitions[p.id] = p
	}
	for _, x := range e.putIndexes {
		if !hasCollection(x.collection) {
			return fmt.Errorf("index %d of collection %d %w", x.id, x.collection, ErrNotFound)
		}
	}
	knows := func(id uint64) bool {
		_, old := s.partitions[id]
		_, fresh := partitions[id]
		return old || fresh
	}
	shards := func(part uint64) int {
		p, fresh := partitions[part]
		if !fresh {
			p = s.partitions[part]
		}
		c, fresh := collections[p.collection]
		if !fresh {
			c = s.collections[p.collection]
		}
		return max(1, c.schema.Shards)
	}
	for _, r := range e.addSegments {
		if !knows(r.partition) {
			return fmt.Errorf("segment %s of partition %d %w", r.manifest.ID, r.partition, ErrNotFound)
		}
		if n := shards(r.partition); r.manifest.Shard >= n {
			return fmt.Errorf("segment %s of shard %d; partition %d has %d", r.manifest.ID, r.manifest.Shard, r.partition, n)
		}
		if _, ok := s.segments[r.manifest.ID]; ok || segments[r.manifest.ID] > 0 {
			return fmt.Errorf("segment %s %w", r.manifest.ID, ErrExists)
		}
		segments[r.manifest.ID] = r.manifest.Rows
	}
	for _, t := range e.tombstones {
		rows := segments[t.Segment]
		if r, ok := s.segments[t.Segment]; ok {
			rows = r.manifest.Rows
		}
		if n := len(t.Rows); n > 0 && t.Rows[n-1] >= rows {
			return fmt.Errorf("tombstone of row %d of segment %s, which has %d", t.Rows[n-1], t.Segment, rows)
		}
	}
	for _, c := range e.cuts {
		if !knows(c.partition) {
			return fmt.Errorf("cut of partition %d %w", c.partition, ErrNotFound)
		}
	}
	return nil
}

// apply changes the state. REQUIRES: check passed.
func (s *state) apply(e *edit) {
	if e.whole {
		*s = *newState()
	}
	s.logLSN = max(s.logLSN, e.logLSN)
	for _, c := range e.putCollections {
		s.collections[c.id] = c
	}
	for _, p := range e.putPartitions {
		s.partitions[p.id] = p
	}
	for _, x := range e.putIndexes {
		s.indexes[x.id] = x
	}
	for _, r := range e.addSegments {
		s.segments[r.manifest.ID] = r
	}
	for _, t := range e.tombstones {
		s.dead[t.Segment] = s.dead[t.Segment].With(t.Rows)
	}
	for _, c := range e.cuts {
		if s.cuts[c.partition] == nil {
			s.cuts[c.partition] = map[int]uint64{}
		}
		s.cuts[c.partition][c.cut.Shard] = max(s.cuts[c.partition][c.cut.Shard], c.cut.LSN)
	}
	for _, id := range e.dropSegments {
		delete(s.segments, id)
		delete(s.dead, id)
	}
	for _, id := range e.dropIndexes {
		delete(s.indexes, id)
	}
	for _, id := range e.dropPartitions {
		s.dropPartition(id)
	}
	for _, id := range e.dropCollections {
		delete(s.collections, id)
		for _, p := range s.partitions {
			if p.collection == id {
				s.dropPartition(p.id)
			}
		}
		for _, x := range s.indexes {
			if x.collection == id {
				delete(s.indexes, x.id)
			}
		}
	}
	s.nextID = max(s.nextID, e.nextID)
	s.nextSegment = max(s.nextSegment, e.nextSegment)
	s.walFirst = max(s.walFirst, e.walFirst)
}

func (s *state) dropPartition(id uint64) {
	delete(s.partitions, id)
	delete(s.cuts, id)
	for _, r := range s.segments {
		if r.partition == id {
			delete(s.segments, r.manifest.ID)
			delete(s.dead, r.manifest.ID)
		}
	}
}

// snapshot is the edit that makes the state from nothing.
func (s *state) snapshot() *edit {
	e := &edit{whole: true, nextID: s.nextID, nextSegment: s.nextSegment, walFirst: s.walFirst, logLSN: s.logLSN}
	for _, id := range slices.Sorted(maps.Keys(s.collections)) {
		e.putCollections = append(e.putCollections, s.collections[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.partitions)) {
		e.putPartitions = append(e.putPartitions, s.partitions[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.indexes)) {
		e.putIndexes = append(e.putIndexes, s.indexes[id])
	}
	for _, id := range slices.Sorted(maps.Keys(s.segments)) {
		e.addSegments = append(e.addSegments, s.segments[id])
		if d := s.dead[id]; d.Count() > 0 {
			t := partition.TombstoneEdit{Segment: id}
			d.Each(func(row uint32) { t.Rows = append(t.Rows, row) })
			e.tombstones = append(e.tombstones, t)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.cuts)) {
		for _, shard := range slices.Sorted(maps.Keys(s.cuts[id])) {
			e.cuts = append(e.cuts, cutRecord{id, partition.Cut{Shard: shard, LSN: s.cuts[id][shard]}})
		}
	}
	return e
}

// clone copies the state.
func (s *state) clone() *state {
	c := newState()
	c.apply(s.snapshot())
	return c
}

// lastLSN is the largest LSN that the catalogue knows was given.
func (s *state) lastLSN() uint64 {
	last := s.logLSN
	for _, r := range s.segments {
		last = max(last, r.manifest.MaxLSN)
	}
	for _, shards := range s.cuts {
		for _, lsn := range shards {
			last = max(last, lsn)
		}
	}
	return last
}
