package partition

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// Write is one atomic call: all of it becomes durable and visible under one LSN, or nothing.
type Write struct {
	Kind       Kind
	Collection uint64
	Parts      []Part       // rows to add, by partition
	Keys       column.Keys  // the keys of all rows to add, or those to delete
	Scope      []*Partition // where older rows of the keys are looked for
	Everywhere bool         // a delete: Scope is the whole collection
	// AllowDuplicates lets an insert add a key that is there already.
	AllowDuplicates bool
	// Seen is what an upsert was made of: if other rows hold its keys when its turn comes, it is refused with ErrChanged. Nil: whatever they hold.
	Seen *Seen
}

// Part is the rows of a write for one partition.
type Part struct {
	Partition *Partition
	Batch     *column.Batch
}

// Result tells what a write did.
type Result struct {
	LSN      uint64
	Inserted int
	Deleted  int // rows that were alive and are not any more
}

// Apply checks a write, logs it, applies it and returns when it is durable (by the log's policy) and visible.
//
//  1. outside any lock: keys twice in the call; memory; the record's bytes and a place in the log's queue for them, and beside that
//     where sealed segments hold the keys
//  2. under the locks of the shards that the keys hash to, in all partitions of the scope: what holds the keys now; refuse
//     duplicates, once what is in the way is visible; the log gives the LSN
//  3. still under the locks: apply to memory, invisible as yet, while the log writes and syncs
//  4. wait for the sync, or do it if the log gave the lead in 2: with a large record and no other writer about, 2 has also written the record
//     and had the disk begin, and no goroutine is handed anything
//
// Commit point: the record is durable when the log's sync returns. ctx is heeded until the log gives the LSN; from then on
// the write's fate is the log's and Apply waits to learn it.
func (e *Env) Apply(ctx context.Context, w *Write) (Result, error) {
	if !(w.Kind == KindInsert && w.AllowDuplicates) && w.Kind != KindDelete {
		if i, j, dup := w.Keys.FirstDuplicate(); dup {
			return Result{}, &DuplicateKeyError{Keys: []column.Key{w.Keys.At(i), w.Keys.At(j)}, Rows: []int{i, j}, Total: 2, Twice: true}
		}
	}
	var bytes int64
	for _, part := range w.Parts {
		bytes += part.Batch.Bytes()
	}
	if err := e.Budget.enter(ctx, bytes); err != nil {
		return Result{}, err
	}
	defer e.Budget.leave(bytes)
	a := newApplication(e, w)
	defer a.end()
	payload := takePayload()
	rec, err := a.prepare(ctx, payload)
	if err != nil {
		return Result{}, err
	}
	a.lock()
	lsn, leads, err := a.commit(ctx, rec)
	if err != nil {
		newest := a.newest()
		a.unlock()
		e.Log.Discard(rec)
		if errors.Is(err, ErrDuplicateKey) {
			// Nobody is refused for a row that no reader sees yet: it might never be durable.
			if err := e.Clock.WaitContext(ctx, newest); err != nil {
				return Result{}, err
			}
		}
		return Result{}, err
	}
	var ahead sync.WaitGroup
	if leads { // it is likely to come again at once, and the other processors have little to do
		ahead.Go(a.ahead())
	}
	res, err := a.apply(lsn)
	a.unlock()
	e.Clock.Applied(lsn)
	if leads {
		e.Log.FinishLeading()
		ahead.Wait()
	}
	if err != nil {
		return Result{}, err
	}
	if err := e.Clock.Wait(lsn); err != nil {
		return Result{}, err
	}
	givePayload(payload) // the log is done with it; after an error it may not be
	for _, r := range a.full {
		r.p.sealFull(r)
	}
	return res, nil
}

// payloads keeps the memory of records that are in the log: fresh memory of that size costs as much as filling it.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// maxKeptPayload bounds what one record leaves behind.
const maxKeptPayload = 4 << 20

func takePayload() *[]byte { return payloads.Get().(*[]byte) }

func givePayload(p *[]byte) {
	if cap(*p) <= maxKeptPayload {
		*p = (*p)[:0]
		payloads.Put(p)
	}
}

// Note logs a record that writes nothing, and returns when it is durable: from then on a catalogue older than that of now is known for
// what it is.
func (e *Env) Note(ctx context.Context) error {
	rec, err := e.Log.Prepare(ctx, EncodeNote(e.Catalogue()))
	if err != nil {
		return err
	}
	lsn, err := e.Log.Append(rec)
	if err != nil {
		return err
	}
	e.Clock.Applied(lsn)
	return e.Clock.Wait(lsn)
}

// Replay applies a write of the log to the shards that do not hold it yet. REQUIRES: LSNs ascend; there are no readers yet.
func (e *Env) Replay(ctx context.Context, w *Write, lsn uint64) error {
	a := newApplication(e, w)
	defer a.end()
	a.replay = lsn
	if err := a.locate(ctx); err != nil {
		return err
	}
	a.lock()
	defer a.unlock()
	if err := a.find(ctx); err != nil {
		return err
	}
	if err := a.makeRoom(); err != nil {
		return err
	}
	_, err := a.apply(lsn)
	return err
}

// application is one write on its way.
type application struct {
	env    *Env
	w      *Write
	replay uint64 // LSN of the record being replayed; 0 for a new write
	hashes []uint64
	parts  []*Partition // all partitions of the write, ascending by number
	locked []*shard
	full   []fullShard // growing segments that reached a limit

	found []located // live rows that hold the keys
	seen  []lookedUp
}

// located is a row that holds a key.
type located struct {
	key     int
	growing *segment.Growing
	sealed  *segment.Sealed
	row     uint32
	expired bool // nobody sees it any more
}

// lookedUp remembers which sealed segments of a partition were searched before the locks were taken.
type lookedUp struct {
	p    *Partition
	v    *version
	rows []located
}

type fullShard struct {
	p      *Partition
	shard  int
	g      *segment.Growing
	reason SealReason
}

// applications keeps the memory of writes for the next ones.
var applications = sync.Pool{New: func() any { return new(application) }}

// newApplication begins a write; end ends it.
func newApplication(e *Env, w *Write) *application {
	a := applications.Get().(*application)
	a.env, a.w = e, w
	for i := range w.Keys.Len() {
		a.hashes = append(a.hashes, w.Keys.Hash(i))
	}
	for _, p := range w.Parts {
		a.parts = append(a.parts, p.Partition)
	}
	a.parts = append(a.parts, w.Scope...)
	if len(a.parts) > 1 {
		slices.SortFunc(a.parts, func(x, y *Partition) int { return cmp.Compare(x.id, y.id) })
		a.parts = slices.Compact(a.parts)
	}
	return a
}

// end gives back the versions that the write looked through, and its memory.
func (a *application) end() {
	for _, l := range a.seen {
		l.v.unref()
	}
	if cap(a.hashes)+cap(a.found) > maxKeptKeys {
		return
	}
	clear(a.parts)
	clear(a.full)
	clear(a.found)
	clear(a.seen)
	*a = application{hashes: a.hashes[:0], parts: a.parts[:0], locked: a.locked[:0], full: a.full[:0], found: a.found[:0], seen: a.seen[:0]}
	applications.Put(a)
}

// maxKeptKeys bounds the memory that one write leaves behind.
const maxKeptKeys = 1 << 16

// looks reports whether older rows of the keys matter to the write.
func (a *application) looks() bool { return a.w.Kind != KindInsert || !a.w.AllowDuplicates }

// largeRecord is the size from which on a record is made beside the search of the sealed segments: each takes some ten microseconds.
const largeRecord = 64 << 10

// prepare makes the record and gets its place in the log's queue, and searches the sealed segments. After an error it has neither.
func (a *application) prepare(ctx context.Context, payload *[]byte) (rec *wal.Record, err error) {
	record := func() {
		*payload = a.w.encode(*payload, a.env.Catalogue())
		rec, err = a.env.Log.Prepare(ctx, *payload)
	}
	if !a.searches() || a.size() < largeRecord {
		if err := a.locate(ctx); err != nil {
			return nil, err
		}
		record()
		return rec, err
	}
	var beside sync.WaitGroup
	beside.Go(record)
	failed := a.locate(ctx)
	beside.Wait()
	if err == nil && failed != nil {
		a.env.Log.Discard(rec)
		return nil, failed
	}
	return rec, err
}

// searches reports whether there are sealed segments to look through.
func (a *application) searches() bool {
	return a.looks() && slices.ContainsFunc(a.w.Scope, func(p *Partition) bool { return len(p.version.Load().sealed) > 0 })
}

// size is that of the values to add, in bytes.
func (a *application) size() (n int64) {
	for _, part := range a.w.Parts {
		n += part.Batch.Bytes()
	}
	return n
}

// locate searches the sealed segments, which may cost reads, before any lock is taken.
func (a *application) locate(ctx context.Context) error {
	if !a.looks() {
		return nil
	}
	for _, p := range a.w.Scope {
		look := lookedUp{p: p, v: p.pin()}
		a.seen = append(a.seen, look)
		for _, s := range look.v.sealed {
			if err := a.locateIn(ctx, s, &a.seen[len(a.seen)-1].rows); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *application) locateIn(ctx context.Context, s *segment.Sealed, rows *[]located) error {
	return s.Locate(ctx, a.w.Keys, a.hashes, func(i int, row uint32) {
		*rows = append(*rows, located{key: i, sealed: s, row: row})
	})
}

// lock takes the locks of the shards that the keys hash to, in every partition of the write.
func (a *application) lock() {
	for _, p := range a.parts {
		var touched []bool
		if len(p.shards) > 1 {
			touched = make([]bool, len(p.shards))
			for _, h := range a.hashes {
				touched[p.shardOf(h)] = true
			}
		}
		for i, s := range p.shards {
			if touched == nil || touched[i] {
				s.mu.Lock()
				a.locked = append(a.locked, s)
			}
		}
	}
}

func (a *application) unlock() {
	for _, s := range a.locked {
		s.mu.Unlock()
	}
	clear(a.locked)
	a.locked = a.locked[:0]
}

// commit checks the write against what is there and gets its LSN, and perhaps the lead of the log. REQUIRES: the locks are held.
func (a *application) commit(ctx context.Context, rec *wal.Record) (lsn uint64, leads bool, err error) {
	if a.targetDropped() {
		return 0, false, ErrDropped
	}
	for _, part := range a.w.Parts {
		if part.Batch.Schema.Version != part.Partition.Schema().Version {
			return 0, false, ErrSchema
		}
	}
	if err := a.find(ctx); err != nil {
		return 0, false, err
	}
	if a.w.Kind == KindInsert && slices.ContainsFunc(a.found, alive) {
		return 0, false, a.duplicates()
	}
	if a.w.Seen != nil && !a.w.Seen.same(a.found) {
		return 0, false, ErrChanged
	}
	if err := a.makeRoom(); err != nil {
		return 0, false, err
	}
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	return a.env.Log.AppendLeading(rec)
}

// targetDropped reports whether a partition that the call names is gone. One that is only looked through for older rows of the keys
// has none any more.
func (a *application) targetDropped() bool {
	for _, part := range a.w.Parts {
		if part.Partition.dropped.Load() {
			return true
		}
	}
	return a.w.Kind == KindDelete && !a.w.Everywhere && slices.ContainsFunc(a.w.Scope, func(p *Partition) bool { return p.dropped.Load() })
}

// find lists the live rows that hold the keys now. REQUIRES: the locks are held.
func (a *application) find(ctx context.Context) error {
	if !a.looks() {
		return nil
	}
	for i := range a.seen {
		look := &a.seen[i]
		now := look.p.version.Load()
		rows := look.rows
		if now != look.v {
			rows = slices.DeleteFunc(rows, func(l located) bool { return !slices.Contains(now.sealed, l.sealed) })
			for _, s := range now.sealed {
				if slices.Contains(look.v.sealed, s) {
					continue
				}
				if err := a.locateIn(ctx, s, &rows); err != nil {
					return err
				}
			}
		}
		for _, l := range rows {
			if !l.sealed.Tombstones().Has(l.row) {
				a.found = append(a.found, l)
			}
		}
		// A shard that none of the keys hashes to has another writer.
		for shard, g := range now.growing {
			if g != nil && slices.Contains(a.locked, look.p.shards[shard]) {
				a.findGrowing(look.p, shard, g)
			}
		}
		for _, g := range now.sealing {
			if slices.Contains(a.locked, look.p.shards[g.shard]) {
				a.findGrowing(look.p, g.shard, g.Growing)
			}
		}
	}
	if a.replay != 0 {
		a.found = slices.DeleteFunc(a.found, func(l located) bool { return !a.replays(l) })
	}
	a.markExpired()
	return nil
}

func (a *application) findGrowing(p *Partition, shard int, g *segment.Growing) {
	var mine func(i int) bool
	if len(p.shards) > 1 {
		mine = func(i int) bool { return p.shardOf(a.hashes[i]) == shard }
	}
	g.Live(a.w.Keys, a.hashes, mine, func(i int, row uint32) {
		a.found = append(a.found, located{key: i, growing: g, row: row})
	})
}

// replays reports whether the replayed write concerns the row's shard: a shard whose sealed segments hold the write already
// is left alone. Rows in growing segments were all replayed before, so they are older.
func (a *application) replays(l located) bool {
	if l.sealed == nil {
		return true
	}
	for _, look := range a.seen {
		if v := look.p.version.Load(); slices.Contains(v.sealed, l.sealed) {
			return a.replay > look.p.shards[l.sealed.Manifest().Shard].cut
		}
	}
	return false
}

// alive reports whether a row is seen by readers.
func alive(l located) bool { return !l.expired }

// markExpired tells rows that have expired from others.
func (a *application) markExpired() {
	if len(a.found) == 0 || len(a.w.Scope) == 0 {
		return
	}
	now := a.w.Scope[0].now()
	if now == 0 {
		return
	}
	for i, l := range a.found {
		if l.growing != nil {
			a.found[i].expired = l.growing.Expired(l.row, now)
		} else {
			a.found[i].expired = l.sealed.Expired(l.row, now)
		}
	}
}

func (a *application) duplicates() error {
	found := slices.DeleteFunc(slices.Clone(a.found), func(l located) bool { return l.expired })
	err := &DuplicateKeyError{Total: len(found)}
	slices.SortFunc(found, func(x, y located) int { return x.key - y.key })
	for _, l := range found[:min(len(found), maxNamedKeys)] {
		err.Keys = append(err.Keys, a.w.Keys.At(l.key))
		err.Rows = append(err.Rows, l.key)
	}
	return err
}

// newest is an LSN that no row that was found is younger than. REQUIRES: the locks are held.
func (a *application) newest() (lsn uint64) {
	for _, l := range a.found {
		if l.growing != nil {
			_, last := l.growing.LSNs()
			lsn = max(lsn, last)
		}
	}
	return lsn
}

// target calls fn with the rows of each part for each shard. The rows are nil if they are the whole batch.
func (a *application) target(fn func(p *Partition, shard int, b *column.Batch, rows []uint32) error) error {
	for _, part := range a.w.Parts {
		p := part.Partition
		if len(p.shards) == 1 {
			if a.replay == 0 || a.replay > p.shards[0].cut {
				if err := fn(p, 0, part.Batch, nil); err != nil {
					return err
				}
			}
			continue
		}
		keys := part.Batch.Keys()
		byShard := make([][]uint32, len(p.shards))
		for i := range keys.Len() {
			s := p.shardOf(keys.Hash(i))
			byShard[s] = append(byShard[s], uint32(i))
		}
		for s, rows := range byShard {
			if len(rows) == 0 || a.replay != 0 && a.replay <= p.shards[s].cut {
				continue
			}
			if err := fn(p, s, part.Batch, rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeRoom sees to it that each shard to be written has a growing segment with room, so that nothing can go wrong after the log
// has given an LSN. REQUIRES: the locks are held.
func (a *application) makeRoom() error {
	return a.target(func(p *Partition, shard int, b *column.Batch, rows []uint32) error {
		n := b.Rows
		if rows != nil {
			n = len(rows)
		}
		if n > segment.MaxRows {
			return fmt.Errorf("%d rows in one call, at most %d", n, int64(segment.MaxRows))
		}
		if g := p.version.Load().growing[shard]; g != nil {
			if g.CanTake(n) {
				return nil
			}
			p.sealShard(shard, SealFull)
		}
		p.change(func(next *version) {
			next.growing[shard] = segment.NewGrowing(a.env.NextSegmentID(true), p.Schema(), a.env.Now())
		})
		return nil
	})
}

// apply puts the write into memory. REQUIRES: the locks are held, find and makeRoom were called.
func (a *application) apply(lsn uint64) (Result, error) {
	res := Result{LSN: lsn}
	now := a.env.Now()
	if len(a.found) > 0 { // by an insert, only such as have expired
		res.Deleted = a.bury(lsn)
	}
	err := a.target(func(p *Partition, shard int, b *column.Batch, rows []uint32) error {
		if rows != nil {
			b = b.Pick(rows)
		}
		g := p.version.Load().growing[shard]
		if err := g.Append(b, lsn, now); err != nil {
			return err
		}
		res.Inserted += b.Rows
		a.env.Budget.take(g.Charge())
		if reason, full := p.isFull(g); full {
			a.full = append(a.full, fullShard{p, shard, g, reason})
		}
		return nil
	})
	if err != nil {
		// The record is in the log and a later replay will meet the same error: nothing after it may be acknowledged.
		err = errors.Join(fmt.Errorf("applying LSN %d", lsn), err)
		a.env.Clock.Fail(err)
	}
	return res, err
}

// ahead returns what has memory ready for as many rows as the write adds, for the next one. REQUIRES: the locks are held, makeRoom was called.
func (a *application) ahead() func() {
	type need struct {
		g    *segment.Growing
		rows int
	}
	var needs []need
	for _, part := range a.w.Parts {
		growing := part.Partition.version.Load().growing
		for _, g := range growing {
			if g != nil {
				needs = append(needs, need{g, part.Batch.Rows / len(growing)})
			}
		}
	}
	return func() {
		for _, n := range needs {
			n.g.Ahead(n.rows)
		}
	}
}

// bury puts tombstones on the rows that were found and returns how many of them were alive.
func (a *application) bury(lsn uint64) (n int) {
	sealed := map[*segment.Sealed][]uint32{}
	for _, l := range a.found {
		if l.growing == nil {
			sealed[l.sealed] = append(sealed[l.sealed], l.row)
			if l.expired && !l.sealed.Tombstones().Has(l.row) {
				n--
			}
			continue
		}
		if l.growing.Delete(l.row, lsn) && !l.expired {
			n++
		}
		a.env.Budget.take(l.growing.Charge())
	}
	for s, rows := range sealed {
		n += s.Tombstones().Add(rows, lsn)
	}
	return n
}

// isFull reports whether the segment has reached a limit.
func (p *Partition) isFull(g *segment.Growing) (SealReason, bool) {
	switch l := p.env.Limits; {
	case l.SegmentRows > 0 && int64(g.Rows()) >= l.SegmentRows:
		return SealRows, true
	case p.mostRows.Load() > 0 && int64(g.Rows()) >= p.mostRows.Load():
		return SealRows, true
	case l.SegmentBytes > 0 && g.RawBytes() >= l.SegmentBytes:
		return SealBytes, true
	}
	return "", false
}

// due reports whether a growing segment of the partition has grown old or idle.
func (p *Partition) due(g *segment.Growing, now time.Time) (SealReason, bool) {
	l := p.env.Limits
	switch {
	case g.Rows() == 0:
		return "", false
	case l.MaxAge > 0 && now.Sub(g.Born()) >= l.MaxAge:
		return SealAge, true
	case l.MaxIdle > 0 && g.RawBytes() >= l.MinIdleBytes && now.Sub(g.LastAppend()) >= l.MaxIdle:
		return SealIdle, true
	}
	return p.isFull(g)
}
