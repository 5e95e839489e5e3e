package engine

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	lockFile = "LOCK"
	pidFile  = "LOCK.pid" // the holder's process id, for the loser's error; a file of its own, because closing a second handle of a locked file drops the lock
)

// canonical resolves a path so that two names of one directory are one lock. Only the operating system's file system has such names.
func canonical(fsys vfs.FS, dir string) (string, error) {
	if fsys != vfs.Default {
		return dir, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// dirLock is the exclusive right to write to a directory.
type dirLock struct {
	fs     vfs.FS
	dir    string
	closer io.Closer
}

func lockDir(fsys vfs.FS, dir string) (*dirLock, error) {
	c, err := fsys.Lock(fsys.PathJoin(dir, lockFile))
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) && !errors.Is(err, fs.ErrExist) {
			return nil, err // the file cannot be made: no right, no directory, a full disk
		}
		return nil, &LockedError{Dir: dir, PID: readPID(fsys, dir)}
	}
	l := &dirLock{fs: fsys, dir: dir, closer: c}
	if err := l.writePID(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return l, nil
}

func (l *dirLock) writePID() error {
	f, err := l.fs.Create(l.fs.PathJoin(l.dir, pidFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(strconv.Itoa(os.Getpid()) + "\n"))
	return errors.Join(err, f.Close())
}

func readPID(fsys vfs.FS, dir string) int {
	f, err := fsys.Open(fsys.PathJoin(dir, pidFile))
	if err != nil {
		return 0
	}
	defer f.Close()
	raw, _ := io.ReadAll(io.LimitReader(f, 32))
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

func (l *dirLock) close() error { return l.closer.Close() }
