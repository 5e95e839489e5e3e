package engine_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// image closes the store and reads its files.
func (s *past) image() image {
	require.NoError(s.t, s.eng.Close())
	return s.live()
}

// live reads the files of the store as it runs.
func (s *past) live() image {
	m := image{}
	require.NoError(s.t, m.read(s.mem, "db"))
	return m
}

// openWith opens the store with other files in place of its own.
func (s *past) openWith(m image) (*engine.Engine, *vfs.MemFS, error) {
	mem := vfs.NewMem()
	for name, b := range m {
		writeFile(s.t, mem, name, b)
	}
	eng, err := engine.Open("db", &engine.Options{FS: mem, MustExist: true})
	return eng, mem, err
}

func writeFile(t testing.TB, mem vfs.FS, name string, b []byte) {
	require.NoError(t, mem.MkdirAll(path.Dir(name), 0o755))
	f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.Write(bytes.Clone(b))
	require.NoError(t, errors.Join(err, f.Close()))
}

// cockroachdb/pebble#4560: a list of files that was damaged in its middle was read up to there, and the tables that it then no longer named were removed.
func TestPastDamagedListOfFiles(t *testing.T) {
	s := newPast(t, engine.Options{CompactBytes: -1}, nil)
	for i := range int64(6) {
		s.upsert(i, idRange(10*i, 10)...)
		s.flush()
	}
	segments := s.eng.Metrics().Segments.Segments
	m := s.image()
	tried := 0
	for name, raw := range m {
		if !strings.Contains(name, "CATALOGUE") {
			continue
		}
		for at := 0; at < len(raw); at += 13 {
			b := bytes.Clone(raw)
			b[at] ^= 0x10
			eng, mem, err := s.openWith(m.with(name, b))
			if err == nil { // of the mark, which is no more than a hint
				n := eng.Metrics().Segments.Segments
				require.NoError(t, eng.Close())
				require.Equal(t, segments, n, "byte %d", at)
				continue
			}
			tried++
			require.ErrorIs(t, err, engine.ErrCorrupt, "byte %d", at)
			left := image{}
			require.NoError(t, left.read(mem, "db"))
			require.Equal(t, m.with(name, b), left, "byte %d: a store that is refused stays as it was", at)
		}
	}
	require.Greater(t, tried, 50)
}

// rocksdb PR #6331 (its issue #6316): when the list of files could not be written for want of space, the next write went behind the torn one, and
// the list was unreadable from there.
func TestPastListOfFilesOnAFullDisk(t *testing.T) {
	var full atomic.Int64 // bytes that still fit into the catalogue; negative: all
	full.Store(-1)
	s := newPast(t, engine.Options{CompactBytes: -1}, func(mem vfs.FS) vfs.FS {
		return newHookFS(mem, func(op fsOp) error {
			if room := full.Load(); op.kind == opWrite && room >= 0 && strings.Contains(op.path, "CATALOGUE") && int64(op.n) > room {
				return &shortWrite{int(room), &fs.PathError{Op: "write", Path: op.path, Err: syscall.ENOSPC}}
			}
			return nil
		})
	})
	for i := range int64(8) {
		s.upsert(i, idRange(10*i, 10)...)
		full.Store(17 * i)
		_, err := s.p.Flush(s.ctx)
		require.ErrorIs(t, err, engine.ErrDiskFull)
		s.check("full")
		full.Store(-1)
		s.flush()
		s.check("room again")
	}
	s.fs = s.mem
	s.restart()
	s.check("opened")
	s.cut()
	s.check("power cut")
}

// rocksdb PR #6963 (its issue #6288): a read error of the log during recovery was taken for the log's end, and what followed was dropped.
func TestPastReadErrorOfTheLog(t *testing.T) {
	var at, n atomic.Int64
	s := newPast(t, engine.Options{LogFileBytes: 32 << 10}, func(mem vfs.FS) vfs.FS {
		return newHookFS(mem, func(op fsOp) error {
			if k := at.Load(); k > 0 && strings.HasSuffix(op.path, ".wal") && (op.kind == opRead || op.kind == opOpen) && n.Add(1) == k {
				return &fs.PathError{Op: "read", Path: op.path, Err: syscall.EIO}
			}
			return nil
		})
	})
	for i := range int64(40) {
		s.upsert(i, idRange(50*i, 50)...)
	}
	require.NoError(t, s.eng.Close())
	failed := 0
	for k := int64(1); ; k++ {
		n.Store(0)
		at.Store(k)
		eng, err := engine.Open("db", &engine.Options{FS: s.fs, LogFileBytes: 32 << 10})
		if n.Load() < k {
			require.NoError(t, err)
			require.NoError(t, eng.Close())
			break
		}
		failed++
		require.ErrorIs(t, err, syscall.EIO, "operation %d", k)
	}
	require.Greater(t, failed, 3)
	at.Store(0)
	s.open()
	s.check("the cable is in again")
}

// rocksdb PRs #5379 and #12918 are taken for holes in the log: a file, or the writes around an error, missing while younger ones are there.
func TestPastHoleInTheLog(t *testing.T) {
	s := newPast(t, engine.Options{LogFileBytes: 16 << 10}, nil)
	for i := range int64(60) {
		s.upsert(i, idRange(20*i, 20)...)
	}
	m := s.image()
	refused := 0
	for name := range m {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		eng, _, err := s.openWith(m.with(name, nil))
		if err == nil { // it held nothing yet
			c, err := eng.Collection("c")
			require.NoError(t, err)
			n, err := c.Count(s.ctx)
			require.NoError(t, err)
			require.EqualValues(t, len(s.want), n, "without %s", name)
			require.NoError(t, eng.Close())
			continue
		}
		refused++
		require.ErrorIs(t, err, engine.ErrCorrupt, "without %s", name)
	}
	require.Greater(t, refused, 3)

	// After a write that failed, whatever is acknowledged later is there, and so is all before it.
	var fails atomic.Bool
	s = newPast(t, engine.Options{}, func(mem vfs.FS) vfs.FS {
		return newHookFS(mem, func(op fsOp) error {
			if op.kind == opWrite && strings.Contains(op.path, ".wal") && fails.CompareAndSwap(true, false) {
				return &shortWrite{op.n / 2, &fs.PathError{Op: "write", Path: op.path, Err: syscall.EIO}}
			}
			return nil
		})
	})
	s.upsert(1, 1, 2, 3)
	var err error
	for try := 0; err == nil && try < 20; try++ { // the write that fails first may be one that prepares a file, which nobody waits for
		fails.Store(true)
		if _, err = s.p.Upsert(s.ctx, plainRows(2, 3, 4, 5)...); err == nil {
			s.want[3], s.want[4], s.want[5] = 2, 2, 2
		}
	}
	require.ErrorIs(t, err, syscall.EIO)
	if _, err = s.p.Upsert(s.ctx, plainRows(3, 6)...); err == nil {
		s.want[6] = 3
	}
	s.fs = s.mem
	s.cut()
	if rows, err := s.p.Count(s.ctx); err == nil && rows > int64(len(s.want)) { // the failed call may be there, as a whole
		s.want[3], s.want[4], s.want[5] = 2, 2, 2
	}
	s.check("power cut")
}

// weaviate#1716: recovery wrote what it replayed into the log again, so that each crash made the next recovery longer.
func TestPastLogGrowsByRecovery(t *testing.T) {
	s := newPast(t, engine.Options{LogFileBytes: 16 << 10}, nil)
	for i := range int64(30) {
		s.upsert(i, idRange(20*i, 20)...)
	}
	first := s.eng.Metrics().LogBytes
	require.Positive(t, first)
	for range 10 {
		s.cut()
		s.check("power cut")
	}
	require.LessOrEqual(t, s.eng.Metrics().LogBytes, first+2*16<<10)
}

// weaviate#1725: a crash during a flush left a segment of no bytes beside the log that held its rows, and the store did not open any more.
func TestPastHalfFlushed(t *testing.T) {
	s := newPast(t, engine.Options{CompactBytes: -1}, nil)
	s.upsert(1, idRange(0, 30)...)
	s.flush()
	s.upsert(2, idRange(20, 30)...)
	m := s.live()
	var table string
	for name := range m {
		if strings.HasSuffix(name, "rows.sst") {
			table = name
		}
	}
	require.NotEmpty(t, table)
	for what, b := range map[string][]byte{"empty": {}, "half": m[table][:len(m[table])/2], "whole, of another segment": m[table]} {
		next := path.Join(path.Dir(path.Dir(table)), "000099", "rows.sst")
		eng, mem, err := s.openWith(m.with(next, b))
		require.NoError(t, err, what)
		c, err := eng.Collection("c")
		require.NoError(t, err)
		n, err := c.Count(s.ctx)
		require.NoError(t, err)
		require.EqualValues(t, 50, n, what)
		_, err = mem.Stat(next)
		require.Error(t, err, "what the catalogue does not name is removed")
		require.NoError(t, eng.Close())
	}
}

// goleveldb PR #351 is taken for a flush whose commit failed: its files must not be in the way of the next, nor its rows lost or doubled.
func TestPastCommitFails(t *testing.T) {
	for _, kind := range []fsKind{opWrite, opSync} {
		var fails atomic.Bool
		s := newPast(t, engine.Options{CompactBytes: -1}, func(mem vfs.FS) vfs.FS {
			return newHookFS(mem, func(op fsOp) error {
				if op.kind == kind && strings.Contains(op.path, "CATALOGUE") && fails.CompareAndSwap(true, false) {
					return &fs.PathError{Op: string(kind), Path: op.path, Err: syscall.EIO}
				}
				return nil
			})
		})
		s.upsert(1, idRange(0, 30)...)
		fails.Store(true)
		_, err := s.p.Flush(s.ctx)
		require.ErrorIs(t, err, syscall.EIO, kind)
		s.check("failed")
		require.ErrorIs(t, s.eng.Close(), syscall.EIO)
		s.open()
		s.check("opened again")
		s.upsert(2, idRange(25, 10)...)
		s.flush()
		s.check("flushed")
		s.cut()
		s.check("power cut")
		require.EqualValues(t, len(s.want), s.p.NumEntities())
	}
}

// bleve PR #2178 is taken for its kin #2183: files were purged that the newest snapshot, which a backup was copying, still named.
func TestPastBackupBesidePurge(t *testing.T) {
	s := newPast(t, engine.Options{CompactBytes: -1}, nil)
	for i := range int64(5) {
		s.upsert(i, idRange(10*i, 15)...)
		s.flush()
	}
	var out bytes.Buffer
	w := &onFirstWrite{w: &out, do: func() {
		s.upsert(9, 1, 200)
		s.flush()
		s.compact()
		s.compact()
		delete(s.want, 200) // it came after the backup's moment
		s.want[1] = 0
	}}
	info, err := s.eng.Backup(s.ctx, w, engine.BackupOptions{Verify: true})
	require.NoError(t, err)
	require.Positive(t, info.Bytes)
	require.NoError(t, s.eng.Close())
	mem := vfs.NewMem()
	_, err = engine.Restore(s.ctx, "db", &engine.Options{FS: mem}, bytes.NewReader(out.Bytes()))
	require.NoError(t, err)
	s.fs = mem
	s.open()
	s.check("restored")
}

// onFirstWrite does something before the first byte is written.
type onFirstWrite struct {
	w  io.Writer
	do func()
}

func (o *onFirstWrite) Write(b []byte) (int, error) {
	if do := o.do; do != nil {
		o.do = nil
		do()
	}
	return o.w.Write(b)
}

// chroma#6975 is taken for its kin #7090: an index file that was lost or damaged took the rows with it after a restart.
func TestPastIndexTakesRows(t *testing.T) {
	ctx := t.Context()
	mem := vfs.NewMem()
	eng, c := indexStore(t, mem, engine.Options{CompactBytes: -1})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Kind: schema.IndexHNSW, Metric: "L2"}))
	data := clustered(seeded(t), 15_000)
	insertVectors(t, c, 0, data)
	_, err := c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	require.NoError(t, eng.Close())
	files := indexFiles(t, mem)
	require.NotEmpty(t, files)
	f, err := mem.Open(files[0])
	require.NoError(t, err)
	raw, err := io.ReadAll(f)
	require.NoError(t, errors.Join(err, f.Close()))
	for what, b := range map[string][]byte{"empty": {}, "zeros": make([]byte, len(raw)), "half": raw[:len(raw)/2], "missing": nil} {
		if b == nil {
			require.NoError(t, mem.Remove(files[0]))
		} else {
			writeFile(t, mem, files[0], b)
		}
		eng, c := indexStore(t, mem, engine.Options{CompactBytes: -1})
		for _, when := range []string{"at once", "built anew"} {
			for q := range 20 {
				hits, err := c.Search(ctx, query.Nearest("v", data[q*indexDim:(q+1)*indexDim]).Metric(vector.L2).Limit(3))
				require.NoError(t, err)
				require.Len(t, hits, 3, "%s, %s", what, when)
				require.EqualValues(t, q, hits[0].Key.Int, "%s, %s", what, when)
			}
			require.NoError(t, c.WaitIndexed(ctx))
		}
		require.NoError(t, eng.Close())
	}
}
