package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/schema"
)

// chain is a store's life with a backup after each of some steps, each incremental to the one before it.
type chain struct {
	files [][]byte
	infos []engine.BackupInfo
	want  []*ledger
	live  vfs.FS // the store at the end
}

func backedUp(t testing.TB, script []step, every int) chain {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := &session{dir: imageDir, opts: tiny(fs)}
	require.NoError(t, s.open())
	c := chain{live: fs}
	l := newLedger()
	for i, st := range script {
		require.NoError(t, s.run(ctx, st), "%v", st)
		require.NoError(t, l.apply(st))
		if i%every != every-1 {
			continue
		}
		var o engine.BackupOptions
		if n := len(c.infos); n > 0 {
			o.Since = &c.infos[n-1]
		}
		o.Verify = i%2 == 0
		var b bytes.Buffer
		info, err := s.eng.Backup(ctx, &b, o)
		require.NoError(t, err)
		require.Equal(t, s.eng.LSN(), info.LSN)
		require.Equal(t, int64(b.Len()), info.Bytes)
		c.files, c.infos, c.want = append(c.files, b.Bytes()), append(c.infos, info), append(c.want, l.clone())
	}
	names, err := fs.List(fs.PathJoin(imageDir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, names)
	require.NoError(t, s.close())
	return c
}

func readers(files ...[]byte) []io.Reader {
	var out []io.Reader
	for _, f := range files {
		out = append(out, bytes.NewReader(f))
	}
	return out
}

// TestBackupChain restores every state of a store's life that was backed up, from a full backup and incremental ones, and goes on with it.
func TestBackupChain(t *testing.T) {
	ctx := context.Background()
	c := backedUp(t, life(), 3)
	left := 0
	for i, want := range c.want {
		mem := vfs.NewMem()
		require.NoError(t, mem.MkdirAll("data", 0o755))
		info, err := engine.Restore(ctx, imageDir, &engine.Options{FS: mem}, readers(c.files[:i+1]...)...)
		require.NoError(t, err)
		require.Equal(t, c.infos[i].Files, info.Files)
		require.NoError(t, survive(mem, []*ledger{want}))
		left += len(info.Files) - info.Stored
		for _, f := range info.Files {
			require.False(t, f.Earlier && f.Identity == 0, "%s changes and must be stored", f.Path)
		}
	}
	require.Greater(t, left, 50, "incremental backups leave out what earlier ones hold")
}

// TestBackupInfo: what Backup returned is what VerifyBackup reads, and it can be kept as JSON.
func TestBackupInfo(t *testing.T) {
	ctx := context.Background()
	c := backedUp(t, life()[:9], 9)
	info, err := engine.VerifyBackup(ctx, bytes.NewReader(c.files[0]))
	require.NoError(t, err)
	require.True(t, info.Created.Equal(c.infos[0].Created))
	info.Created = c.infos[0].Created
	require.Equal(t, c.infos[0], info)
	raw, err := json.Marshal(info)
	require.NoError(t, err)
	var kept engine.BackupInfo
	require.NoError(t, json.Unmarshal(raw, &kept))

	s := &session{dir: imageDir, opts: tiny(c.live)}
	require.NoError(t, s.open())
	var b bytes.Buffer
	next, err := s.eng.Backup(ctx, &b, engine.BackupOptions{Since: &kept})
	require.NoError(t, err)
	require.Equal(t, info.ID, next.Base)
	require.Less(t, next.Stored, len(next.Files))
	_, err = s.eng.Backup(ctx, &b, engine.BackupOptions{Since: &engine.BackupInfo{ID: "monday"}})
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.NoError(t, s.close())
}

// TestBackupWithIndex backs up a store with an index, and rows that are not flushed.
func TestBackupWithIndex(t *testing.T) {
	ctx := context.Background()
	for name, fs := range map[string]vfs.FS{"in memory": vfs.NewMem(), "on disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			dir := "db"
			if name == "on disk" {
				dir = t.TempDir() + "/db"
			}
			eng, err := engine.Open(dir, &engine.Options{FS: fs})
			require.NoError(t, err)
			c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", indexDim)))
			require.NoError(t, err)
			require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
			data := clustered(rand.New(rand.NewPCG(1, 2)), 14_100)
			insertVectors(t, c, 0, data[:14_000*indexDim])
			_, err = c.Flush(ctx)
			require.NoError(t, err)
			require.NoError(t, c.WaitIndexed(ctx))
			insertVectors(t, c, 14_000, data[14_000*indexDim:])
			_, err = c.Delete(ctx, column.IntKeys(5, 14_005))
			require.NoError(t, err)
			want := rowsOf(t, c)
			var full, more bytes.Buffer
			info, err := eng.Backup(ctx, &full, engine.BackupOptions{})
			require.NoError(t, err)
			_, err = c.Delete(ctx, column.IntKeys(7))
			require.NoError(t, err)
			_, err = eng.Backup(ctx, &more, engine.BackupOptions{Since: &info})
			require.NoError(t, err)
			require.Less(t, more.Len(), full.Len()/3, "the segment and its index are in the first")
			require.NoError(t, eng.Close())

			_, err = engine.Restore(ctx, dir, &engine.Options{FS: fs}, &full)
			require.ErrorIs(t, err, engine.ErrExists)
			_, err = engine.Restore(ctx, dir+"2", &engine.Options{FS: fs}, bytes.NewReader(full.Bytes()), &more)
			require.NoError(t, err)
			eng, err = engine.Open(dir+"2", &engine.Options{FS: fs, MustExist: true})
			require.NoError(t, err)
			c, err = eng.Collection("c")
			require.NoError(t, err)
			require.Equal(t, slices.DeleteFunc(want, func(id int64) bool { return id == 7 }), rowsOf(t, c))
			require.NoError(t, c.WaitIndexed(ctx))
			require.Zero(t, eng.Metrics().IndexBuilds)
			require.NoError(t, eng.Close())
		})
	}
}

// TestBackupEveryByte flips each byte of a backup, and cuts it at each: both are told with an offset, and nothing is restored.
func TestBackupEveryByte(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	raw := backedUp(t, life()[:12], 12).files[0]
	mem := vfs.NewMem()
	try := func(what string, b []byte, at int64, restore bool) {
		check := func(err error) {
			var ce *engine.CorruptionError
			if !errors.Is(err, engine.ErrCorrupt) || !errors.As(err, &ce) || ce.Offset < 0 || at >= 0 && ce.Offset > at {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if _, err := engine.VerifyBackup(ctx, bytes.NewReader(b)); true {
			check(err)
		}
		if !restore {
			return
		}
		_, err := engine.Restore(ctx, "copy", &engine.Options{FS: mem}, bytes.NewReader(b))
		check(err)
		names, err := mem.List("")
		require.NoError(t, err)
		require.Empty(t, names, what)
	}
	stride := 97 * thinner
	if *long {
		stride = 1
	}
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1 << rng.IntN(8)
		try(fmt.Sprintf("byte %d", i), b, int64(i), i%stride == 0)
	}
	for i := 0; i < len(raw); i += 1 + rng.IntN(stride) {
		try(fmt.Sprintf("cut at %d", i), raw[:i], int64(i), i%7 == 0)
	}
	try("one byte more", append(bytes.Clone(raw), 0), int64(len(raw)), true)
	try("twice", append(bytes.Clone(raw), raw...), int64(len(raw)), true)
	figures(t, "%d bytes, each flipped", len(raw))
}

// TestBackupPiecesSwapped puts pieces of one backup into another, and into other places.
func TestBackupPiecesSwapped(t *testing.T) {
	ctx := context.Background()
	c := backedUp(t, life()[:24], 6)
	a, b := c.files[1], c.files[2]
	var bounds []int // of the records
	for at := 64; at < len(a); at += 32 + int(uint32(a[at+4])|uint32(a[at+5])<<8|uint32(a[at+6])<<16|uint32(a[at+7])<<24) {
		bounds = append(bounds, at)
	}
	require.Greater(t, len(bounds), 5)
	bounds = append(bounds, len(a))
	refused := func(what string, raw []byte) {
		_, err := engine.VerifyBackup(ctx, bytes.NewReader(raw))
		require.ErrorIs(t, err, engine.ErrCorrupt, what)
	}
	for i := range len(bounds) - 2 {
		x, y, z := bounds[i], bounds[i+1], bounds[i+2]
		refused("neighbours swapped", slices.Concat(a[:x], a[y:z], a[x:y], a[z:]))
		refused("left out", slices.Concat(a[:x], a[y:]))
		refused("doubled", slices.Concat(a[:y], a[x:]))
	}
	refused("the beginning of another", slices.Concat(b[:64], a[64:]))
	refused("the end of another", slices.Concat(a[:bounds[len(bounds)-2]], b[len(b)-48:]))
}

// TestBackupChainBroken: a chain with a link missing, doubled, swapped or foreign restores nothing, and the error says what is missing.
func TestBackupChainBroken(t *testing.T) {
	ctx := context.Background()
	c := backedUp(t, life()[:40], 8)
	other := backedUp(t, life()[:40], 8)
	f := c.files
	for name, files := range map[string][][]byte{
		"none":          {},
		"no beginning":  {f[1]},
		"a gap":         {f[0], f[2]},
		"swapped":       {f[1], f[0]},
		"order":         {f[0], f[2], f[1]},
		"doubled":       {f[0], f[0]},
		"doubled later": {f[0], f[1], f[1]},
		"of another":    {other.files[0], f[1]},
		"of another, 2": {f[0], other.files[1]},
	} {
		mem := vfs.NewMem()
		_, err := engine.Restore(ctx, "copy", &engine.Options{FS: mem}, readers(files...)...)
		require.ErrorIs(t, err, engine.ErrInvalid, name)
		names, err := mem.List("")
		require.NoError(t, err)
		require.Empty(t, names, name)
	}
	// An info that is not that of the backup that is given.
	forged := c.infos[0]
	forged.Files = slices.Clone(forged.Files)
	s := &session{dir: imageDir, opts: tiny(c.live)}
	require.NoError(t, s.open())
	full, err := s.eng.Backup(ctx, io.Discard, engine.BackupOptions{})
	require.NoError(t, err)
	forged.Files = full.Files
	var b bytes.Buffer
	_, err = s.eng.Backup(ctx, &b, engine.BackupOptions{Since: &forged})
	require.NoError(t, err)
	require.NoError(t, s.close())
	_, err = engine.Restore(ctx, "copy", &engine.Options{FS: vfs.NewMem()}, readers(f[0], b.Bytes())...)
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, "is in none of the backups before it")
}

// TestBackupOfDamage: a segment that lost a file is told by Backup, one with a flipped bit by Verify.
func TestBackupOfDamage(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	s := &session{dir: imageDir, opts: tiny(fs)}
	require.NoError(t, s.open())
	for _, st := range life()[:7] {
		require.NoError(t, s.run(ctx, st))
	}
	seg, err := fs.List(imageDir + "/seg")
	require.NoError(t, err)
	require.NotEmpty(t, seg)
	path := imageDir + "/seg/" + seg[0] + "/rows.sst"
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{0xaa, 0xaa}, 40)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = s.eng.Backup(ctx, io.Discard, engine.BackupOptions{})
	require.NoError(t, err)
	_, err = s.eng.Backup(ctx, io.Discard, engine.BackupOptions{Verify: true})
	require.ErrorIs(t, err, engine.ErrCorrupt)
	require.NoError(t, fs.Remove(path))
	_, err = s.eng.Backup(ctx, io.Discard, engine.BackupOptions{})
	require.ErrorIs(t, err, engine.ErrCorrupt)
	require.ErrorContains(t, err, "rows.sst")
	require.NoError(t, s.close())
}

// TestRestoreCrashes cuts the power at every operation of a restore: the store is there whole, or not at all.
func TestRestoreCrashes(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	c := backedUp(t, life()[:30], 10)
	want := c.want[len(c.want)-1:]
	every := 5 * thinner
	if *long {
		every = 1
	}
	var images, whole int
	n := 0
	var mu sync.Mutex
	mem := vfs.NewCrashableMem()
	check := func(after bool) {
		img := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
		images++
		_, err := img.Stat(imageDir)
		if errors.Is(err, fs.ErrNotExist) {
			require.False(t, after)
			return
		}
		require.NoError(t, err)
		whole++
		require.NoError(t, survive(img, want))
	}
	hooked := newHookFS(mem, func(op fsOp) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; op.changes() && n%every == 0 {
			check(false)
		}
		return nil
	})
	require.NoError(t, mem.MkdirAll("data", 0o755))
	d, err := mem.OpenDir("")
	require.NoError(t, err)
	require.NoError(t, d.Sync())
	require.NoError(t, d.Close())
	_, err = engine.Restore(ctx, imageDir, &engine.Options{FS: hooked}, readers(c.files...)...)
	require.NoError(t, err)
	check(true)
	figures(t, "%d images, %d of them whole", images, whole)
}

// TestBackupFails: what goes wrong while a backup is written or restored is returned, and leaves nothing behind.
func TestBackupFails(t *testing.T) {
	ctx := context.Background()
	c := backedUp(t, life()[:12], 12)
	s := &session{dir: imageDir, opts: tiny(c.live)}
	require.NoError(t, s.open())
	full := errors.New("the tape is full")
	for _, room := range []int64{0, 10, 64, 65, 5000} {
		_, err := s.eng.Backup(ctx, &limitedWriter{room, full}, engine.BackupOptions{})
		require.ErrorIs(t, err, full)
	}
	ended, cancel := context.WithCancel(ctx)
	_, err := s.eng.Backup(ended, writerFunc(func(b []byte) (int, error) { cancel(); return len(b), nil }), engine.BackupOptions{})
	require.ErrorIs(t, err, context.Canceled)
	names, err := c.live.List(c.live.PathJoin(imageDir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, names)

	// Close ends a backup that is being written.
	closed := make(chan error, 1)
	_, err = s.eng.Backup(ctx, writerFunc(func(b []byte) (int, error) {
		if eng := s.eng; eng != nil {
			s.eng = nil
			go func() { closed <- eng.Close() }()
			for eng.HasCollection("plain") { // until Close has begun
				time.Sleep(waitStep)
			}
		}
		return len(b), nil
	}), engine.BackupOptions{})
	require.ErrorIs(t, err, engine.ErrClosed)
	require.NoError(t, <-closed)

	for k := 1; ; k++ {
		mem := vfs.NewMem()
		require.NoError(t, mem.MkdirAll("data", 0o755))
		n := 0
		hooked := newHookFS(mem, func(op fsOp) error {
			if op.changes() {
				if n++; n == k {
					return &fs.PathError{Op: string(op.kind), Path: op.path, Err: os.ErrPermission}
				}
			}
			return nil
		})
		_, err := engine.Restore(ctx, imageDir, &engine.Options{FS: hooked}, readers(c.files...)...)
		if err == nil {
			require.Greater(t, k, 10)
			break
		}
		require.ErrorIs(t, err, os.ErrPermission)
	}
}

type limitedWriter struct {
	left int64
	err  error
}

func (w *limitedWriter) Write(b []byte) (int, error) {
	if n := min(w.left, int64(len(b))); n < int64(len(b)) {
		w.left = 0
		return int(n), w.err
	}
	w.left -= int64(len(b))
	return len(b), nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
