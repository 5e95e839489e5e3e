package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/wal"
)

type check struct {
	opts   CheckOptions
	report *CheckReport
	done   int64
	total  int64
}

func newCheck(dir string, o *CheckOptions) *check {
	c := &check{report: &CheckReport{Dir: dir, Problems: []Problem{}}}
	if o != nil {
		c.opts = *o
	}
	if c.opts.Samples == 0 {
		c.opts.Samples = 32
	}
	if c.opts.FS == nil {
		c.opts.FS = vfs.Default
	}
	return c
}

func (c *check) add(p Problem, err error) {
	if len(c.report.Problems) >= maxProblems {
		return
	}
	p.Offset = -1
	var own *CorruptionError
	if err = translate(err); errors.As(err, &own) {
		p.Path, p.Offset = own.Path, own.Offset
	}
	p.Text = err.Error()
	if !slices.Contains(c.report.Problems, p) {
		c.report.Problems = append(c.report.Problems, p)
	}
}

func (c *check) read(n int64) {
	c.done += n
	if c.opts.Progress != nil {
		c.opts.Progress(min(c.done, c.total), c.total)
	}
}

// store checks a store that is not open.
func (c *check) store(ctx context.Context, dir string) error {
	e, err := Open(dir, &Options{ReadOnly: true, FS: c.opts.FS, MapIndexes: true})
	switch {
	case err == nil:
		err = c.engine(ctx, e)
		return errors.Join(err, e.Close())
	case !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion):
		return err
	}
	c.add(Problem{Kind: ProblemDamage}, err)
	return c.pieces(ctx, dir)
}

// pieces checks the segments that the catalogue names one by one, because the store as a whole cannot be opened.
func (c *check) pieces(ctx context.Context, dir string) error {
	fs := c.opts.FS
	cat, _, err := openCatalogue(fs, dir, 0, func(string, error) {})
	if err != nil {
		c.add(Problem{Kind: ProblemDamage}, err)
		return ctx.Err()
	}
	if cat == nil {
		return ctx.Err() // said already
	}
	c.report.Edits = cat.number
	st := cat.state
	c.report.Collections, c.report.Partitions, c.report.Segments = len(st.collections), len(st.partitions), len(st.segments)
	for _, r := range st.segments {
		c.total += r.manifest.Bytes()
	}
	cache := segment.NewCache(1 << 20)
	defer cache.Close()
	for _, id := range slices.Sorted(maps.Keys(st.segments)) {
		r := st.segments[id]
		part := st.partitions[r.partition]
		coll := st.collections[part.collection]
		at := Problem{Kind: ProblemDamage, Collection: coll.name, Partition: part.name, Segment: uint64(id)}
		var specs []segment.IndexSpec
		for _, x := range st.indexes {
			if x.collection != coll.id {
				continue
			}
			if ix, err := newIndex(x, coll.schema); err == nil {
				specs = append(specs, ix.spec)
			}
		}
		s, err := segment.Open(fs, fs.PathJoin(dir, segmentsDir, id.String()), r.manifest, coll.schema, cache, st.dead[id], 0)
		if err != nil {
			c.add(at, err)
			continue
		}
		err = c.segment(ctx, s, specs, at)
		s.Unref()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// engine checks a store that is open.
func (c *check) engine(ctx context.Context, e *Engine) error {
	c.report.LSN = e.LSN()
	before, err := c.catalogue(e)
	if err != nil {
		return err
	}
	for _, r := range before.segments {
		c.total += r.manifest.Bytes()
	}
	seen := map[segment.ID]bool{}
	for _, coll := range e.collectionList() {
		c.report.Collections++
		var specs []segment.IndexSpec
		for _, x := range coll.indexList() {
			if x.built() {
				specs = append(specs, x.spec)
			}
		}
		for _, p := range coll.all() {
			if err := c.partition(ctx, p, specs, before, seen); err != nil && !errors.Is(err, partition.ErrDropped) {
				return err
			}
		}
	}
	// What was there before and is there now must have been met, unless a compaction ended it and this look came in between.
	e.cat.view(func(now *state) {
		for id, r := range before.segments {
			if _, still := now.segments[id]; still && !seen[id] {
				c.add(Problem{Kind: ProblemDamage, Segment: uint64(id)},
					fmt.Errorf("the catalogue names the segment in partition %d, which does not use it", r.partition))
			}
		}
	})
	if err := c.log(ctx, e); err != nil {
		return err
	}
	if e.opts.ReadOnly {
		return c.leftovers(e)
	}
	return ctx.Err()
}

// catalogue reads the catalogue's file and compares it with what is in memory.
func (c *check) catalogue(e *Engine) (*state, error) {
	cat := e.cat
	cat.mu.Lock()
	defer cat.mu.Unlock()
	path := e.fs.PathJoin(e.dir, catalogueName(cat.seq))
	damage := Problem{Kind: ProblemDamage}
	f, err := e.fs.Open(path)
	if err != nil {
		c.add(damage, &CorruptionError{Path: path, Offset: -1, Kind: "missing", Err: err})
		return cat.state.clone(), nil
	}
	raw, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if cat.broken == nil && int64(len(raw)) > cat.end {
		raw = raw[:cat.end] // a frame that did not fit on the disk
	}
	again := &catalogue{fs: e.fs, dir: e.dir, seq: cat.seq, state: newState()}
	if _, err := again.read(path, raw); err != nil {
		c.add(damage, err)
		return cat.state.clone(), nil
	}
	c.report.Edits = again.number
	ours, err := cat.state.snapshot().encode()
	if err != nil {
		return nil, err
	}
	theirs, err := again.state.snapshot().encode()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(ours, theirs) && cat.broken == nil {
		c.add(damage, &CorruptionError{Path: path, Offset: -1, Kind: "contradiction", Err: errors.New("the file says other than the catalogue in memory")})
	}
	return again.state, nil
}

// partition checks the segments of a partition and what they hold together.
func (c *check) partition(ctx context.Context, p *Partition, specs []segment.IndexSpec, before *state, seen map[segment.ID]bool) error {
	at := Problem{Kind: ProblemDamage, Collection: p.c.Name(), Partition: p.Name()}
	snap, err := partition.Acquire(p.c.e.env.Clock, []*partition.Partition{p.p})
	if err != nil {
		return err
	}
	defer snap.Release()
	c.report.Partitions++
	var unknown map[segment.ID]bool
	sealed, release := p.p.Settled(func(sealed []*segment.Sealed) { unknown = c.unknown(p, sealed) })
	defer release()
	for _, s := range sealed {
		seen[s.ID()] = true
		at.Segment = uint64(s.ID())
		c.report.Segments++
		was, known := before.segments[s.ID()]
		switch {
		case known && was.partition != p.p.ID():
			c.add(at, fmt.Errorf("the catalogue has the segment in partition %d, it is used in %d", was.partition, p.p.ID()))
		case unknown[s.ID()]:
			c.add(at, errors.New("the catalogue does not name the segment"))
		}
		var back uint32
		before.dead[s.ID()].Each(func(row uint32) {
			if !s.Tombstones().Has(row) {
				back++
			}
		})
		if back > 0 {
			c.add(at, fmt.Errorf("%d rows are dead in the catalogue and alive in memory", back))
		}
		if err := c.segment(ctx, s, specs, at); err != nil {
			return err
		}
	}
	at.Segment = 0
	if err := c.entities(ctx, p, snap, at); err != nil {
		return err
	}
	return c.recall(ctx, p, snap, at)
}

func (c *check) segment(ctx context.Context, s *segment.Sealed, specs []segment.IndexSpec, at Problem) error {
	st, err := s.Check(ctx, specs, func(err error, derived bool) {
		q := at
		if derived {
			q.Kind = ProblemDerived
		}
		c.add(q, err)
	})
	c.report.Files += st.Files
	c.report.Bytes += st.Bytes
	c.report.Rows += st.Rows
	c.report.Indexes += st.Indexes
	c.read(s.Manifest().Bytes())
	return err
}

// entities walks over all live entities in the order of their keys.
func (c *check) entities(ctx context.Context, p *Partition, snap *partition.Snapshot, at Problem) error {
	key := p.c.Schema().PrimaryKey()
	var n int64
	var last column.Key
	twice := 0
	err := snap.Iterate(ctx, nil, key, []*schema.Field{key}, func(cols []*column.Column) (bool, error) {
		keys := column.KeysOf(key, cols[0].Data())
		for i := range keys.Len() {
			k := keys.At(i)
			if n > 0 {
				switch order := last.Compare(k); {
				case order > 0:
					return false, fmt.Errorf("key %v comes after %v", k, last)
				case order == 0 && !p.c.Schema().AllowDuplicateKeys:
					if twice++; twice == 1 {
						c.add(at, fmt.Errorf("primary key %v is there twice", k))
					}
				}
			}
			last = k
			n++
		}
		return true, nil
	})
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if err != nil {
		c.add(at, err)
	} else if n != snap.Count() {
		c.add(at, fmt.Errorf("%d entities are counted, %d are found", snap.Count(), n))
	}
	c.report.Live += n
	return nil
}

// unknown returns those of the segments in use that the catalogue does not name. REQUIRES: no edit of the partition is under way.
func (c *check) unknown(p *Partition, sealed []*segment.Sealed) map[segment.ID]bool {
	out := map[segment.ID]bool{}
	p.c.e.cat.view(func(now *state) {
		if _, is := now.partitions[p.p.ID()]; !is {
			return // it is being dropped
		}
		for _, s := range sealed {
			if r, is := now.segments[s.ID()]; !is || r.partition != p.p.ID() {
				out[s.ID()] = true
			}
		}
	})
	return out
}

// recallK is the number of hits that a sample's recall is measured at.
const recallK = 10

// recall searches for entities by their own vectors, with each index and without.
func (c *check) recall(ctx context.Context, p *Partition, snap *partition.Snapshot, at Problem) error {
	refs := c.sample(snap)
	for _, x := range p.c.indexList() {
		element := query.ElementOf(x.field.Type)
		if !x.built() || len(refs) == 0 || element == vector.Sparse || !x.field.Type.IsVector() {
			continue
		}
		cols, err := snap.Fetch(ctx, []*schema.Field{x.field}, refs)
		if err != nil {
			return c.unless(ctx, at, err)
		}
		d := cols[0].Data()
		n := partition.Nearest{Field: x.field, Key: p.c.Schema().PrimaryKey(), Metric: x.metric, K: recallK}
		for i := range d.Rows {
			if d.IsNull(i) {
				continue
			}
			q, err := vector.NewQuery(x.metric, element, x.field.Dim, d.Value(i))
			if err != nil {
				c.add(at, fmt.Errorf("vector of field %q: %w", x.field.Name, err))
				continue
			}
			n.Queries = append(n.Queries, q)
		}
		if len(n.Queries) == 0 {
			continue
		}
		found, err := snap.Search(ctx, n)
		if err != nil {
			return c.unless(ctx, at, err)
		}
		n.Exact = true
		truth, err := snap.Search(ctx, n)
		if err != nil {
			return c.unless(ctx, at, err)
		}
		c.report.Recall = append(c.report.Recall, RecallSample{at.Collection, at.Partition, x.field.Name, len(truth), recallOf(found, truth)})
	}
	return nil
}

// unless adds a problem, unless the context ended.
func (c *check) unless(ctx context.Context, at Problem, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	c.add(at, err)
	return nil
}

// sample draws live rows.
func (c *check) sample(snap *partition.Snapshot) []segment.RowRef {
	var all int64
	for _, v := range snap.Views() {
		all += int64(v.Rows())
	}
	rng := rand.New(rand.NewPCG(1, uint64(all)))
	var refs []segment.RowRef
	for try := 0; all > 0 && len(refs) < c.opts.Samples && try < 4*c.opts.Samples; try++ {
		at := rng.Int64N(all)
		for i, v := range snap.Views() {
			if at < int64(v.Rows()) {
				if !v.Dead().Has(uint32(at)) {
					refs = append(refs, segment.RowRef{View: uint32(i), Row: uint32(at)})
				}
				break
			}
			at -= int64(v.Rows())
		}
	}
	return refs
}

// recallOf counts the hits that the exact search has too, or that are as near as its last one.
func recallOf(found, truth [][]partition.Hit) float64 {
	hits, all := 0, 0
	for i, want := range truth {
		all += len(want)
		for _, h := range found[i] {
			if h.Score == want[len(want)-1].Score || slices.ContainsFunc(want, func(w partition.Hit) bool { return w.Key == h.Key }) {
				hits++
			}
		}
	}
	if all == 0 {
		return 1
	}
	return float64(min(hits, all)) / float64(all)
}

// log reads the log's files, as far as they are synced.
func (c *check) log(ctx context.Context, e *Engine) error {
	if e.opts.ReadOnly {
		c.report.Records = e.counters.replayed.Load() // opening the store has read it
		return ctx.Err()
	}
	if err := e.log.Sync(ctx); err != nil {
		return c.unless(ctx, Problem{Kind: ProblemDamage}, err)
	}
	dir := e.fs.PathJoin(e.env.TempDir, fmt.Sprintf("check-%016x", rand.Uint64()))
	if err := e.fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := c.copiedLog(ctx, e, dir)
	return errors.Join(err, e.fs.RemoveAll(dir))
}

func (c *check) copiedLog(ctx context.Context, e *Engine, dir string) error {
	if err := e.copyLog(ctx, dir); err != nil {
		return c.unless(ctx, Problem{Kind: ProblemDamage}, err)
	}
	var first uint64
	e.cat.view(func(s *state) { first = s.walFirst })
	log, err := wal.Open(wal.Options{FS: e.fs, Dir: dir, FirstSeq: first, ReadOnly: true}, 0, func(lsn uint64, payload []byte) error {
		c.report.Records++
		_, _, err := partition.RecordHead(payload)
		return errors.Join(ctx.Err(), err)
	})
	if err != nil {
		return c.unless(ctx, Problem{Kind: ProblemDamage}, err)
	}
	return log.Close()
}

// copyLog makes links of the log's files, and a copy of the one that is written.
func (e *Engine) copyLog(ctx context.Context, dir string) error {
	e.truncate.Lock()
	defer e.truncate.Unlock()
	_, err := e.log.CopyTo(ctx, e.log.State(), e.fs, dir, true)
	return err
}

// leftovers looks for files that nothing names. An open for writing would have removed them.
func (c *check) leftovers(e *Engine) error {
	known := map[string]bool{}
	e.cat.view(func(s *state) {
		for id := range s.segments {
			known[id.String()] = true
		}
	})
	for _, sub := range []string{segmentsDir, tempDir} {
		path := e.fs.PathJoin(e.dir, sub)
		names, err := e.fs.List(path)
		if err != nil && !isNotExist(err) {
			return err
		}
		for _, name := range names {
			if sub == segmentsDir && known[name] {
				continue
			}
			c.report.Problems = append(c.report.Problems, Problem{
				Kind: ProblemLeftover, Path: e.fs.PathJoin(path, name), Offset: -1, Text: "nothing names this file; the next open removes what is ours",
			})
		}
	}
	return nil
}
