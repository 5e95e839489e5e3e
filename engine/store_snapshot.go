package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
)

// StoreSnapshot is a fixed view of the whole store to read, at one LSN, while the store moves on. Its collections and partitions are read like those
// of the engine: Search, Query, Get, All, Iterate, Count, Stats and the rest show what there was; what would change something returns
// ErrReadOnly. Collections that are dropped or renamed later are there under the names they had.
//
// It lasts until Close of the snapshot or of the engine, and is gone with the process: a Checkpoint or a Backup lasts longer. As long, it holds
// the files of segments that were merged or dropped since, and the memory of growing segments that were written since; Metrics counts both.
// It is safe for concurrent use.
type StoreSnapshot struct {
	e           *Engine
	name        string
	created     time.Time
	held        *partition.Held
	collections map[string]*Collection
}

// SnapshotInfo describes a snapshot.
type SnapshotInfo struct {
	Name        string
	LSN         uint64
	Created     time.Time
	Segments    int   // that ended and that it holds
	DiskBytes   int64 // of these
	MemoryBytes int64 // of growing segments that are on disk by now
}

// NewSnapshot fixes a view of the store as it is now, under a name by which Engine.Snapshot finds it. It returns ErrExists if there is a
// snapshot of the name. It must be closed.
func (e *Engine) NewSnapshot(ctx context.Context, name string) (*StoreSnapshot, error) {
	s, err := e.newSnapshot(ctx, name)
	return s, wrap("snapshot", err)
}

func (e *Engine) newSnapshot(ctx context.Context, name string) (*StoreSnapshot, error) {
	if strings.TrimSpace(name) == "" {
		return nil, schema.Invalid("", name, "a snapshot must have a name")
	}
	e.gate.RLock()
	defer e.gate.RUnlock()
	if err := e.usable(); err != nil {
		return nil, err
	}
	e.ddl.Lock() // no partition is made between the look at them and the LSN
	defer e.ddl.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &StoreSnapshot{e: e, name: name, created: e.opts.Now(), collections: map[string]*Collection{}}
	var parts []*partition.Partition
	for _, c := range e.collectionList() {
		parts = append(parts, s.freeze(c)...)
	}
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	if e.snapshots[name] != nil {
		return nil, fmt.Errorf("snapshot %q %w", name, ErrExists)
	}
	var err error
	if s.held, err = partition.Hold(e.env.Clock, parts); err != nil {
		return nil, err
	}
	if e.snapshots == nil {
		e.snapshots = map[string]*StoreSnapshot{}
	}
	e.snapshots[name] = s
	return s, nil
}

// freeze makes the snapshot's own handles of a collection and its partitions, and returns the partitions to hold.
func (s *StoreSnapshot) freeze(c *Collection) (parts []*partition.Partition) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	f := &Collection{
		e: c.e, id: c.id, created: c.created, frozen: s, name: c.name, parts: map[string]*Partition{},
		indexes: maps.Clone(c.indexes), metrics: maps.Clone(c.metrics),
	}
	f.schema.Store(c.Schema())
	clones := map[*Partition]*Partition{}
	for name, p := range c.parts {
		clones[p] = &Partition{c: f, p: p.p.Stub(), name: name, hidden: p.hidden}
		f.parts[name] = clones[p]
		parts = append(parts, p.p)
	}
	for _, p := range c.hidden {
		f.hidden = append(f.hidden, clones[p])
	}
	s.collections[c.name] = f
	return parts
}

// Snapshot returns an open snapshot by name.
func (e *Engine) Snapshot(name string) (*StoreSnapshot, error) {
	if err := e.usable(); err != nil {
		return nil, err
	}
	e.snapshotsMu.Lock()
	defer e.snapshotsMu.Unlock()
	s := e.snapshots[name]
	if s == nil {
		return nil, fmt.Errorf("snapshot %q %w", name, ErrNotFound)
	}
	return s, nil
}

// Snapshots lists the open snapshots, the oldest first.
func (e *Engine) Snapshots() []SnapshotInfo {
	e.snapshotsMu.Lock()
	list := slices.Collect(maps.Values(e.snapshots))
	e.snapshotsMu.Unlock()
	out := make([]SnapshotInfo, len(list))
	for i, s := range list {
		out[i] = s.Info()
	}
	slices.SortFunc(out, func(a, b SnapshotInfo) int {
		return cmp.Or(cmp.Compare(a.LSN, b.LSN), a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name))
	})
	return out
}

// Name is the snapshot's name.
func (s *StoreSnapshot) Name() string { return s.name }

// LSN is the snapshot's place in the commit order: it shows every write up to it, and none after it.
func (s *StoreSnapshot) LSN() uint64 { return s.held.LSN() }

// Info describes the snapshot and what it holds.
func (s *StoreSnapshot) Info() SnapshotInfo {
	st := s.held.Stats()
	return SnapshotInfo{Name: s.name, LSN: s.LSN(), Created: s.created, Segments: st.Segments, DiskBytes: st.DiskBytes, MemoryBytes: st.MemoryBytes}
}

// Collection returns a collection, as it was, by the name that it had.
func (s *StoreSnapshot) Collection(name string) (*Collection, error) {
	if err := errors.Join(s.e.usable(), s.usable()); err != nil {
		return nil, err
	}
	c := s.collections[strings.TrimSpace(name)]
	if c == nil {
		return nil, fmt.Errorf("collection %q of snapshot %q %w", name, s.name, ErrNotFound)
	}
	return c, nil
}

// Collections lists the names of the collections in alphabetical order.
func (s *StoreSnapshot) Collections() []string { return slices.Sorted(maps.Keys(s.collections)) }

// Close gives up the view. Reads that are under way go on to their end; later ones return ErrClosed. It may be called again.
func (s *StoreSnapshot) Close() error {
	s.e.snapshotsMu.Lock()
	if s.e.snapshots[s.name] == s {
		delete(s.e.snapshots, s.name)
	}
	s.e.snapshotsMu.Unlock()
	s.held.Release()
	return nil
}

// closeSnapshots ends what is open when the engine is closed.
func (e *Engine) closeSnapshots() {
	e.snapshotsMu.Lock()
	list := slices.Collect(maps.Values(e.snapshots))
	e.snapshots = nil
	e.snapshotsMu.Unlock()
	for _, s := range list {
		s.held.Release()
	}
}

func (s *StoreSnapshot) usable() error {
	if s.held.Released() {
		return &closedError{fmt.Sprintf("snapshot %q is closed", s.name)}
	}
	return nil
}

// acquire takes a snapshot of the partitions, nil meaning all, as they are in the view.
func (s *StoreSnapshot) acquire(c *Collection, parts []*Partition) (*partition.Snapshot, error) {
	if parts == nil {
		parts = c.all()
	}
	ids := make([]uint64, len(parts))
	for i, p := range parts {
		ids[i] = p.p.ID()
	}
	snap, ok := s.held.Acquire(ids)
	if !ok {
		return nil, s.usable()
	}
	return snap, nil
}

func (e *Engine) snapshotMetrics(m *Metrics) {
	for _, s := range e.Snapshots() {
		m.Snapshots++
		m.OldestSnapshot = max(m.OldestSnapshot, e.opts.Now().Sub(s.Created))
		m.SnapshotSegments += s.Segments
		m.SnapshotDiskBytes += s.DiskBytes
		m.SnapshotMemoryBytes += s.MemoryBytes
	}
}

// closedError is ErrClosed of something else than the engine.
type closedError struct{ text string }

func (e *closedError) Error() string        { return e.text }
func (e *closedError) Is(target error) bool { return target == ErrClosed }
