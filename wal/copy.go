package wal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// State is what the log's files hold at one moment. The files stay as long as nobody calls Truncate.
type State struct {
	LSN   uint64 // the last record in them; later ones may be in the copies as well, as far as the files go
	files []fileState
}

type fileState struct {
	path string
	end  int64 // behind the last whole frame; the rest of the file is left out. -1: all of it counts
	size int64
}

// State takes note of what is in the log now. It does no I/O.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := State{LSN: max(l.shown.lsn, l.found)}
	for i, f := range l.files {
		st := fileState{path: f.path, end: -1, size: f.size}
		f.shared = true // as soon as CopyTo links to it
		if i == len(l.files)-1 && !l.opts.ReadOnly {
			st.end = fileHeaderLen
			if f.seq == l.shown.seq {
				st.end = l.shown.end
			}
		}
		s.files = append(s.files, st)
	}
	return s
}

// copyPiece is how much is copied at a time.
const copyPiece = 1 << 20

// CopyTo makes the files of a state in a directory, as hard links where link says so and the file system can, and returns how many bytes were
// copied. The files are synced, the directory is not. A log opened there replays what was in this one.
// REQUIRES: Truncate was not called since the state was taken.
func (l *Log) CopyTo(ctx context.Context, s State, fs vfs.FS, dir string, link bool) (copied int64, err error) {
	for _, f := range s.files {
		to := fs.PathJoin(dir, l.opts.FS.PathBase(f.path))
		if f.end < 0 && link && fs.Link(f.path, to) == nil {
			continue
		}
		n, err := copyFile(ctx, l.opts.FS, f, fs, to)
		copied += n
		if err != nil {
			return copied, fmt.Errorf("wal: copy %s: %w", f.path, err)
		}
	}
	return copied, nil
}

// copyFile copies a file up to its end and fills up with zeros, as the file was made: its size is written down in it.
func copyFile(ctx context.Context, from vfs.FS, f fileState, to vfs.FS, path string) (n int64, err error) {
	r, err := from.Open(f.path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := to.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	info, err := r.Stat()
	if err != nil {
		return 0, err
	}
	end := info.Size()
	if f.end >= 0 {
		end = min(end, f.end)
	}
	buf := make([]byte, copyPiece)
	for n < info.Size() {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		piece := buf[:min(int64(len(buf)), info.Size()-n)]
		clear(piece)
		if n < end {
			part := piece[:min(int64(len(piece)), end-n)]
			if _, err := r.ReadAt(part, n); err != nil && err != io.EOF {
				return n, err
			}
		}
		if _, err := w.Write(piece); err != nil {
			return n, err
		}
		n += int64(len(piece))
	}
	return n, w.Sync()
}
