package partition

import (
	"slices"
	"sync"

	"github.com/selkiedb/selkie/segment"
)

// Held is a fixed view of partitions that many reads share: each takes a snapshot of it. It is safe for concurrent use and must be released.
type Held struct {
	lsn   uint64
	parts map[uint64]heldPart

	mu   sync.RWMutex // guards what follows; nothing is locked under it
	snap *Snapshot    // holds the segments; nil once released
}

type heldPart struct {
	p     *Partition
	pin   *version
	views []segment.View
}

// Hold fixes a view of the partitions at the newest visible LSN.
func Hold(c *Clock, parts []*Partition) (*Held, error) {
	s, err := Acquire(c, parts)
	if err != nil {
		return nil, err
	}
	h := &Held{lsn: s.lsn, snap: s, parts: make(map[uint64]heldPart, len(parts))}
	views := s.views
	for i, p := range parts {
		n := s.pins[i].viewsIn(views)
		h.parts[p.id] = heldPart{p: p, pin: s.pins[i], views: views[:n:n]}
		views = views[n:]
	}
	return h, nil
}

// viewsIn is how many of a snapshot's views, from the first one on, are of the version. A growing segment has one if it had rows then.
func (v *version) viewsIn(views []segment.View) int {
	n := len(v.sealed) + len(v.sealing)
	for _, g := range v.growing {
		if g != nil && n < len(views) && views[n].ID() == g.ID() {
			n++
		}
	}
	return n
}

// LSN is the view's place in the commit order.
func (h *Held) LSN() uint64 { return h.lsn }

// Acquire takes a snapshot of some of the held partitions, which outlives Release. ok is false if the view was released.
func (h *Held) Acquire(ids []uint64) (s *Snapshot, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.snap == nil {
		return nil, false
	}
	s = &Snapshot{lsn: h.lsn}
	for _, id := range ids {
		x, ok := h.parts[id]
		if !ok {
			continue
		}
		x.pin.refs.Add(1)
		s.pins = append(s.pins, x.pin)
		s.views = append(s.views, x.views...)
	}
	return s, true
}

// Describe lists the held segments of a partition.
func (h *Held) Describe(id uint64) ([]SegmentInfo, Stats) {
	s, ok := h.Acquire([]uint64{id})
	if !ok || len(s.pins) == 0 {
		return nil, Stats{}
	}
	defer s.Release()
	return s.describe(id)
}

// HeldStats is what would be gone if a view were released, as far as nobody else holds it.
type HeldStats struct {
	Segments    int   // sealed segments that ended
	DiskBytes   int64 // of their files
	MemoryBytes int64 // growing segments that were written since
}

// Stats counts what the view holds.
func (h *Held) Stats() HeldStats {
	var st HeldStats
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.snap == nil {
		return st
	}
	for _, x := range h.parts {
		now := x.p.pin()
		for _, s := range x.pin.sealed {
			if !slices.Contains(now.sealed, s) {
				st.Segments++
				st.DiskBytes += s.Manifest().Bytes()
			}
		}
		for _, g := range x.pin.unsealed() {
			if !slices.Contains(now.unsealed(), g) {
				st.MemoryBytes += g.MemoryBytes()
			}
		}
		now.unref()
	}
	return st
}

// unsealed lists the growing and sealing segments.
func (v *version) unsealed() []*segment.Growing {
	var out []*segment.Growing
	for _, g := range v.growing {
		if g != nil {
			out = append(out, g)
		}
	}
	for _, g := range v.sealing {
		out = append(out, g.Growing)
	}
	return out
}

// Release gives the view's segments back. Snapshots of it stay.
func (h *Held) Release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snap != nil {
		h.snap.Release()
		h.snap = nil
	}
}

// Released reports whether Release was called.
func (h *Held) Released() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.snap == nil
}

// Stub is a partition of the same number and schema that holds nothing and takes nothing: it stands for this one where only a held view may
// be read.
func (p *Partition) Stub() *Partition {
	s := New(p.id, p.env, p.Schema(), Restored{})
	s.dropped.Store(true)
	return s
}
