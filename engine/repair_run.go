package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

type repairer struct {
	dir, to string
	opts    RepairOptions
	report  *RepairReport
	cache   *segment.Cache
	adopted map[segment.ID]bool
	// invented are collections that nothing describes.
	invented map[uint64]bool

	log    []lsnRange        // what was read of the log
	place  uint64            // the newest place in the catalogue that its records carry
	writes map[uint64]int    // its records, by collection
	owner  map[uint64]uint64 // the collection of a partition, as its records say
	done   int64
	all    int64
}

// lsnRange is a run of records that were read one after the other, both ends included.
type lsnRange struct{ first, last uint64 }

// run makes the new store under a temporary name. Commit point: the directory is renamed.
func (r *repairer) run(ctx context.Context) (err error) {
	fs := r.opts.FS
	if _, err := fs.Stat(r.to); err == nil {
		return fmt.Errorf("directory %s %w", r.to, ErrExists)
	} else if !isNotExist(err) {
		return err
	}
	if _, err := fs.Stat(r.dir); err != nil {
		return err
	}
	tmp := r.to + ".tmp"
	if err := fs.RemoveAll(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fs.RemoveAll(tmp))
		}
	}()
	for _, sub := range []string{"", segmentsDir, logDir, tempDir} {
		if err := fs.MkdirAll(fs.PathJoin(tmp, sub), 0o755); err != nil {
			return err
		}
	}
	r.cache, r.adopted, r.invented = segment.NewCache(8<<20), map[segment.ID]bool{}, map[uint64]bool{}
	defer r.cache.Close()

	if err := r.surveyLog(ctx); err != nil {
		return err
	}
	st, seq, whole, err := r.salvageCatalogue()
	if err != nil {
		return err
	}
	if !whole {
		if err := r.adopt(ctx, st); err != nil {
			return err
		}
	}
	if err := r.expectLog(st); err != nil {
		return err
	}
	if err := r.segments(ctx, tmp, st, whole); err != nil {
		return err
	}
	if err := r.writeLog(ctx, tmp, st); err != nil {
		return err
	}
	c := &catalogue{fs: fs, dir: tmp, state: st, seq: max(seq, r.place>>32), failed: func(error) {}, warn: func(string, error) {}}
	if err := errors.Join(c.startFile(), c.close()); err != nil {
		return err
	}
	for _, sub := range []string{segmentsDir, logDir, ""} {
		if err := syncDir(fs, fs.PathJoin(tmp, sub)); err != nil {
			return err
		}
	}
	if err := fs.Rename(tmp, r.to); err != nil {
		return err
	}
	if err := syncDir(fs, fs.PathDir(r.to)); err != nil {
		return err
	}
	r.report.Check, err = Check(ctx, r.to, &CheckOptions{FS: fs})
	return err
}

// surveyLog finds which records can be read, and what they tell of the catalogue.
func (r *repairer) surveyLog(ctx context.Context) error {
	fs := r.opts.FS
	dir := fs.PathJoin(r.dir, logDir)
	r.writes, r.owner = map[uint64]int{}, map[uint64]uint64{}
	if _, err := fs.List(dir); isNotExist(err) {
		r.report.lose(Loss{Path: dir, Text: "the log is not there: writes that were not flushed, if there were any"})
		return nil
	}
	return wal.Salvage(ctx, fs, dir, func(lsn uint64, payload []byte) error {
		coll, at, err := partition.RecordHead(payload)
		if err != nil {
			return nil // no engine wrote it
		}
		r.place = max(r.place, at)
		if coll != 0 {
			r.writes[coll]++
		}
		if part, ok := partition.RecordPartition(payload); ok {
			r.owner[part] = coll
		}
		if n := len(r.log); n > 0 && r.log[n-1].last+1 == lsn {
			r.log[n-1].last = lsn
		} else {
			if n > 0 {
				first, last := r.log[n-1].last+1, lsn-1
				r.report.lose(Loss{Path: dir, FirstLSN: first, LastLSN: last, Text: fmt.Sprintf("writes of the log from LSN %d to %d, as far as they were not flushed", first, last)})
			}
			r.log = append(r.log, lsnRange{lsn, lsn})
		}
		r.report.Records++
		return nil
	}, func(l wal.Lost) {
		r.report.lose(Loss{Path: l.Path, Text: fmt.Sprintf("bytes %d to %d of %s: %v", l.From, l.To, l.Path, l.Err)})
	})
}

// expectLog compares the log with what the catalogue says of it.
func (r *repairer) expectLog(st *state) error {
	fs := r.opts.FS
	dir := fs.PathJoin(r.dir, logDir)
	if st.walFirst > 0 {
		path := fs.PathJoin(dir, fmt.Sprintf("%06d.wal", st.walFirst))
		if _, err := fs.Stat(path); isNotExist(err) {
			r.report.lose(Loss{Path: path, Text: fmt.Sprintf("%s, the first file of the log, is missing: writes that were not flushed", path)})
		} else if err != nil {
			return err
		}
	}
	last := uint64(0)
	if n := len(r.log); n > 0 {
		last = r.log[n-1].last
	}
	if last < st.logLSN {
		r.report.lose(Loss{Path: dir, FirstLSN: last + 1, LastLSN: st.logLSN, Text: fmt.Sprintf("writes of the log from LSN %d to %d, as far as they were not flushed", last+1, st.logLSN)})
	}
	return nil
}

// logHolds reports whether every record from first to last can be read.
func (r *repairer) logHolds(first, last uint64) bool {
	return slices.ContainsFunc(r.log, func(x lsnRange) bool { return x.first <= first && last <= x.last })
}

// segments puts what can be saved of the segments into the new store, and makes the state say so.
func (r *repairer) segments(ctx context.Context, to string, st *state, whole bool) error {
	ids := slices.Sorted(maps.Keys(st.segments))
	for _, rec := range st.segments {
		r.all += rec.manifest.Bytes()
	}
	for _, id := range ids {
		rec := st.segments[id]
		if err := r.segment(ctx, to, st, rec); err != nil {
			return err
		}
		r.done += rec.manifest.Bytes()
		if r.opts.Progress != nil {
			r.opts.Progress(r.done, r.all)
		}
	}
	if whole {
		return ctx.Err()
	}
	return r.dedupe(ctx, to, st)
}

func (r *repairer) segment(ctx context.Context, to string, st *state, rec segmentRecord) error {
	fs := r.opts.FS
	man := rec.manifest
	from := fs.PathJoin(r.dir, segmentsDir, man.ID.String())
	coll := st.collections[st.partitions[rec.partition].collection]
	s, err := segment.Open(fs, from, man, coll.schema, r.cache, st.dead[man.ID], 0)
	if err == nil {
		err = s.Verify(ctx)
		s.Unref()
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if errors.Is(err, ErrVersion) || errors.Is(err, segment.ErrVersion) {
		return err
	}
	if err == nil {
		r.report.Intact++
		if r.adopted[man.ID] {
			r.report.Adopted++
		}
		return r.take(ctx, from, fs.PathJoin(to, segmentsDir, man.ID.String()))
	}
	dead := st.dead[man.ID]
	delete(st.segments, man.ID)
	delete(st.dead, man.ID)
	if r.leaveToLog(st, rec) {
		r.report.Replayed++
		r.report.note("segment %s is damaged (%v); its writes, LSN %d to %d, are in the log", man.ID, err, man.MinLSN, man.MaxLSN)
		return nil
	}
	return r.rewrite(ctx, to, st, rec, dead)
}

// take copies a segment's directory, or makes links.
func (r *repairer) take(ctx context.Context, from, to string) error {
	fs := r.opts.FS
	if err := fs.MkdirAll(to, 0o755); err != nil {
		return err
	}
	names, err := fs.List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		src, dst := fs.PathJoin(from, name), fs.PathJoin(to, name)
		if !r.opts.Copy && fs.Link(src, dst) == nil {
			continue
		}
		if err := copyWhole(fs, src, dst); err != nil {
			return err
		}
	}
	return syncDir(fs, to)
}

func copyWhole(fs vfs.FS, from, to string) (err error) {
	in, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// leaveToLog makes recovery replay the writes of a segment instead of reading it. That is right if the log has all of them, and all other
// segments of the shard are older.
func (r *repairer) leaveToLog(st *state, rec segmentRecord) bool {
	man := rec.manifest
	cut := max(man.MaxLSN, st.cuts[rec.partition][man.Shard])
	if man.MinLSN == 0 || !r.logHolds(man.MinLSN, cut) {
		return false
	}
	for _, other := range st.segments {
		if other.partition == rec.partition && other.manifest.Shard == man.Shard && other.manifest.MaxLSN >= man.MinLSN {
			return false
		}
	}
	st.cuts[rec.partition][man.Shard] = man.MinLSN - 1
	return true
}

// rewrite builds a segment of the live rows that can be read of a damaged one.
func (r *repairer) rewrite(ctx context.Context, to string, st *state, rec segmentRecord, dead *segment.Dead) error {
	fs := r.opts.FS
	man := rec.manifest
	part := st.partitions[rec.partition]
	coll := st.collections[part.collection]
	from := fs.PathJoin(r.dir, segmentsDir, man.ID.String())
	id := st.nextSegment
	st.nextSegment++
	now := time.Now()
	g := segment.NewGrowing(id, coll.schema, now)
	err := segment.Salvage(ctx, fs, from, man, coll.schema, r.cache, func(first uint32, rows int, cols []column.Data) error {
		b := &column.Batch{Schema: coll.schema, Rows: rows, Cols: cols}
		var live []uint32
		for i := range uint32(rows) {
			if !dead.Has(first + i) {
				live = append(live, i)
			}
		}
		if len(live) == 0 {
			return nil
		}
		return g.Append(b.Pick(live), man.MaxLSN, now)
	}, func(l segment.LostRows) {
		loss := Loss{
			Collection: coll.name, Partition: part.name, Segment: uint64(man.ID), Path: from, Rows: int64(l.Rows), FirstLSN: man.MinLSN, LastLSN: man.MaxLSN,
			Text: fmt.Sprintf("rows %d to %d: %v", l.First, l.First+l.Rows-1, l.Err),
		}
		if l.Null {
			loss.Field, loss.Text = l.Field, fmt.Sprintf("values of field %q of rows %d to %d, which are null now: %v", l.Field, l.First, l.First+l.Rows-1, l.Err)
		}
		r.report.lose(loss)
	})
	if err != nil || g.Rows() == 0 {
		return err
	}
	dir := fs.PathJoin(to, segmentsDir, id.String())
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	views := []segment.View{g.At(man.MaxLSN)}
	order, err := segment.Order(ctx, coll.schema, views)
	if err != nil {
		return err
	}
	built, err := segment.Build(ctx, segment.BuildSpec{
		FS: fs, Dir: dir, ID: id, Partition: rec.partition, Shard: man.Shard, Schema: coll.schema, MinLSN: man.MinLSN, MaxLSN: man.MaxLSN, Now: now,
	}, views, order)
	if err != nil {
		return err
	}
	st.segments[id] = segmentRecord{rec.partition, built}
	r.report.Rewritten++
	if r.adopted[man.ID] {
		r.report.Adopted++
	}
	return nil
}

// writeLog writes what was read of the log as a new one, each record under its LSN.
func (r *repairer) writeLog(ctx context.Context, to string, st *state) error {
	if len(r.log) == 0 {
		st.walFirst = 0
		st.logLSN = 0
		return nil
	}
	fs := r.opts.FS
	next := r.log[0].first
	log, err := wal.Open(wal.Options{
		FS: fs, Dir: fs.PathJoin(to, logDir), Policy: wal.SyncNone, MinLSN: next - 1,
	}, 0, nil)
	if err != nil {
		return err
	}
	put := func(payload []byte) error {
		rec, err := log.Prepare(ctx, payload)
		if err == nil {
			_, err = log.Append(rec)
		}
		next++
		return err
	}
	err = wal.Salvage(ctx, fs, fs.PathJoin(r.dir, logDir), func(lsn uint64, payload []byte) error {
		if _, _, err := partition.RecordHead(payload); err != nil {
			return nil
		}
		for next < lsn { // a write that is lost
			if err := put(partition.EncodeNote(0)); err != nil {
				return err
			}
		}
		if coll, known := st.collections[recordCollection(payload)]; known {
			if err := partition.RecordFits(payload, coll.schema); err != nil {
				r.report.lose(Loss{Collection: coll.name, FirstLSN: lsn, LastLSN: lsn, Text: fmt.Sprintf("the write with LSN %d: %v", lsn, err)})
				return put(partition.EncodeNote(0))
			}
		}
		return put(slices.Clone(payload)) // the log keeps it until it is written
	}, func(wal.Lost) {})
	if err == nil {
		err = log.Sync(ctx)
	}
	st.walFirst, st.logLSN = 1, next-1
	return errors.Join(err, log.Close())
}

func recordCollection(payload []byte) uint64 {
	id, _, _ := partition.RecordHead(payload)
	return id
}
