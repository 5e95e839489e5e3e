package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/selkiedb/selkie/internal/backup"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// BackupOptions configure Engine.Backup. The zero value makes a full backup.
type BackupOptions struct {
	// Since makes an incremental backup: files that are in this earlier one, or in those before it, are left out. It is what Backup or
	// VerifyBackup returned for the earlier backup. Restore then wants the earlier one, too.
	Since *BackupInfo
	// Verify reads each segment that is backed up and compares it with its checksums first, so that damage of the disk is found now. Else it is
	// copied as it is, and found when the restored store is read.
	Verify bool
}

// BackupInfo describes a backup. It may be kept as JSON beside the backup, for the next one to be made since.
type BackupInfo struct {
	ID      string // random
	Base    string // the backup that it is incremental to; "" if it is full
	LSN     uint64 // every write up to this one is in it
	Created time.Time
	Bytes   int64 // of the backup
	Stored  int   // files that the backup holds itself
	Files   []BackupFile
}

// BackupFile is a file of the backed-up store.
type BackupFile struct {
	Path     string // inside the store's directory
	Size     int64
	Identity uint64 // files of the same path, size and identity hold the same; 0 for files that change
	Sum      uint32 // CRC-32C of its bytes
	Earlier  bool   // an earlier backup holds it
}

// Backup writes the store, as it is when the call begins, to w while it is in use: every write that was acknowledged before the call, flushed
// or not, and nothing of a half. The store goes on meanwhile however slow w is: what is being backed up is held in its own directory, by hard
// links where the file system can make them. Close waits for a call of w.Write that does not return.
//
// What was written is a backup when Backup returned nil and w, if it is a file, was synced. Restore makes a store of it again.
func (e *Engine) Backup(ctx context.Context, w io.Writer, o BackupOptions) (BackupInfo, error) {
	if err := e.enter(); err != nil {
		return BackupInfo{}, wrap("backup", err)
	}
	defer e.leave()
	ctx, stop := e.bind(ctx)
	defer stop()
	info, err := e.backup(ctx, w, o)
	if err != nil && errors.Is(context.Cause(ctx), ErrClosed) {
		err = &kindError{ErrClosed, err}
	}
	return info, wrap("backup", err)
}

// backup makes a checkpoint in the store's tmp/, writes that to w, and removes it. A crash leaves what the next open removes.
func (e *Engine) backup(ctx context.Context, w io.Writer, o BackupOptions) (_ BackupInfo, err error) {
	h := backup.Header{ID: rand.Uint64() | 1, Created: e.opts.Now().UnixNano()}
	have := map[string]BackupFile{}
	if o.Since != nil {
		if h.Base, err = parseBackupID(o.Since.ID); err != nil {
			return BackupInfo{}, err
		}
		for _, f := range o.Since.Files {
			have[f.Path] = f
		}
	}
	dir := e.fs.PathJoin(e.env.TempDir, fmt.Sprintf("backup-%016x", h.ID))
	defer func() {
		if rerr := e.fs.RemoveAll(dir); rerr != nil { // the next open removes it
			e.opts.Logger.Warn("removing the files of a backup", "directory", dir, "error", rerr)
		}
	}()
	r, segments, err := e.copyTo(ctx, dir)
	if err != nil {
		return BackupInfo{}, err
	}
	h.LSN = r.LSN
	files, err := e.backupFiles(dir, segments)
	if err != nil {
		return BackupInfo{}, err
	}
	if o.Verify {
		for _, s := range segments {
			if err := e.verifyCopy(ctx, dir, s, have); err != nil {
				return BackupInfo{}, err
			}
		}
	}
	bw, err := backup.NewWriter(w, h)
	if err != nil {
		return BackupInfo{}, err
	}
	for _, f := range files {
		if old, ok := have[f.Path]; ok && f.Identity != 0 && old.Size == f.Size && old.Identity == f.Identity {
			bw.Earlier(backup.Entry{Path: f.Path, Size: f.Size, Identity: f.Identity, Sum: old.Sum})
			continue
		}
		if err := e.backupFile(ctx, bw, dir, f); err != nil {
			return BackupInfo{}, err
		}
	}
	if err := bw.Close(); err != nil {
		return BackupInfo{}, err
	}
	return infoOf(backup.Contents{Header: h, Files: bw.Files(), Bytes: bw.Written()}), nil
}

// backupFiles lists the files of the copy: catalogue, log, segments with their indexes.
func (e *Engine) backupFiles(dir string, segments []segmentRecord) ([]BackupFile, error) {
	var out []BackupFile
	add := func(identity uint64, path ...string) error {
		info, err := e.fs.Stat(e.fs.PathJoin(append([]string{dir}, path...)...))
		if err != nil {
			return err
		}
		out = append(out, BackupFile{Path: strings.Join(path, "/"), Size: info.Size(), Identity: identity})
		return nil
	}
	top, err := e.fs.List(dir)
	if err != nil {
		return nil, err
	}
	for _, seq := range catalogues(top) {
		if err := add(0, catalogueName(seq)); err != nil {
			return nil, err
		}
	}
	logs, err := e.fs.List(e.fs.PathJoin(dir, logDir))
	if err != nil {
		return nil, err
	}
	slices.Sort(logs)
	for _, name := range logs {
		if err := add(0, logDir, name); err != nil {
			return nil, err
		}
	}
	for _, s := range segments {
		id := s.manifest.ID.String()
		names, err := e.fs.List(e.fs.PathJoin(dir, segmentsDir, id))
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		first := len(out)
		for _, name := range names {
			if err := add(segmentIdentity(s.manifest), segmentsDir, id, name); err != nil {
				return nil, err
			}
		}
		for _, f := range s.manifest.Files {
			path := e.fs.PathJoin(e.env.SegmentsDir, id, f.Name)
			i := slices.IndexFunc(out[first:], func(b BackupFile) bool { return b.Path == segmentsDir+"/"+id+"/"+f.Name }) + first
			if i < first {
				return nil, &CorruptionError{Path: path, Offset: -1, Kind: "missing", Err: fmt.Errorf("segment %s has no such file", id)}
			}
			if out[i].Size != f.Size {
				return nil, &CorruptionError{
					Path: path, Offset: min(out[i].Size, f.Size), Kind: "size", Err: fmt.Errorf("%d bytes, %d were written", out[i].Size, f.Size),
				}
			}
		}
	}
	return out, nil
}

// segmentIdentity stands for one build of one segment. Its files never change; an index of it may be built anew, and is as good then.
func segmentIdentity(m segment.Manifest) uint64 {
	return max(1, (m.Token^bits.RotateLeft64(uint64(m.ID)*0x9e3779b97f4a7c15, 32))*0xbf58476d1ce4e5b9+uint64(m.MetaSum))
}

func (e *Engine) backupFile(ctx context.Context, w *backup.Writer, dir string, f BackupFile) error {
	file, err := e.fs.Open(e.fs.PathJoin(dir, f.Path))
	if err != nil {
		return err
	}
	defer file.Close() // it was only read
	return w.File(ctx, f.Path, f.Identity, f.Size, file)
}

// verifyCopy reads a segment of the copy, unless an earlier backup has it.
func (e *Engine) verifyCopy(ctx context.Context, dir string, r segmentRecord, have map[string]BackupFile) error {
	id := r.manifest.ID.String()
	if len(r.manifest.Files) > 0 && have[segmentsDir+"/"+id+"/"+r.manifest.Files[0].Name].Identity == segmentIdentity(r.manifest) {
		return nil
	}
	var s *schema.Schema
	e.cat.view(func(st *state) {
		if p, ok := st.partitions[r.partition]; ok {
			s = st.collections[p.collection].schema
		}
	})
	if s == nil {
		return nil // it was dropped meanwhile
	}
	cache := segment.NewCache(1 << 20)
	defer cache.Close()
	seg, err := segment.Open(e.fs, e.fs.PathJoin(dir, segmentsDir, id), r.manifest, s, cache, nil, 0)
	if err != nil {
		return err
	}
	defer seg.Unref()
	return seg.Verify(ctx)
}

func infoOf(c backup.Contents) BackupInfo {
	info := BackupInfo{ID: c.Header.String(), LSN: c.LSN, Created: time.Unix(0, c.Created), Bytes: c.Bytes}
	if c.Base != 0 {
		info.Base = backup.Header{ID: c.Base}.String()
	}
	for _, f := range c.Files {
		info.Files = append(info.Files, BackupFile{Path: f.Path, Size: f.Size, Identity: f.Identity, Sum: f.Sum, Earlier: !f.Here})
		if f.Here {
			info.Stored++
		}
	}
	slices.SortFunc(info.Files, func(a, b BackupFile) int { return cmp.Compare(a.Path, b.Path) })
	return info
}

func parseBackupID(s string) (id uint64, err error) {
	if _, err = fmt.Sscanf(s, "%016x", &id); err != nil || id == 0 || (backup.Header{ID: id}).String() != s {
		return 0, schema.Invalid("", s, "no name of a backup, which is 16 hexadecimal digits")
	}
	return id, nil
}
