package engine

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// recoverStore brings the store to where it was:
//
//  1. read the catalogue; write a first one if the directory is empty
//  2. make the directories, empty the one where segments are built
//  3. open the sealed segments
//  4. replay the log: each record to the shards whose sealed segments do not hold it
//  5. start a new log file
//  6. remove the segments and index files that the catalogue does not name: only now is it known that it is not an older copy
//
// It changes nothing that a crash in the middle would miss: the next recovery does the same.
//
// made is how many levels of the store's path this open made.
func (e *Engine) recoverStore(made int) error {
	if err := e.openCatalogue(made); err != nil {
		return err
	}
	if !e.opts.ReadOnly {
		if err := e.makeDirs(); err != nil {
			return err
		}
	}
	var snap *edit
	var walFirst, logLSN, lastLSN uint64
	e.cat.view(func(s *state) {
		snap = s.snapshot()
		walFirst, logLSN, lastLSN = s.walFirst, s.logLSN, s.lastLSN()
		e.nextSegment.Store(uint64(s.nextSegment))
	})
	if err := e.openPartitions(snap); err != nil {
		return err
	}
	if err := e.openLog(walFirst, logLSN, lastLSN); err != nil {
		return err
	}
	if e.opts.ReadOnly {
		return nil
	}
	return errors.Join(e.removeGarbage(), e.removeIndexGarbage())
}

func (e *Engine) openCatalogue(made int) error {
	warn := func(msg string, err error) { e.opts.Logger.Warn(msg, "error", err) }
	c, torn, err := openCatalogue(e.fs, e.dir, e.opts.CatalogueBytes, warn)
	if err != nil {
		return err
	}
	if c == nil {
		if err := e.checkEmpty(); err != nil {
			return err
		}
		if e.opts.ReadOnly || e.opts.MustExist {
			return fmt.Errorf("store %w", ErrNotFound)
		}
		c = &catalogue{fs: e.fs, dir: e.dir, state: newState(), rewrite: e.opts.CatalogueBytes, warn: warn}
		e.cat, c.failed = c, e.fail
		if err := syncParents(e.fs, e.dir, max(made, 1)); err != nil {
			return err
		}
		return c.startFile()
	}
	e.cat, c.failed = c, e.fail
	switch {
	case e.opts.ReadOnly:
		return nil
	case torn:
		return c.startFile()
	}
	return c.resume()
}

// checkEmpty refuses to begin a new store over the remains of one that lost its catalogue.
func (e *Engine) checkEmpty() error {
	for _, sub := range []string{logDir, segmentsDir} {
		path := e.fs.PathJoin(e.dir, sub)
		names, err := e.fs.List(path)
		if err != nil && !isNotExist(err) {
			return err
		}
		if len(names) > 0 {
			return &CorruptionError{
				Path: e.fs.PathJoin(e.dir, catalogueName(1)), Offset: -1, Kind: "missing",
				Err: fmt.Errorf("there is no catalogue, but %s holds %d files", path, len(names)),
			}
		}
	}
	return nil
}

// makeDir makes a directory and its parents, and tells how many of them were missing.
func makeDir(fsys vfs.FS, dir string) (made int, err error) {
	for d := dir; ; made++ {
		if _, err := fsys.Stat(d); err == nil {
			break
		}
		parent := fsys.PathDir(d)
		if parent == d {
			break
		}
		d = parent
	}
	return made, fsys.MkdirAll(dir, 0o755)
}

// syncParents makes the path to a new store durable. The lowest directories, as many as must, have to be synced; those above were
// there before, unless an open before this one died after it made them, and may not be ours to open.
func syncParents(fsys vfs.FS, dir string, must int) error {
	for d := dir; ; must-- {
		parent := fsys.PathDir(d)
		if parent == d {
			return nil
		}
		if err := syncDir(fsys, parent); err != nil {
			if must > 0 {
				return err
			}
			return nil
		}
		d = parent
	}
}

// makeDirs makes the directories inside the store's, and removes what was being built.
func (e *Engine) makeDirs() error {
	for _, sub := range []string{tempDir, segmentsDir, logDir} {
		if err := e.fs.MkdirAll(e.fs.PathJoin(e.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := e.removeFrom(tempDir, func(string) bool { return true }); err != nil {
		return err
	}
	return syncDir(e.fs, e.dir)
}

// removeGarbage removes the segments that the catalogue does not name.
func (e *Engine) removeGarbage() error {
	known := map[string]bool{}
	e.cat.view(func(s *state) {
		for id := range s.segments {
			known[id.String()] = true
		}
	})
	return e.removeFrom(segmentsDir, func(name string) bool {
		return isSegmentName(name) && !known[name] // never remove what is not ours
	})
}

func (e *Engine) removeFrom(sub string, garbage func(name string) bool) error {
	path := e.fs.PathJoin(e.dir, sub)
	names, err := e.fs.List(path)
	if err != nil {
		return err
	}
	for _, n := range names {
		if garbage(n) {
			if err := e.fs.RemoveAll(e.fs.PathJoin(path, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

func isSegmentName(n string) bool {
	id, err := strconv.ParseUint(n, 10, 64)
	return err == nil && segment.ID(id).String() == n
}

// openPartitions makes the registry from the catalogue's state and opens every sealed segment.
func (e *Engine) openPartitions(snap *edit) error {
	colls := map[uint64]*Collection{}
	for _, r := range snap.putCollections {
		c := newCollection(e, r)
		colls[r.id] = c
		e.collections[r.name] = c
	}
	if err := e.restoreIndexes(snap, colls); err != nil {
		return err
	}
	restored := map[uint64]*partition.Restored{}
	for _, r := range snap.putPartitions {
		restored[r.id] = &partition.Restored{}
	}
	for _, c := range snap.cuts {
		r := restored[c.partition]
		r.Cuts = append(r.Cuts, c.cut)
	}
	dead := map[segment.ID]*segment.Dead{}
	for _, t := range snap.tombstones {
		dead[t.Segment] = segment.DeadOf(t.Rows)
	}
	owner := map[uint64]*Collection{}
	for _, r := range snap.putPartitions {
		owner[r.id] = colls[r.collection]
	}
	var err error
	for _, r := range snap.addSegments {
		c := owner[r.partition]
		dir := e.fs.PathJoin(e.env.SegmentsDir, r.manifest.ID.String())
		s, oerr := segment.Open(e.fs, dir, r.manifest, c.Schema(), e.env.Cache, dead[r.manifest.ID], 0)
		if oerr != nil {
			err = oerr
			break
		}
		restored[r.partition].Sealed = append(restored[r.partition].Sealed, s)
		if c.Schema().PrimaryKey().IsAutoID {
			e.ids.seenKey(s.GreatestKey())
		}
	}
	for _, r := range snap.putPartitions {
		// Partitions are made even after an error, so that closing the engine closes their segments.
		owner[r.id].add(r, partition.New(r.id, e.env, owner[r.id].Schema(), *restored[r.id]))
	}
	return err
}

// openLog replays the log and starts it anew.
func (e *Engine) openLog(walFirst, logLSN, lastLSN uint64) error {
	opts := wal.Options{
		FS: e.fs, Dir: e.fs.PathJoin(e.dir, logDir), Policy: e.opts.Sync, SyncInterval: e.opts.SyncInterval, MaxFileSize: e.opts.LogFileBytes,
		FirstSeq: walFirst, MinLSN: lastLSN, HeldLSN: logLSN, ReadOnly: e.opts.ReadOnly, DurableOnly: e.opts.LogTail == LogTailDurable,
		Logger: e.opts.Logger, Durable: e.env.Clock.Durable, Failed: e.logFailed,
	}
	if e.opts.ReadOnly && (walFirst == 0 || e.opts.LogTail == LogTailNone) {
		e.env.Clock.Restart(lastLSN)
		return nil // a crash came before the log was begun, or it is not wanted
	}
	byID := map[uint64]*Collection{}
	for _, c := range e.collections {
		byID[c.id] = c
	}
	opts.QueueBytes = e.opts.logQueueBytes()
	log, err := wal.Open(opts, 0, func(lsn uint64, payload []byte) error {
		return e.replay(byID, lsn, payload)
	})
	if err != nil {
		return err
	}
	e.truncate.Lock()
	e.log, e.env.Log = log, log
	e.truncate.Unlock()
	e.resumed = log.LastLSN()
	e.env.Clock.Restart(e.resumed)
	if walFirst == 0 && !e.opts.ReadOnly {
		return e.cat.commit(&edit{walFirst: 1})
	}
	return nil
}

// badRecord names a record that cannot be replayed. Its bytes passed the log's checksums, so an unreadable one was written so.
func (e *Engine) badRecord(lsn uint64, err error) error {
	err = fmt.Errorf("replaying LSN %d: %w", lsn, err)
	if errors.Is(err, partition.ErrBadRecord) && !errors.Is(err, partition.ErrVersion) {
		return &CorruptionError{Path: e.fs.PathJoin(e.dir, logDir), Offset: -1, Kind: "record", Err: err}
	}
	return err
}

func (e *Engine) replay(byID map[uint64]*Collection, lsn uint64, payload []byte) error {
	id, place, err := partition.RecordHead(payload)
	if err != nil {
		return e.badRecord(lsn, err)
	}
	if place > e.cat.opened {
		if e.opts.ReadOnly && e.newestPlace() >= place {
			return wal.ErrStop // another process has edited the catalogue since it was read: this is behind what was asked for
		}
		return &CorruptionError{
			Path: e.fs.PathJoin(e.dir, catalogueName(e.cat.opened>>32)), Offset: -1, Kind: "stale",
			Err: fmt.Errorf("it ends with edit %d of file %d; when LSN %d was logged there was edit %d of file %d",
				uint32(e.cat.opened), e.cat.opened>>32, lsn, uint32(place), place>>32),
		}
	}
	e.noted = max(e.noted, place)
	c := byID[id]
	if c == nil {
		e.env.Clock.Restart(lsn)
		return nil // the collection was dropped since
	}
	w, err := partition.DecodeWrite(payload, c.inner, c.allInner())
	if err == nil {
		err = e.env.Replay(e.ctx, w, lsn)
	}
	if err != nil {
		return e.badRecord(lsn, err)
	}
	e.env.Clock.Restart(lsn)
	e.counters.replayed.Add(1)
	if c.Schema().PrimaryKey().IsAutoID && w.Kind != partition.KindDelete {
		for i := range w.Keys.Len() {
			e.ids.seenKey(w.Keys.At(i))
		}
	}
	if e.opts.ReadOnly {
		return nil
	}
	// A log that is larger than memory is written out as it is replayed. On a full disk it stays in memory: a store must open, so that room can be made.
	for _, part := range w.Parts {
		if e.replayFull {
			break
		}
		err := part.Partition.FlushFull(e.ctx)
		if err != nil && !isDiskFull(err) {
			return errors.Join(fmt.Errorf("replaying LSN %d", lsn), err)
		}
		if err != nil {
			e.replayFull = true
			e.opts.Logger.Warn("the disk is full: what the log holds stays in memory", "lsn", lsn, "error", err)
		}
	}
	return nil
}
