package partition

import (
	"fmt"

	"github.com/selkiedb/selkie/segment"
)

// Snapshot is a fixed view of partitions: each in one version, all at one LSN, so one prefix of the commit order.
// It must be released.
type Snapshot struct {
	lsn   uint64
	pins  []*version
	views []segment.View
	parts []*Partition // of each view
	now   int64        // rows that have expired by then are dead; 0 where none expire

	// Room for most snapshots, so that they are taken in one piece.
	firstPin    [1]*version
	firstViews  [fewViews]segment.View
	firstParts  [fewViews]*Partition
	firstSealed [fewViews]segment.SealedView
}

// fewViews is how many segments most partitions have at most.
const fewViews = 4

// Acquire takes a snapshot of the partitions at the newest visible LSN. It returns ErrDropped or ErrClosing if one of them has ended.
func Acquire(c *Clock, parts []*Partition) (*Snapshot, error) {
	for {
		s, ok := tryAcquire(c, parts)
		if ok {
			for _, p := range parts {
				if p.dropped.Load() {
					s.Release()
					return nil, ErrDropped
				}
				if p.closed.Load() {
					s.Release()
					return nil, ErrClosing
				}
			}
			return s, nil
		}
	}
}

// tryAcquire fails if the tombstones of a segment moved past the LSN while it looked: another reader saw a newer one then.
func tryAcquire(c *Clock, parts []*Partition) (*Snapshot, bool) {
	c.swap.RLock()
	defer c.swap.RUnlock()
	s := &Snapshot{lsn: c.Visible()}
	s.pins, s.views, s.parts = s.firstPin[:0], s.firstViews[:0], s.firstParts[:0]
	room := s.firstSealed[:]
	for _, p := range parts {
		if s.now == 0 {
			s.now = p.now()
		}
		v := p.version.Load()
		if len(room) < len(v.sealed) {
			room = make([]segment.SealedView, len(v.sealed))
		}
		for i, x := range v.sealed {
			if !x.ViewAt(s.lsn, &room[i]) {
				s.Release()
				return nil, false
			}
			s.views = append(s.views, room[i].Without(s.now))
		}
		room = room[len(v.sealed):]
		for _, g := range v.sealing {
			s.views = append(s.views, g.At(s.lsn).Without(s.now))
		}
		for _, g := range v.growing {
			if g != nil && g.Rows() > 0 {
				s.views = append(s.views, g.At(s.lsn).Without(s.now))
			}
		}
		for len(s.parts) < len(s.views) {
			s.parts = append(s.parts, p)
		}
		v.refs.Add(1)
		s.pins = append(s.pins, v)
	}
	return s, true
}

// LSN is the snapshot's place in the commit order.
func (s *Snapshot) LSN() uint64 { return s.lsn }

// Views are the snapshot's segments.
func (s *Snapshot) Views() []segment.View { return s.views }

// Count is the number of live rows.
func (s *Snapshot) Count() int64 {
	var n int64
	for _, v := range s.views {
		n += int64(v.Rows()) - int64(v.Dead().Count())
	}
	return n
}

// Release gives the snapshot's segments back. The views must not be used any more.
func (s *Snapshot) Release() {
	for _, v := range s.pins {
		v.unref()
	}
	s.pins, s.views, s.parts = nil, nil, nil
}

// SegmentInfo describes one segment.
type SegmentInfo struct {
	ID        segment.ID
	Partition uint64
	Shard     int
	State     segment.State
	Rows      int64 // physical rows
	Live      int64
	Bytes     int64 // of its files, or of its values in memory
	MinLSN    uint64
	MaxLSN    uint64
	Indexes   []segment.IndexInfo // those that searches use; of sealed segments
}

// String gives the description on one line.
func (i SegmentInfo) String() string {
	return fmt.Sprintf("%s %s rows=%d live=%d bytes=%d lsn=%d..%d", i.ID, i.State, i.Rows, i.Live, i.Bytes, i.MinLSN, i.MaxLSN)
}

// Stats are a partition's counts at one instant.
type Stats struct {
	Growing  int64 // live rows in growing segments
	Sealing  int64 // live rows in segments that wait to be written
	Sealed   int64 // live rows in sealed segments
	Deleted  int64 // dead rows that still take room, wherever they are
	Physical int64 // all rows, dead or alive

	Segments    int   // sealed
	Unflushed   int   // growing and sealing
	DiskBytes   int64 // files of sealed segments, without those of indexes
	MemoryBytes int64 // growing and sealing segments, key filters, indexes

	Indexed    int   // indexes of segments that are ready
	IndexCodes int   // indexes of segments that are searched by codes until their graph is there
	IndexBytes int64 // files of indexes
}

// Add sums two partitions' counts.
func (s Stats) Add(o Stats) Stats {
	return Stats{
		Growing: s.Growing + o.Growing, Sealing: s.Sealing + o.Sealing, Sealed: s.Sealed + o.Sealed,
		Deleted: s.Deleted + o.Deleted, Physical: s.Physical + o.Physical,
		Segments: s.Segments + o.Segments, Unflushed: s.Unflushed + o.Unflushed,
		DiskBytes: s.DiskBytes + o.DiskBytes, MemoryBytes: s.MemoryBytes + o.MemoryBytes,
		Indexed: s.Indexed + o.Indexed, IndexCodes: s.IndexCodes + o.IndexCodes, IndexBytes: s.IndexBytes + o.IndexBytes,
	}
}

// Describe lists the partition's segments at one instant.
func (p *Partition) Describe() ([]SegmentInfo, Stats, error) {
	s, err := Acquire(p.env.Clock, []*Partition{p})
	if err != nil {
		return nil, Stats{}, err
	}
	defer s.Release()
	infos, st := s.describe(p.id)
	return infos, st, nil
}

// describe lists the segments of a snapshot of one partition.
func (s *Snapshot) describe(id uint64) ([]SegmentInfo, Stats) {
	v := s.pins[0]
	var infos []SegmentInfo
	var st Stats
	add := func(i SegmentInfo, view segment.View) {
		i.Partition = id
		i.Rows = int64(view.Rows())
		i.Live = i.Rows - int64(view.Dead().Count())
		infos = append(infos, i)
		st.Physical += i.Rows
		st.Deleted += i.Rows - i.Live
		switch i.State {
		case segment.StateGrowing:
			st.Growing += i.Live
			st.Unflushed++
		case segment.StateSealing:
			st.Sealing += i.Live
			st.Unflushed++
		default:
			st.Sealed += i.Live
			st.Segments++
		}
	}
	views := s.views
	for i, x := range v.sealed {
		m := x.Manifest()
		indexes := x.Indexes()
		for _, ix := range indexes {
			st.IndexBytes += ix.DiskBytes
			if ix.State == segment.IndexReady {
				st.Indexed++
			} else {
				st.IndexCodes++
			}
		}
		add(SegmentInfo{
			ID: m.ID, Shard: m.Shard, State: segment.StateSealed, Bytes: m.Bytes(), MinLSN: m.MinLSN, MaxLSN: m.MaxLSN, Indexes: indexes,
		}, views[i])
		st.DiskBytes += m.Bytes()
		st.MemoryBytes += x.MemoryBytes()
	}
	views = views[len(v.sealed):]
	for i, g := range v.sealing {
		first, last := g.LSNs()
		add(SegmentInfo{ID: g.ID(), Shard: g.shard, State: segment.StateSealing, Bytes: g.RawBytes(), MinLSN: first, MaxLSN: last}, views[i])
		st.MemoryBytes += g.MemoryBytes()
	}
	views = views[len(v.sealing):]
	for shard, g := range v.growing {
		if g == nil || len(views) == 0 || views[0].ID() != g.ID() {
			continue
		}
		first, last := g.LSNs()
		add(SegmentInfo{ID: g.ID(), Shard: shard, State: segment.StateGrowing, Bytes: g.RawBytes(), MinLSN: first, MaxLSN: last}, views[0])
		st.MemoryBytes += g.MemoryBytes()
		views = views[1:]
	}
	return infos, st
}

// NumEntities is the number of live rows in sealed segments. It costs a look at each segment, not at rows.
func (p *Partition) NumEntities() int64 {
	for {
		if n, ok := p.tryNumEntities(); ok {
			return n
		}
	}
}

func (p *Partition) tryNumEntities() (n int64, ok bool) {
	c := p.env.Clock
	c.swap.RLock()
	defer c.swap.RUnlock()
	lsn := c.Visible()
	for _, s := range p.version.Load().sealed {
		view, ok := s.At(lsn)
		if !ok {
			return 0, false
		}
		view = view.Without(p.now())
		n += int64(view.Rows()) - int64(view.Dead().Count())
	}
	return n, true
}
