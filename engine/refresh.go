package engine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// Refresh moves a read-only engine to the newest state that the process which writes to the store has committed: at least that of the moment of
// the call. Reads see the state before or the one after it, whole, and never one that is older than what was seen. Handles stay good; those of
// what was dropped answer ErrNotFound. After an error the engine shows what it showed before, and Refresh may be called again.
//
// It takes no lock in the store's directory and does not hinder the writer. Where nothing but rows was added it costs reading the log;
// else unflushed rows are replayed anew, and new segments opened.
func (e *Engine) Refresh(ctx context.Context) error {
	e.gate.RLock()
	defer e.gate.RUnlock()
	if err := e.usable(); err != nil {
		return wrap("refresh", err)
	}
	if !e.opts.ReadOnly {
		return wrap("refresh", schema.Invalid("", nil, "only an engine that is open read-only is refreshed"))
	}
	ctx, stop := e.bind(ctx)
	defer stop()
	e.ddl.Lock()
	defer e.ddl.Unlock()
	err := e.whileItMoves(ctx, func() error { return e.refresh(ctx) })
	if err != nil {
		return wrap("refresh", err)
	}
	e.loadIndexes(ctx)
	e.counters.refreshes.Add(1)
	e.indexer.wake()
	return nil
}

// openLive is open, tried again as long as another process changes the store under it.
func openLive(dir string, o Options) (e *Engine, err error) {
	if !o.ReadOnly {
		return open(dir, o)
	}
	err = whileItMoves(context.Background(), o.FS, dir, func() error {
		e, err = open(dir, o)
		return err
	})
	return e, err
}

func (e *Engine) whileItMoves(ctx context.Context, fn func() error) error {
	return whileItMoves(ctx, e.fs, e.dir, fn)
}

// The tries of an error that may come from what another process did meanwhile.
const (
	mostTries = 1000 // of different errors
	sameTries = 4    // of the same one
)

// whileItMoves calls fn until it succeeds, or fails though the store's files are the same as before: then it is no matter of another process. So
// is an error that comes several times in a row.
func whileItMoves(ctx context.Context, fs vfs.FS, dir string, fn func() error) error {
	last, same := "", 0
	for range mostTries {
		before := shapeOf(fs, dir)
		err := fn()
		var damage *CorruptionError
		if err == nil || ctx.Err() != nil || !errors.As(translate(err), &damage) && !isNotExist(err) || shapeOf(fs, dir) == before {
			return err
		}
		if err.Error() != last {
			last, same = err.Error(), 0
		}
		if same++; same == sameTries {
			return err
		}
	}
	return errors.New(last)
}

// shapeOf describes the files of a store so that what another process does between two looks makes a difference.
func shapeOf(fs vfs.FS, dir string) string {
	var b strings.Builder
	for _, sub := range []string{"", logDir} {
		names, _ := fs.List(fs.PathJoin(dir, sub)) // an error is a difference, too
		slices.Sort(names)
		for _, n := range names {
			if !strings.HasPrefix(n, cataloguePrefix) && path.Ext(n) != ".wal" {
				continue
			}
			if info, err := fs.Stat(fs.PathJoin(dir, sub, n)); err == nil {
				fmt.Fprintln(&b, n, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}

// newestPlace is the place of the newest edit in the catalogue on disk; 0 if it cannot be read.
func (e *Engine) newestPlace() uint64 {
	c, _, err := openCatalogue(e.fs, e.dir, e.opts.CatalogueBytes, func(string, error) {})
	if err != nil || c == nil {
		return 0
	}
	return c.opened
}

// refresh reads the catalogue, and then the log: so the log holds all that the catalogue takes for granted. A record that was written after a later
// edit ends the log. REQUIRES: ddl is held.
func (e *Engine) refresh(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, _, err := openCatalogue(e.fs, e.dir, e.opts.CatalogueBytes, func(string, error) {})
	if err != nil {
		return err
	}
	if c == nil {
		return &CorruptionError{Path: e.fs.PathJoin(e.dir, catalogueName(1)), Offset: -1, Kind: "missing", Err: errors.New("there is no catalogue any more")}
	}
	moved := c.last.Load() != e.cat.last.Load()
	if c.opened < e.cat.opened {
		return &CorruptionError{
			Path: e.fs.PathJoin(e.dir, catalogueName(c.seq)), Offset: -1, Kind: "stale",
			Err: fmt.Errorf("it ends with edit %d of file %d, and had edit %d of file %d before", c.number, c.seq, uint32(e.cat.opened), e.cat.opened>>32),
		}
	}
	if moved {
		return e.rebuild(ctx, c)
	}
	e.cat.become(c)
	byID := map[uint64]*Collection{}
	for _, x := range e.collectionList() {
		byID[x.id] = x
	}
	last, err := e.replayFrom(ctx, c, e.applied, func(id uint64) followed {
		x := byID[id]
		if x == nil {
			return followed{}
		}
		return followed{x.inner, x.allInner}
	})
	if err != nil {
		return err
	}
	e.env.Clock.Restart(last)
	return nil
}

// followed finds the partitions that a record of the log goes to.
type followed struct {
	inner func(id uint64) *partition.Partition
	all   func() []*partition.Partition
}

// replayFrom applies the records of the log after an LSN, invisible as yet, and returns the LSN of the state.
func (e *Engine) replayFrom(ctx context.Context, c *catalogue, from uint64, of func(collection uint64) followed) (uint64, error) {
	st := c.state
	if st.walFirst == 0 || e.opts.LogTail == LogTailNone {
		return max(st.lastLSN(), e.env.Clock.Visible()), nil
	}
	opts := wal.Options{
		FS: e.fs, Dir: e.fs.PathJoin(e.dir, logDir), FirstSeq: st.walFirst, MinLSN: st.lastLSN(), HeldLSN: st.logLSN,
		DurableOnly: e.opts.LogTail == LogTailDurable, // without a logger: what is being written is no torn tail
	}
	found, err := wal.Replay(opts, from, func(lsn uint64, payload []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, place, err := partition.RecordHead(payload)
		if err != nil {
			return e.badRecord(lsn, err)
		}
		if place > c.opened {
			if e.newestPlace() >= place {
				return wal.ErrStop
			}
			return &CorruptionError{
				Path: e.fs.PathJoin(e.dir, catalogueName(c.seq)), Offset: -1, Kind: "stale",
				Err: fmt.Errorf("it ends with edit %d of file %d; when LSN %d was logged there was edit %d of file %d", c.number, c.seq, lsn, uint32(place), place>>32),
			}
		}
		if f := of(id); f.inner != nil {
			w, err := partition.DecodeWrite(payload, f.inner, f.all())
			if err == nil {
				err = e.env.Replay(ctx, w, lsn)
			}
			if err != nil {
				return e.badRecord(lsn, err)
			}
		}
		e.applied = max(e.applied, lsn)
		return nil
	})
	if err != nil {
		return 0, err
	}
	last := max(found, st.lastLSN())
	if was := e.env.Clock.Visible(); last < was {
		return 0, &CorruptionError{
			Path: opts.Dir, Offset: -1, Kind: "stale", Err: fmt.Errorf("the store ends at LSN %d, and was at %d before", last, was),
		}
	}
	return last, nil
}

// rebuild makes the partitions of a newer catalogue beside those that readers use, of the segments that are open and those that are new, replays
// the log into them, and then has the readers' partitions become them.
func (e *Engine) rebuild(ctx context.Context, c *catalogue) (err error) {
	b := &rebuilding{
		e: e, snap: c.state.snapshot(), open: map[segment.ID]*segment.Sealed{}, live: map[uint64]*Partition{}, parts: map[uint64]*partition.Partition{},
		dead: map[uint64]map[*segment.Sealed][]uint32{}, byColl: map[uint64][]*partition.Partition{},
	}
	defer b.end()
	b.gather()
	if err := b.make(ctx); err != nil {
		return err
	}
	applied := e.applied
	e.applied = 0
	last, err := e.replayFrom(ctx, c, 0, func(id uint64) followed {
		if b.byColl[id] == nil {
			return followed{}
		}
		return followed{func(p uint64) *partition.Partition { return b.parts[p] }, func() []*partition.Partition { return b.byColl[id] }}
	})
	if err != nil {
		e.applied = applied
		return err
	}
	e.applied = max(e.applied, applied)
	e.nextSegment.Store(max(e.nextSegment.Load(), uint64(c.state.nextSegment)))
	b.publish(last)
	e.cat.become(c)
	return nil
}

// rebuilding is a rebuild under way.
type rebuilding struct {
	e      *Engine
	snap   *edit
	open   map[segment.ID]*segment.Sealed // those of the readers, with a reference each
	live   map[uint64]*Partition          // likewise, by number
	parts  map[uint64]*partition.Partition
	byColl map[uint64][]*partition.Partition
	dead   map[uint64]map[*segment.Sealed][]uint32 // by partition
	done   bool
}

func (b *rebuilding) gather() {
	for _, p := range b.e.partitions() {
		b.live[p.p.ID()] = p
		sealed, release := p.p.Sealed()
		for _, s := range sealed {
			s.Ref()
			b.open[s.ID()] = s
		}
		release()
	}
}

// make makes the partitions with their sealed segments.
func (b *rebuilding) make(ctx context.Context) error {
	e := b.e
	schemas := map[uint64]*schema.Schema{}
	for _, r := range b.snap.putCollections {
		schemas[r.id] = r.schema
	}
	owner, restored := map[uint64]*schema.Schema{}, map[uint64]*partition.Restored{}
	for _, r := range b.snap.putPartitions {
		owner[r.id], restored[r.id] = schemas[r.collection], &partition.Restored{}
		if p := b.live[r.id]; p != nil && p.c.Schema().Version == owner[r.id].Version {
			owner[r.id] = p.c.Schema()
		}
	}
	for _, c := range b.snap.cuts {
		restored[c.partition].Cuts = append(restored[c.partition].Cuts, c.cut)
	}
	dead := map[segment.ID][]uint32{}
	for _, t := range b.snap.tombstones {
		dead[t.Segment] = t.Rows
	}
	var err error
	for _, r := range b.snap.addSegments {
		if err = ctx.Err(); err != nil {
			break
		}
		id := r.manifest.ID
		s := b.open[id]
		if s != nil && s.Manifest().Token == r.manifest.Token {
			s.Ref()
		} else {
			s, err = segment.Open(e.fs, e.fs.PathJoin(e.env.SegmentsDir, id.String()), r.manifest, owner[r.partition], e.env.Cache, segment.DeadOf(dead[id]), 0)
			if err != nil {
				break
			}
		}
		if b.dead[r.partition] == nil {
			b.dead[r.partition] = map[*segment.Sealed][]uint32{}
		}
		b.dead[r.partition][s] = dead[id]
		restored[r.partition].Sealed = append(restored[r.partition].Sealed, s)
	}
	for _, r := range b.snap.putPartitions { // after an error, too: they hold the segments
		p := partition.New(r.id, e.env, owner[r.id], *restored[r.id])
		b.parts[r.id] = p
		b.byColl[r.collection] = append(b.byColl[r.collection], p)
	}
	return err
}

// publish makes the registry what the catalogue says, and the partitions of the readers what was built.
func (b *rebuilding) publish(lsn uint64) {
	e := b.e
	b.done = true
	e.mu.Lock()
	defer e.mu.Unlock()
	byID := map[uint64]*Collection{}
	for _, c := range e.collections {
		byID[c.id] = c
	}
	next := map[string]*Collection{}
	kept := map[uint64]*Collection{}
	for _, r := range b.snap.putCollections {
		c := byID[r.id]
		if c == nil {
			c = newCollection(e, r)
		}
		kept[r.id] = c
		next[r.name] = c
		if c.Schema().Version != r.schema.Version {
			c.schema.Store(r.schema)
		}
		c.mu.Lock()
		c.name = r.name
		c.mu.Unlock()
	}
	var adopt []partition.Adoption
	parts, hidden := map[uint64]map[string]*Partition{}, map[uint64][]*Partition{}
	for _, r := range b.snap.putPartitions {
		p := b.live[r.id]
		from := b.parts[r.id]
		var to *partition.Partition
		if p == nil {
			to = partition.New(r.id, e.env, from.Schema(), partition.Restored{})
			p = &Partition{c: kept[r.collection], p: to, name: r.name, hidden: r.hidden}
		} else {
			to = p.p
		}
		adopt = append(adopt, partition.Adoption{To: to, From: from, Dead: b.dead[r.id]})
		if parts[r.collection] == nil {
			parts[r.collection] = map[string]*Partition{}
		}
		parts[r.collection][r.name] = p
		if r.hidden {
			hidden[r.collection] = append(hidden[r.collection], p)
		}
	}
	partition.Adopt(e.env.Clock, lsn, adopt)
	for id, c := range kept {
		c.mu.Lock()
		for name, p := range parts[id] {
			p.name = name
		}
		slices.SortFunc(hidden[id], func(x, y *Partition) int { return int(int64(x.p.ID()) - int64(y.p.ID())) })
		c.parts, c.hidden = parts[id], hidden[id]
		c.mu.Unlock()
		b.indexes(c)
	}
	for id, p := range b.live {
		if b.parts[id] == nil {
			p.p.Forget()
		}
	}
	for id, c := range byID {
		if kept[id] == nil {
			c.mu.Lock()
			c.dropped = true
			c.mu.Unlock()
		}
	}
	e.collections = next
}

// indexes gives a collection the definitions that the catalogue has.
func (b *rebuilding) indexes(c *Collection) {
	have := map[uint64]*index{}
	for _, x := range c.indexList() {
		have[x.id] = x
	}
	for _, r := range b.snap.putIndexes {
		if r.collection != c.id {
			continue
		}
		if have[r.id] == nil {
			x, err := newIndex(r, c.Schema())
			if err != nil { // of a newer version: it is searched without
				b.e.opts.Logger.Warn("an index cannot be used", "collection", c.Name(), "index", r.def.Name, "error", err)
				continue
			}
			c.setIndex(r.id, x)
		}
		delete(have, r.id)
	}
	for id := range have {
		c.setIndex(id, nil)
		b.e.indexer.forget(func(k indexKey) bool { return k.index == id })
		for _, p := range c.all() {
			sealed, release := p.p.Sealed()
			for _, s := range sealed {
				s.DetachIndex(id)
			}
			release()
		}
	}
}

// end gives back what was held, and what was made for nothing.
func (b *rebuilding) end() {
	for _, s := range b.open {
		s.Unref()
	}
	for _, p := range b.parts {
		if !b.done {
			p.Forget()
		}
	}
}

// loadIndexes has segments that are searched by codes use the index files that have come since.
func (e *Engine) loadIndexes(ctx context.Context) {
	for _, c := range e.collectionList() {
		for _, def := range c.indexList() {
			for _, p := range c.all() {
				sealed, release := p.p.Sealed()
				for _, s := range sealed {
					if info, ok := s.IndexInfo(def.id); !ok || info.State == segment.IndexReady {
						continue
					}
					if _, err := e.fs.Stat(e.fs.PathJoin(s.Dir(), def.spec.FileName())); err != nil {
						continue
					}
					if err := s.LoadIndex(ctx, def.spec, e.opts.MapIndexes); err != nil && !isNotExist(err) {
						e.opts.Logger.Warn("an index cannot be used", "segment", s.ID(), "index", def.def.Name, "error", err)
					}
				}
				release()
			}
		}
	}
}

// become makes a catalogue that is only read what a newer one is.
func (c *catalogue) become(next *catalogue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq, c.salt, c.end, c.number, c.base, c.state, c.opened = next.seq, next.salt, next.end, next.number, next.base, next.state, next.opened
	c.last.Store(next.last.Load())
}
