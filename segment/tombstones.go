package segment

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Tombstones are the deleted rows of a sealed segment. Each carries the LSN of its delete until no reader can be older, so
// that a reader at an LSN sees exactly the deletes up to it.
//
// Add is called by one writer at a time, in LSN order; At may be called by any number of readers.
type Tombstones struct {
	mu      sync.Mutex  // guards pending and unsaved; innermost in the lock order
	pending []tombstone // not yet folded, by LSN
	unsaved []tombstone // not yet in the catalogue, by LSN
	folded  atomic.Pointer[foldedDead]
	marked  atomic.Pointer[Dead] // every tombstone, visible or not: what the writer asks
}

type tombstone struct {
	row uint32
	lsn uint64
}

// foldedDead is every tombstone up to an LSN.
type foldedDead struct {
	dead *Dead
	upTo uint64
	next uint64 // LSN of the oldest pending tombstone; 0 for none
}

// NewTombstones starts with the rows that were dead at the given LSN.
func NewTombstones(dead *Dead, lsn uint64) *Tombstones {
	t := &Tombstones{}
	t.folded.Store(&foldedDead{dead: dead, upTo: lsn})
	t.marked.Store(dead)
	return t
}

// Reset starts anew. REQUIRES: nobody uses t yet.
func (t *Tombstones) Reset(dead *Dead, lsn uint64) {
	t.pending, t.unsaved = nil, nil
	t.folded.Store(&foldedDead{dead: dead, upTo: lsn})
	t.marked.Store(dead)
}

// Settle adds the rows to those that are dead, and has all that is known so far count at the LSN. REQUIRES: nobody calls At meanwhile, and no
// tombstone has a greater LSN.
func (t *Tombstones) Settle(rows []uint32, lsn uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := t.marked.Load().With(rows)
	t.pending, t.unsaved = nil, nil
	t.marked.Store(next)
	t.folded.Store(&foldedDead{dead: next, upTo: lsn})
}

// Has reports whether the row carries a tombstone, visible or not yet.
func (t *Tombstones) Has(row uint32) bool { return t.marked.Load().Has(row) }

// Marked is the number of tombstones, visible or not yet.
func (t *Tombstones) Marked() uint32 { return t.marked.Load().Count() }

// Add puts tombstones on rows under one LSN and returns how many of them were alive.
func (t *Tombstones) Add(rows []uint32, lsn uint64) int {
	marked := t.marked.Load()
	fresh := make([]uint32, 0, len(rows))
	for _, row := range rows {
		if !marked.Has(row) {
			fresh = append(fresh, row)
		}
	}
	if len(fresh) == 0 {
		return 0
	}
	slices.Sort(fresh)
	fresh = slices.Compact(fresh) // a key may be listed twice
	next := marked.With(fresh)
	n := int(next.Count() - marked.Count())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.marked.Store(next)
	for _, row := range fresh {
		t.pending = append(t.pending, tombstone{row, lsn})
		t.unsaved = append(t.unsaved, tombstone{row, lsn})
	}
	if f := t.folded.Load(); f.next == 0 {
		t.folded.Store(&foldedDead{dead: f.dead, upTo: f.upTo, next: lsn})
	}
	return n
}

// At returns the rows dead at the LSN. ok is false if the set has moved past the LSN since the reader took it: the reader takes a
// newer one.
func (t *Tombstones) At(lsn uint64) (dead *Dead, ok bool) {
	f := t.folded.Load()
	if f.upTo > lsn {
		return nil, false
	}
	if f.next == 0 || f.next > lsn {
		return f.dead, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f = t.folded.Load()
	if f.upTo > lsn {
		return nil, false
	}
	n := 0
	for n < len(t.pending) && t.pending[n].lsn <= lsn {
		n++
	}
	if n == 0 {
		return f.dead, true
	}
	rows := make([]uint32, n)
	for i, p := range t.pending[:n] {
		rows[i] = p.row
	}
	next := &foldedDead{dead: f.dead.With(rows), upTo: t.pending[n-1].lsn}
	if t.pending = t.pending[n:]; len(t.pending) == 0 {
		t.pending = nil
	} else {
		next.next = t.pending[0].lsn
	}
	t.folded.Store(next)
	return next.dead, true
}

// Unsaved returns the rows with a tombstone up to the LSN that is not in the catalogue yet, ascending.
func (t *Tombstones) Unsaved(lsn uint64) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []uint32
	for _, u := range t.unsaved {
		if u.lsn > lsn {
			break
		}
		rows = append(rows, u.row)
	}
	slices.Sort(rows)
	return rows
}

// UnsavedAfter calls fn for each tombstone with a greater LSN that is not in the catalogue yet, in the order of the LSNs.
func (t *Tombstones) UnsavedAfter(lsn uint64, fn func(row uint32, lsn uint64)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range t.unsaved {
		if u.lsn > lsn {
			fn(u.row, u.lsn)
		}
	}
}

// Saved tells that the tombstones up to the LSN are durable in the catalogue.
func (t *Tombstones) Saved(lsn uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.unsaved) && t.unsaved[n].lsn <= lsn {
		n++
	}
	if t.unsaved = t.unsaved[n:]; len(t.unsaved) == 0 {
		t.unsaved = nil
	}
}

// OldestUnsaved is the LSN of the oldest tombstone that is not in the catalogue; 0 if there is none.
func (t *Tombstones) OldestUnsaved() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.unsaved) == 0 {
		return 0
	}
	return t.unsaved[0].lsn
}
