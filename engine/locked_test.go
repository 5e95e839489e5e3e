package engine_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// holdStore is a child that opens a store, says so, and keeps it open until it is killed or its input ends.
func holdStore() {
	eng, err := engine.Open(os.Getenv(childDir), killOptions())
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(childFailed)
	}
	fmt.Println("open")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		os.Exit(childFailed)
	}
	if err := eng.Close(); err != nil {
		os.Exit(childFailed)
	}
}

// requireLocked opens a store that another engine holds.
func requireLocked(t *testing.T, dir string, pid int) {
	t.Helper()
	start := time.Now()
	_, err := engine.Open(dir, killOptions())
	require.ErrorIs(t, err, engine.ErrLocked)
	var locked *engine.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, pid, locked.PID)
	require.Contains(t, err.Error(), fmt.Sprint(pid))
	require.Less(t, time.Since(start), time.Second, "it must not wait")
}

// pathsTo gives a store's directory by its name, through a link, and by detours.
func pathsTo(t *testing.T, dir string) []string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	wd, err := os.Getwd()
	require.NoError(t, err)
	relative, err := filepath.Rel(wd, dir)
	require.NoError(t, err)
	return []string{dir, link, relative, dir + "/", filepath.Dir(dir) + "/./x/../" + filepath.Base(dir)}
}

func TestLockedInOneProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(dir), "x"), 0o755))
	eng, err := engine.Open(dir, killOptions())
	require.NoError(t, err)
	for _, p := range pathsTo(t, dir) {
		requireLocked(t, p, os.Getpid())
	}
	require.NoError(t, killStore(context.Background(), eng), "the holder is not disturbed")
	require.NoError(t, eng.Close())
	for _, p := range pathsTo(t, dir) {
		eng, err := engine.Open(p, killOptions())
		require.NoError(t, err)
		requireLocked(t, dir, os.Getpid())
		require.NoError(t, eng.Close())
	}
}

func TestLockedInMemory(t *testing.T) {
	fs := vfs.NewMem()
	eng, err := engine.Open(imageDir, tiny(fs))
	require.NoError(t, err)
	_, err = engine.Open(imageDir, tiny(fs))
	require.ErrorIs(t, err, engine.ErrLocked)
	require.NoError(t, eng.Close())
}

func TestLockedByAnotherProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.MkdirAll(filepath.Join(filepath.Dir(dir), "x"), 0o755))
	for _, end := range []string{"killed", "closed"} {
		cmd := child("hold", dir)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "open\n", line)
		for _, p := range pathsTo(t, dir) {
			requireLocked(t, p, cmd.Process.Pid)
		}
		if end == "killed" {
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			require.FileExists(t, filepath.Join(dir, "LOCK"), "the file is left behind and means nothing")
		} else {
			_, err = in.Write([]byte("\n"))
			require.NoError(t, err)
			require.NoError(t, cmd.Wait())
		}
		eng, err := engine.Open(dir, killOptions())
		require.NoError(t, err, "after the holder was %s", end)
		other := child("hold", dir)
		said, err := other.Output()
		require.Error(t, err)
		require.Contains(t, string(said), engine.ErrLocked.Error())
		require.Contains(t, string(said), fmt.Sprint(os.Getpid()))
		require.NoError(t, eng.Close())
	}
}

// TestReadOnlyChangesNothing opens stores read-only, closed ones, killed ones, and one that is being written.
func TestReadOnlyChangesNothing(t *testing.T) {
	ctx := context.Background()
	for _, how := range []string{"closed", "killed", "open"} {
		t.Run(how, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s := &session{dir: dir, opts: tiny(vfs.Default)}
			require.NoError(t, s.open())
			want := newLedger()
			for _, st := range life() {
				require.NoError(t, s.run(ctx, st))
				require.NoError(t, want.apply(st))
			}
			idle(t, s)
			switch how {
			case "closed":
				require.NoError(t, s.close())
			case "killed": // the files as they are now, elsewhere
				copied := filepath.Join(t.TempDir(), "copy")
				require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
				require.NoError(t, s.close())
				dir = copied
			}
			before := hashes(t, dir)
			opts := tiny(newHookFS(vfs.Default, func(op fsOp) error {
				if op.changes() {
					return fmt.Errorf("%s of %s by a read-only engine", op.kind, op.path)
				}
				return nil
			}))
			opts.ReadOnly = true
			for range 2 {
				eng, err := engine.Open(dir, opts)
				require.NoError(t, err)
				require.True(t, eng.ReadOnly())
				o, err := observe(ctx, eng)
				require.NoError(t, err)
				_, err = o.match([]*ledger{want})
				require.NoError(t, err)
				for _, st := range []step{
					{kind: insert, coll: "plain", keys: keyRange(5000, 2), ver: 99},
					{kind: flush, coll: "plain"},
					{kind: createColl, coll: "more", collKind: plainColl},
					{kind: dropColl, coll: "plain"},
				} {
					require.ErrorIs(t, (&session{eng: eng}).run(ctx, st), engine.ErrReadOnly, "%v", st)
				}
				require.NoError(t, eng.Close())
			}
			require.Equal(t, before, hashes(t, dir))
			require.NoError(t, s.close())
		})
	}
}

// hashes gives each file's path, size and checksum.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			out[p] = fmt.Sprint(info.ModTime())
			return err
		}
		raw, err := os.ReadFile(p)
		out[p] = fmt.Sprintf("%d %s %x", len(raw), info.ModTime(), sha256.Sum256(raw))
		return err
	}))
	require.NotEmpty(t, out)
	return out
}
