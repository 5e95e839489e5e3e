package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/internal/backup"
	"github.com/selkiedb/selkie/schema"
)

// VerifyBackup reads a backup to its end, compares all of it with its checksums and tells what is in it.
func VerifyBackup(ctx context.Context, r io.Reader) (BackupInfo, error) {
	c, err := backup.Read(ctx, r, backup.Discard{})
	if err != nil {
		return BackupInfo{}, wrap("verify backup", backupError(r, "backup", err))
	}
	return infoOf(c), nil
}

// Restore makes a store of a backup, or of a full one and the incremental ones up to the wanted state, in their order. The directory must
// not be there yet; its parent must. It appears when all of it is on disk: after an error there is nothing. Of the options only FS counts; nil
// means the defaults.
//
// A backup that is not as it was written is ErrCorrupt with the offset; one that does not belong behind the one before it is ErrInvalid.
func Restore(ctx context.Context, dir string, o *Options, backups ...io.Reader) (BackupInfo, error) {
	info, err := restore(ctx, dir, o.withDefaults().FS, backups)
	return info, wrap("restore "+dir, err)
}

// restore writes the files of all backups, one after the other, into a directory of another name, removes those that the last one does not list,
// and renames it. Commit point: the rename is synced.
func restore(ctx context.Context, dir string, fs vfs.FS, backups []io.Reader) (info BackupInfo, err error) {
	if len(backups) == 0 {
		return info, schema.Invalid("", nil, "no backup given")
	}
	if _, err := fs.Stat(dir); err == nil {
		return info, fmt.Errorf("directory %s %w", dir, ErrExists)
	} else if !isNotExist(err) {
		return info, err
	}
	x := &restorer{fs: fs, dir: dir + ".tmp", have: map[string]backup.Entry{}, dirs: map[string]bool{}}
	if err := fs.RemoveAll(x.dir); err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fs.RemoveAll(x.dir))
		}
	}()
	for _, sub := range []string{".", segmentsDir, logDir, tempDir} {
		if err := x.makeDir(sub); err != nil {
			return info, err
		}
	}
	for i, r := range backups {
		name := fmt.Sprintf("backup %d of %d", i+1, len(backups))
		x.name = name
		c, err := backup.Read(ctx, r, x)
		if err != nil {
			return info, backupError(r, name, err)
		}
		if err := x.settle(c); err != nil {
			return info, fmt.Errorf("%s: %w", name, err)
		}
		info = infoOf(c)
	}
	if err := x.sync(); err != nil {
		return info, err
	}
	if err := fs.Rename(x.dir, dir); err != nil {
		return info, err
	}
	return info, syncDir(fs, fs.PathDir(dir))
}

// restorer is the sink of the backups that are restored, one after the other.
type restorer struct {
	fs   vfs.FS
	dir  string
	name string // of the backup being read
	last uint64 // the id of the one before it
	have map[string]backup.Entry
	dirs map[string]bool // made, by their paths inside dir
}

// Begin refuses a backup that does not follow the one before it.
func (x *restorer) Begin(h backup.Header) error {
	switch {
	case h.Base == 0 && x.last != 0:
		return fmt.Errorf("%w: backup %s is full: nothing comes before it", ErrInvalid, h)
	case h.Base != 0 && x.last == 0:
		return fmt.Errorf("%w: backup %s is incremental to %s, which must come before it", ErrInvalid, h, backup.Header{ID: h.Base})
	case h.Base != x.last:
		return fmt.Errorf("%w: backup %s is incremental to %s; before it comes %s", ErrInvalid, h, backup.Header{ID: h.Base}, backup.Header{ID: x.last})
	}
	x.last = h.ID
	return nil
}

// Create begins a file.
func (x *restorer) Create(name string, size int64) (io.WriteCloser, error) {
	if err := x.makeDir(path.Dir(name)); err != nil {
		return nil, err
	}
	x.have[name] = backup.Entry{}
	f, err := x.fs.Create(x.path(name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return &syncedFile{f}, nil
}

func (x *restorer) path(name string) string { return x.fs.PathJoin(x.dir, name) }

func (x *restorer) makeDir(name string) error {
	if x.dirs[name] {
		return nil
	}
	x.dirs[name] = true
	return x.fs.MkdirAll(x.path(name), 0o755)
}

// settle compares what is there with what the backup lists, and removes what it does not.
func (x *restorer) settle(c backup.Contents) error {
	listed := map[string]backup.Entry{}
	for _, f := range c.Files {
		if old, ok := x.have[f.Path]; !f.Here && (!ok || old.Size != f.Size || old.Sum != f.Sum) {
			return fmt.Errorf("%w: file %s of %d bytes is in none of the backups before it", ErrInvalid, f.Path, f.Size)
		}
		listed[f.Path] = f
	}
	for name := range x.have {
		if _, ok := listed[name]; !ok {
			if err := x.fs.Remove(x.path(name)); err != nil {
				return err
			}
		}
	}
	x.have = listed
	return nil
}

// sync makes the directories durable, and removes those of segments that are in no backup's list any more.
func (x *restorer) sync() error {
	used := map[string]bool{}
	for name := range x.have {
		used[path.Dir(name)] = true
	}
	for name := range x.dirs {
		if path.Dir(name) == segmentsDir && !used[name] {
			if err := x.fs.RemoveAll(x.path(name)); err != nil {
				return err
			}
			continue
		}
		if err := syncDir(x.fs, x.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// syncedFile is synced as it is closed.
type syncedFile struct{ vfs.File }

func (f *syncedFile) Close() error { return errors.Join(f.File.Sync(), f.File.Close()) }

// backupError gives an error of reading a backup the engine's kinds. A reader with a name, such as *os.File, is called by it.
func backupError(r io.Reader, name string, err error) error {
	if n, ok := r.(interface{ Name() string }); ok {
		name = n.Name()
	}
	var c *backup.CorruptionError
	switch {
	case errors.As(err, &c):
		return &CorruptionError{Path: name, Offset: c.Offset, Kind: c.Kind, Err: c.Err}
	case errors.Is(err, backup.ErrVersion):
		return &kindError{ErrVersion, fmt.Errorf("%s: %w", name, err)}
	}
	return fmt.Errorf("%s: %w", name, err)
}
