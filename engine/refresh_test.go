package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// TestRefreshThroughALife follows a store through everything that happens to it, step by step.
func TestRefreshThroughALife(t *testing.T) {
	ctx := context.Background()
	for name, tail := range map[string]engine.LogTail{"all": engine.LogTailAll, "durable": engine.LogTailDurable, "none": engine.LogTailNone} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			s := &session{dir: imageDir, opts: tiny(mem)}
			require.NoError(t, s.open())
			opts := tiny(mem)
			opts.ReadOnly, opts.LogTail = true, tail
			r, err := engine.Open(imageDir, opts)
			require.NoError(t, err)
			require.ErrorIs(t, s.eng.Refresh(ctx), engine.ErrInvalid, "it is open for writing")
			l := newLedger()
			var before uint64
			for i, st := range life() {
				require.NoError(t, s.run(ctx, st), "%v", st)
				require.NoError(t, l.apply(st))
				idle(t, s)
				old := capture(t, mem)
				require.NoError(t, r.Refresh(ctx), "step %d: %v", i, st)
				require.Equal(t, old, capture(t, mem), "a reader changes nothing")
				require.GreaterOrEqual(t, r.LSN(), before)
				before = r.LSN()
				o, err := observe(ctx, r)
				require.NoError(t, err, "step %d: %v", i, st)
				if tail == engine.LogTailNone {
					for _, cn := range s.eng.Collections() {
						wc, err := s.eng.Collection(cn)
						require.NoError(t, err)
						rc, err := r.Collection(cn)
						require.NoError(t, err)
						require.Equal(t, r.Metrics().Segments.Growing, int64(0))
						ws, rs := wc.Stats(), rc.Stats()
						require.Equal(t, ws.Segments, rs.Segments)
						require.GreaterOrEqual(t, rs.Sealed, ws.Sealed, "deletes that are in the log alone are not seen")
					}
					continue
				}
				require.Equal(t, s.eng.LSN(), r.LSN())
				_, err = o.match([]*ledger{l})
				require.NoError(t, err, "step %d: %v", i, st)
			}
			require.Equal(t, int64(len(life())), r.Metrics().Refreshes)
			require.NoError(t, s.close())
			require.NoError(t, r.Refresh(ctx))
			require.NoError(t, r.Close())
			require.ErrorIs(t, r.Refresh(ctx), engine.ErrClosed)
		})
	}
}

// TestRefreshKeepsHandles: handles, snapshots and loops of a reader stay good while it moves on.
func TestRefreshKeepsHandles(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := &session{dir: imageDir, opts: tiny(mem)}
	require.NoError(t, s.open())
	steps := []step{
		{kind: createColl, coll: "plain", collKind: plainColl},
		{kind: createPart, coll: "plain", part: "side"},
		{kind: insert, coll: "plain", keys: keyRange(0, 30), ver: 1},
		{kind: insert, coll: "plain", part: "side", keys: keyRange(100, 5), ver: 1},
		{kind: flushColl, coll: "plain"},
		{kind: insert, coll: "plain", keys: keyRange(30, 5), ver: 1},
	}
	for _, st := range steps {
		require.NoError(t, s.run(ctx, st))
	}
	opts := tiny(mem)
	opts.ReadOnly = true
	r, err := engine.Open(imageDir, opts)
	require.NoError(t, err)
	c, err := r.Collection("plain")
	require.NoError(t, err)
	p, err := c.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	side, err := c.Partition("side")
	require.NoError(t, err)
	was := rowsOf(t, c)
	snap, err := r.NewSnapshot(ctx, "was")
	require.NoError(t, err)
	n := 0
	for row, err := range c.All(ctx, "*") {
		require.NoError(t, err)
		require.Equal(t, was[n], row.Int64("id"))
		if n++; n != 10 {
			continue
		}
		for _, st := range []step{ // in the middle of the loop
			{kind: remove, coll: "plain", keys: keyRange(5, 20)},
			{kind: insert, coll: "plain", keys: keyRange(200, 3), ver: 2},
			{kind: flushColl, coll: "plain"},
			{kind: compact, coll: "plain"},
			{kind: dropPart, coll: "plain", part: "side"},
			{kind: renameColl, coll: "plain", to: "fancy"},
		} {
			require.NoError(t, s.run(ctx, st))
			require.NoError(t, r.Refresh(ctx))
		}
	}
	require.Equal(t, len(was), n)
	require.Equal(t, "fancy", c.Name())
	got, err := p.Count(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(30+5+3-20), got)
	_, err = side.Count(ctx)
	require.ErrorIs(t, err, engine.ErrNotFound)
	sc, err := snap.Collection("plain")
	require.NoError(t, err)
	require.Equal(t, was, rowsOf(t, sc))
	require.NoError(t, s.run(ctx, step{kind: dropColl, coll: "fancy"}))
	require.NoError(t, r.Refresh(ctx))
	_, err = c.Count(ctx)
	require.ErrorIs(t, err, engine.ErrNotFound)
	require.Equal(t, was, rowsOf(t, sc))
	require.NoError(t, r.Close())
	require.NoError(t, s.close())
}

// TestRefreshFindsIndexes: a reader uses the indexes that the writer builds, and never removes one.
func TestRefreshFindsIndexes(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	_, c := indexStore(t, fs, engine.Options{})
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	r, err := engine.Open("db", &engine.Options{FS: fs, ReadOnly: true})
	require.NoError(t, err)
	data := clustered(rand.New(rand.NewPCG(1, 2)), 14_000)
	insertVectors(t, c, 0, data)
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, r.Refresh(ctx))
	require.NoError(t, c.WaitIndexed(ctx))
	rc, err := r.Collection("c")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		require.NoError(t, r.Refresh(ctx))
		list := rc.Indexes()
		return len(list) == 1 && list[0].Indexed == 1
	}, waitLong, waitStep)
	ids := rowsOf(t, c)
	hits, err := rc.Search(ctx, query.Nearest("v", data[:indexDim]).Limit(1))
	require.NoError(t, err)
	require.Equal(t, ids[0], hits[0].Key.Int)
	require.NoError(t, c.DropIndex(ctx, "v"))
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v"}))
	require.NoError(t, c.WaitIndexed(ctx))
	files := capture(t, relocated{fs})
	require.NoError(t, r.Refresh(ctx))
	require.NoError(t, r.Close())
	require.Equal(t, files, capture(t, relocated{fs}))
}

// TestRefreshDamage: what is damaged in a store that stands still is told, and the reader goes on with what it had.
func TestRefreshDamage(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := &session{dir: imageDir, opts: tiny(mem)}
	require.NoError(t, s.open())
	for _, st := range life()[:12] {
		require.NoError(t, s.run(ctx, st))
	}
	opts := tiny(mem)
	opts.ReadOnly = true
	r, err := engine.Open(imageDir, opts)
	require.NoError(t, err)
	require.NoError(t, s.run(ctx, life()[12])) // a flush
	require.NoError(t, s.run(ctx, step{kind: insert, coll: "plain", keys: keyRange(600, 3), ver: 77}))
	want, err := observe(ctx, s.eng)
	require.NoError(t, err)
	had, err := observe(ctx, r)
	require.NoError(t, err)
	good := capture(t, mem)
	put := func(name string, b []byte) {
		if b == nil {
			require.NoError(t, mem.Remove(name))
			return
		}
		f, err := mem.Create(name, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = f.Write(slices.Clone(b))
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	tried := 0
	for _, name := range good.names() {
		for _, what := range []string{"flipped", "cut", "gone"} {
			if strings.HasSuffix(name, ".sst") && what == "flipped" {
				continue // found when the block is read
			}
			b := slices.Clone(good[name])
			switch what {
			case "flipped":
				b[200] ^= 0xff
			case "cut":
				b = b[:len(b)/2]
			case "gone":
				b = nil
			}
			put(name, b)
			err := r.Refresh(ctx)
			put(name, good[name])
			if err == nil {
				require.Contains(t, name, ".sst", "%s %s: what is open needs no file", name, what)
				continue
			}
			tried++
			require.ErrorIs(t, err, engine.ErrCorrupt, "%s %s", name, what)
			now, err := observe(ctx, r)
			require.NoError(t, err)
			if now.content() != want.content() { // once a refresh got through
				require.Equal(t, had.content(), now.content())
			}
		}
	}
	require.Greater(t, tried, 4)
	require.NoError(t, r.Refresh(ctx))
	now, err := observe(ctx, r)
	require.NoError(t, err)
	require.Equal(t, want.content(), now.content())
	require.NoError(t, r.Close())
	require.NoError(t, s.close())
}

// relocated shows the store "db" where capture looks for one.
type relocated struct{ vfs.FS }

func (r relocated) path(p string) string { return strings.Replace(p, imageDir, "db", 1) }

func (r relocated) List(p string) ([]string, error) { return r.FS.List(r.path(p)) }

func (r relocated) Stat(p string) (vfs.FileInfo, error) { return r.FS.Stat(r.path(p)) }

func (r relocated) Open(p string, o ...vfs.OpenOption) (vfs.File, error) {
	return r.FS.Open(r.path(p), o...)
}

// The writer of the tests that follow keeps a window of rows: it inserts n and then deletes n-followWindow, n = 0, 1, 2, ... So each state that was ever
// committed is a run of keys without a gap.
const followWindow = 200

func followOptions() *engine.Options {
	return &engine.Options{
		SegmentRows: 70, LogFileBytes: 64 << 10, CatalogueBytes: 8 << 10, CompactIdle: 20 * time.Millisecond, Tick: 10 * time.Millisecond,
	}
}

// writeWindow writes until told to stop, and tells of each row that it has written.
func writeWindow(ctx context.Context, eng *engine.Engine, stop func(n int64) bool, wrote func(n int64)) error {
	c, err := eng.CreateCollection(ctx, schema.New("w").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", ledgerDim)).WithShards(2))
	if err != nil {
		return err
	}
	p, err := c.Partition(engine.DefaultPartition)
	if err != nil {
		return err
	}
	for n := int64(0); !stop(n); n++ {
		if _, err := p.Insert(ctx, column.Int64("id", []int64{n}), column.FloatVectorFlat("v", ledgerDim, vectorOf(int(n), 0))); err != nil {
			return err
		}
		if wrote != nil {
			wrote(n)
		}
		if n >= followWindow {
			if _, err := p.Delete(ctx, column.IntKeys(n-followWindow)); err != nil {
				return err
			}
		}
		switch {
		case n%90 == 0:
			_, err = p.Flush(ctx)
		case n%140 == 1:
			err = c.Compact(ctx)
		case n%30 == 2:
			_, err = c.CreatePartition(ctx, "p")
		case n%30 == 17:
			err = c.DropPartition(ctx, "p")
		case n%30 == 18:
			_, err = eng.CreateCollection(ctx, plainColl.schema("other"))
		case n%30 == 25:
			err = eng.DropCollection(ctx, "other")
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", n, err)
		}
	}
	return nil
}

var looks atomic.Int64

// lookAtWindow reads what a follower sees, and checks that it was a state of the writer's. It returns the newest row.
func lookAtWindow(ctx context.Context, r *engine.Engine) (int64, error) {
	s, err := r.NewSnapshot(ctx, fmt.Sprint("look ", looks.Add(1)))
	if err != nil {
		return 0, err
	}
	defer s.Close()
	c, err := s.Collection("w")
	if err != nil {
		return -1, nil // it is not there yet
	}
	p, err := c.Partition(engine.DefaultPartition)
	if err != nil {
		return 0, err
	}
	var ids []int64
	for row, err := range p.All(ctx, "*") {
		if err != nil {
			return 0, err
		}
		id := row.Int64("id")
		if !slices.Equal(row.FloatVector("v"), vectorOf(int(id), 0)) {
			return 0, wrong("row %d has the vector %v", id, row.FloatVector("v"))
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return -1, nil
	}
	first, last := ids[0], ids[len(ids)-1]
	if int64(len(ids)) != last-first+1 || len(ids) > followWindow+1 || first > 0 && len(ids) < followWindow {
		return 0, wrong("%d rows from %d to %d are no state of the writer", len(ids), first, last)
	}
	id := ids[len(ids)/2]
	hits, err := p.Search(ctx, query.Nearest("v", vectorOf(int(id), 0)).Limit(1))
	if err != nil {
		return 0, err
	}
	if len(hits) != 1 || hits[0].Key.Int != id {
		return 0, wrong("row %d is not found: %v", id, hits)
	}
	return last, nil
}

// TestRefreshUnderLoad follows a writer in the same process, readers at work all the while.
func TestRefreshUnderLoad(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	opts := followOptions()
	opts.FS = mem
	eng, err := engine.Open("db", opts)
	require.NoError(t, err)
	rounds := int64(1500)
	if testing.Short() {
		rounds = 400
	}
	var acked atomic.Int64
	var done atomic.Bool
	acked.Store(-1)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		if err := writeWindow(ctx, eng, func(n int64) bool { return n == rounds }, acked.Store); err != nil {
			t.Error(err)
		}
	})
	for _, tail := range []engine.LogTail{engine.LogTailAll, engine.LogTailDurable} {
		r, err := engine.Open("db", &engine.Options{FS: mem, ReadOnly: true, LogTail: tail})
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		var over atomic.Bool
		wg.Go(func() {
			defer over.Store(true)
			var newest int64 = -1
			for last := false; !last; {
				last = done.Load()
				least := acked.Load()
				if err := r.Refresh(ctx); err != nil {
					t.Error(err)
					return
				}
				n, err := lookAtWindow(ctx, r)
				if err != nil || n < least || n < newest {
					t.Errorf("row %d is the newest, %d was acknowledged, %d seen before: %v", n, least, newest, err)
					return
				}
				newest = n
			}
		})
		wg.Go(func() {
			for !over.Load() { // beside the refreshes
				if _, err := lookAtWindow(ctx, r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, eng.Close())
}

const childTail = "SELKIE_TEST_TAIL"

// followWriter is the child: it follows the store that its parent writes. The parent tells it on its standard input of each row that it wrote; at its end
// the child must have all.
func followWriter() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(childFailed)
	}
	ctx := context.Background()
	var acked atomic.Int64
	var ended atomic.Bool
	acked.Store(-1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			n, err := strconv.ParseInt(in.Text(), 10, 64)
			if err != nil {
				fail(err)
			}
			acked.Store(n)
		}
		ended.Store(true)
	}()
	tail, _ := strconv.Atoi(os.Getenv(childTail))
	r, err := engine.Open(os.Getenv(childDir), &engine.Options{ReadOnly: true, LogTail: engine.LogTail(tail)})
	if err != nil {
		fail(err)
	}
	refreshes, newest := 0, int64(-1)
	for last := false; !last; refreshes++ {
		last = ended.Load()
		least := acked.Load()
		if err := r.Refresh(ctx); err != nil {
			fail(err)
		}
		n, err := lookAtWindow(ctx, r)
		if err == nil && (n < least || n < newest) {
			err = wrong("row %d is the newest, %d was acknowledged, %d seen before", n, least, newest)
		}
		if err != nil {
			fail(err)
		}
		newest = n
	}
	if err := r.Close(); err != nil {
		fail(err)
	}
	fmt.Printf("%d %d\n", refreshes, newest)
}

// TestFollowFromAnotherProcess has two processes follow a writer that inserts, flushes, deletes, merges, makes and drops.
func TestFollowFromAnotherProcess(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "db")
	eng, err := engine.Open(dir, followOptions())
	require.NoError(t, err)
	until := time.Now().Add(time.Second)
	if *long {
		until = time.Now().Add(2 * time.Minute)
	}
	type reader struct {
		in  io.WriteCloser
		out *strings.Builder
		end func() error
	}
	var readers []reader
	for _, tail := range []engine.LogTail{engine.LogTailAll, engine.LogTailDurable} {
		cmd := child("follow", dir, fmt.Sprintf("%s=%d", childTail, tail))
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		out := &strings.Builder{}
		cmd.Stdout = out
		require.NoError(t, cmd.Start())
		readers = append(readers, reader{in, out, cmd.Wait})
	}
	rows := int64(0)
	err = writeWindow(ctx, eng, func(n int64) bool { return n > 2*followWindow && time.Now().After(until) }, func(n int64) {
		rows = n
		for _, r := range readers {
			if _, err := fmt.Fprintln(r.in, n); err != nil {
				t.Error(err)
			}
		}
	})
	require.NoError(t, err)
	require.NoError(t, eng.Close())
	for _, r := range readers {
		require.NoError(t, r.in.Close())
		require.NoError(t, r.end())
		var refreshes, newest int64
		_, err := fmt.Sscan(r.out.String(), &refreshes, &newest)
		require.NoError(t, err)
		require.Equal(t, rows, newest)
		require.Positive(t, refreshes)
		figures(t, "%d rows, %d refreshes", rows, refreshes)
	}
}
