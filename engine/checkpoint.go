package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/wal"
)

// CheckpointReceipt tells what a checkpoint holds.
type CheckpointReceipt struct {
	LSN      uint64 // every write up to this one is in it
	Segments int
	Linked   int   // files that are hard links
	Copied   int64 // bytes
	Duration time.Duration
}

// Checkpoint makes a copy of the store in a directory that is not there yet, while the store is in use: every write that was acknowledged
// before the call, flushed or not, and nothing of a half. It is opened as any store is. Files that never change are hard links where the file
// system can make them, so a checkpoint costs about what the log costs. The directory appears when all of it is on disk.
//
// It wants a directory on the store's file system; its parent must exist.
func (e *Engine) Checkpoint(ctx context.Context, dir string) (CheckpointReceipt, error) {
	if err := e.enter(); err != nil {
		return CheckpointReceipt{}, wrap("checkpoint", err)
	}
	defer e.leave()
	ctx, stop := e.bind(ctx)
	defer stop()
	start := e.opts.Now()
	r, err := e.checkpoint(ctx, dir)
	r.Duration = e.opts.Now().Sub(start)
	return r, wrap("checkpoint", err)
}

// Steps:
//
//  1. keep files from being removed, and the log from being cut
//  2. copy the catalogue, and note the log's end while no edit can be made: the log then knows of no later edit
//  3. link or copy the segments that it names; copy the log up to its end
//  4. sync all of it, rename the directory to its name, sync its parent. Commit point: the rename is synced
//
// What a crash leaves is a directory with another name, which the next checkpoint of the same name removes.
func (e *Engine) checkpoint(ctx context.Context, dir string) (r CheckpointReceipt, err error) {
	fs := e.fs
	if _, err := fs.Stat(dir); err == nil {
		return r, fmt.Errorf("directory %s %w", dir, ErrExists)
	} else if !isNotExist(err) {
		return r, err
	}
	tmp := dir + ".tmp"
	if err := fs.RemoveAll(tmp); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fs.RemoveAll(tmp))
		}
	}()
	if r, _, err = e.copyTo(ctx, tmp); err != nil {
		return r, err
	}
	for _, sub := range []string{segmentsDir, logDir, ""} {
		if err := syncDir(fs, fs.PathJoin(tmp, sub)); err != nil {
			return r, err
		}
	}
	if err := fs.Rename(tmp, dir); err != nil {
		return r, err
	}
	return r, syncDir(fs, fs.PathDir(dir))
}

// copyTo takes the steps 1 to 3 of a checkpoint and returns the segments in the copy. All files in it are synced, its directories are not.
func (e *Engine) copyTo(ctx context.Context, dir string) (r CheckpointReceipt, segments []segmentRecord, err error) {
	fs := e.fs
	for _, sub := range []string{"", segmentsDir, logDir, tempDir} {
		if err := fs.MkdirAll(fs.PathJoin(dir, sub), 0o755); err != nil {
			return r, nil, err
		}
	}
	e.trash.hold()
	defer e.trash.release()
	e.truncate.Lock()
	defer e.truncate.Unlock()
	var log wal.State
	err = e.cat.copyTo(dir, func(s *state) {
		for _, id := range slices.Sorted(maps.Keys(s.segments)) {
			segments = append(segments, s.segments[id])
		}
		log = e.log.State()
	})
	if err != nil {
		return r, nil, err
	}
	r.LSN, r.Segments = log.LSN, len(segments)
	for _, s := range segments {
		if err := e.linkSegment(ctx, s.manifest, fs.PathJoin(dir, segmentsDir, s.manifest.ID.String()), &r); err != nil {
			return r, nil, err
		}
	}
	n, err := e.log.CopyTo(ctx, log, fs, fs.PathJoin(dir, logDir), true)
	r.Copied += n
	return r, segments, err
}

// linkSegment puts the files of a segment, and those of its indexes, into a directory.
func (e *Engine) linkSegment(ctx context.Context, m segment.Manifest, to string, r *CheckpointReceipt) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fs := e.fs
	from := fs.PathJoin(e.env.SegmentsDir, m.ID.String())
	if err := fs.MkdirAll(to, 0o755); err != nil {
		return err
	}
	names, err := fs.List(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := e.linkFile(ctx, fs.PathJoin(from, name), fs.PathJoin(to, name), r)
		if isNotExist(err) && strings.HasSuffix(name, ".idx") {
			continue // an index that was dropped meanwhile
		}
		if err != nil {
			return err
		}
	}
	return syncDir(fs, to)
}

// linkFile makes a hard link, or a synced copy where that cannot be.
func (e *Engine) linkFile(ctx context.Context, from, to string, r *CheckpointReceipt) (err error) {
	if e.fs.Link(from, to) == nil {
		r.Linked++
		return nil
	}
	src, err := e.fs.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := e.fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	n, err := io.Copy(dst, &contextReader{ctx, src})
	r.Copied += n
	if err != nil {
		return err
	}
	return dst.Sync()
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
