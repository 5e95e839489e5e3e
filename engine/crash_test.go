package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

const sealRows = 20 // rows at which a segment seals itself in these tests

// tiny are options with which everything that happens in a large store happens in a small one.
func tiny(fs vfs.FS) *engine.Options {
	return &engine.Options{
		CompactBytes: -1, // the script compacts
		FS:           fs, LogFileBytes: 8 << 10, CatalogueBytes: 4 << 10, CacheBytes: 1 << 20, SegmentRows: sealRows, Tick: time.Hour,
	}
}

// life is what a store goes through in the tests of crashes and faults.
func life() []step {
	return []step{
		{kind: createColl, coll: "plain", collKind: plainColl},
		{kind: insert, coll: "plain", keys: keyRange(0, 6), ver: 1},
		{kind: createPart, coll: "plain", part: "side"},
		{kind: createColl, coll: "keyed", collKind: keyedColl},
		{kind: insert, coll: "plain", part: "side", keys: keyRange(100, 8), ver: 2},
		{kind: insert, coll: "keyed", keys: keyRange(0, 12), ver: 3},
		{kind: flush, coll: "plain", part: "side"},
		{kind: upsert, coll: "plain", keys: []int{2, 3, 101, 50}, ver: 4}, // moves a sealed row between partitions
		{kind: remove, coll: "plain", part: "side", keys: []int{100, 7777}},
		{kind: createColl, coll: "dup", collKind: dupColl},
		{kind: insert, coll: "dup", keys: []int{1, 2, 3, 1}, ver: 5},
		{kind: insert, coll: "dup", keys: []int{1, 2}, ver: 6},
		{kind: flushColl, coll: "dup"},
		{kind: remove, coll: "dup", keys: []int{1}},
		{kind: insert, coll: "dup", keys: []int{1, 9}, ver: 7},
		{kind: flushColl, coll: "plain"},
		{kind: upsert, coll: "keyed", keys: keyRange(3, 6), ver: 8}, // moves rows between hidden partitions
		{kind: flushColl, coll: "keyed"},
		{kind: remove, coll: "keyed", keys: []int{0, 4, 11, 99}},
		{kind: removeAll, coll: "plain", keys: []int{50, 103, 8888}},
		{kind: flush, coll: "plain"}, // a tombstone on sealed rows, nothing else
		{kind: index, coll: "plain"},
		{kind: indexVer, coll: "plain"},
		{kind: remove, coll: "plain", keys: []int{3}},
		{kind: compact, coll: "plain"}, // one of the dead rows is in the log alone
		{kind: createColl, coll: "text", collKind: textColl},
		{kind: insert, coll: "text", keys: keyRange(0, 10), ver: 9},
		{kind: insert, coll: "text", keys: keyRange(10, 25), ver: 10, to: "auto"},
		{kind: addField, coll: "text", to: "extra"},
		{kind: upsert, coll: "text", keys: keyRange(5, 20), ver: 11, to: "auto"},
		{kind: renameColl, coll: "dup", to: "twice"},
		{kind: insert, coll: "twice", keys: []int{2, 3}, ver: 12},
		{kind: reopen},
		{kind: insert, coll: "plain", part: "side", keys: keyRange(200, 5), ver: 13},
		{kind: renamePart, coll: "plain", part: "side", to: "other"},
		{kind: upsert, coll: "plain", part: "other", keys: []int{0, 1, 200}, ver: 14},
		{kind: flush, coll: "plain", part: "other"},
		{kind: remove, coll: "text", keys: keyRange(0, 12)},
		{kind: moveField, coll: "text", to: "more"},
		{kind: flush, coll: "text"},
		{kind: indexVer, coll: "text"},
		{kind: compact, coll: "text"},
		{kind: upsert, coll: "text", keys: keyRange(30, 4), ver: 21, to: "auto"},
		{kind: dropField, coll: "text"},
		{kind: unindex, coll: "plain"},
		{kind: addField, coll: "text", to: "more"}, // the name is used again: nothing of the old one comes back
		{kind: upsert, coll: "text", keys: keyRange(32, 4), ver: 22, to: "auto"},
		{kind: createPart, coll: "plain", part: "gone"},
		{kind: insert, coll: "plain", part: "gone", keys: keyRange(300, 4), ver: 15},
		{kind: flush, coll: "plain", part: "gone"},
		{kind: upsert, coll: "plain", part: "gone", keys: []int{4, 300}, ver: 16},
		{kind: dropPart, coll: "plain", part: "gone"},
		{kind: createPart, coll: "plain", part: "gone"}, // the same name again
		{kind: insert, coll: "plain", part: "gone", keys: keyRange(300, 2), ver: 17},
		{kind: backUp},
		{kind: dropColl, coll: "keyed"},
		{kind: createColl, coll: "keyed", collKind: keyedColl},
		{kind: insert, coll: "keyed", keys: keyRange(0, 3), ver: 18},
		{kind: reopen},
		{kind: reopen},
		{kind: removeAll, coll: "plain", keys: []int{300, 2}},
		{kind: upsert, coll: "keyed", keys: keyRange(1, 4), ver: 19},
		{kind: flushColl, coll: "twice"},
		{kind: insert, coll: "twice", keys: []int{2}, ver: 20},
		{kind: compact, coll: "twice"},
		{kind: remove, coll: "twice", keys: []int{2}},
	}
}

// states gives the model before each step of a script, and after the last.
func states(t testing.TB, script []step) []*ledger {
	out := []*ledger{newLedger()}
	for i, s := range script {
		next := out[i].clone()
		require.NoError(t, next.apply(s), "step %d: %v", i, s)
		out = append(out, next)
	}
	return out
}

// crashImage is a file system as a crash left it, and which steps of the script may be in it.
type crashImage struct {
	fs            *vfs.MemFS
	acked, issued int
	at            string
}

// crashed runs a script and hands on an image of every k-th operation that changes the file system, in each percentage.
func crashed(t testing.TB, rng *rand.Rand, script []step, every int, percents []int, give func(crashImage)) {
	mem := vfs.NewCrashableMem()
	var acked, issued atomic.Int64
	var mu sync.Mutex
	n := 0
	s := &session{dir: "data/store"}
	fs := newHookFS(mem, func(op fsOp) error {
		mu.Lock()
		defer mu.Unlock()
		if !op.changes() {
			return nil
		}
		if n++; n%every != 0 {
			return nil
		}
		for _, percent := range percents {
			img := crashImage{acked: int(acked.Load()), at: fmt.Sprintf("operation %d, %s %s, %d %%", n, op.kind, op.path, percent)}
			img.fs = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
			img.issued = int(issued.Load())
			give(img)
		}
		return nil
	})
	s.opts = tiny(fs)
	require.NoError(t, s.open())
	for i, st := range script {
		issued.Store(int64(i + 1))
		require.NoError(t, s.run(context.Background(), st), "step %d: %v", i, st)
		acked.Store(int64(i + 1))
	}
	require.NoError(t, s.close())
	give(crashImage{fs: mem.CrashClone(vfs.CrashCloneCfg{}), acked: len(script), issued: len(script), at: "after close"})
}

// survive opens a store, holds it against the states allowed, then writes to everything in it, flushes and reopens it.
func survive(fs vfs.FS, allowed []*ledger) (err error) {
	ctx := context.Background()
	s := &session{dir: "data/store", opts: tiny(fs)}
	if err := s.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	o, err := observe(ctx, s.eng)
	if err != nil {
		return err
	}
	found, err := o.match(allowed)
	if err != nil {
		return err
	}
	return useOn(ctx, s, found.clone())
}

// useOn goes on with a store that is in a known state.
func useOn(ctx context.Context, s *session, l *ledger) error {
	var steps []step
	for cn, c := range l.colls {
		for pn, p := range c.parts {
			fresh := keyRange(9000, 3)
			for k := range p.rows {
				fresh = append(fresh, k)
				break
			}
			part := pn
			if c.kind != keyedColl && part == engine.DefaultPartition {
				part = ""
			}
			steps = append(steps, step{kind: upsert, coll: cn, part: part, keys: fresh, ver: 1000, to: "auto"},
				step{kind: remove, coll: cn, part: part, keys: []int{9001}})
		}
		steps = append(steps, step{kind: flushColl, coll: cn})
	}
	steps = append(steps, step{kind: createColl, coll: "fresh", collKind: plainColl},
		step{kind: insert, coll: "fresh", keys: keyRange(0, 2), ver: 1001}, step{kind: reopen})
	for _, st := range steps {
		if err := l.apply(st); err != nil {
			return fmt.Errorf("%v: %w", st, err)
		}
		if err := s.run(ctx, st); err != nil {
			return fmt.Errorf("going on: %v: %w", st, err)
		}
	}
	o, err := observe(ctx, s.eng)
	if err == nil {
		_, err = o.match([]*ledger{l})
	}
	if err != nil {
		return fmt.Errorf("after going on: %w", err)
	}
	return nil
}

// verifiers check images side by side.
type verifiers struct {
	t      *testing.T
	images chan crashImage
	wg     sync.WaitGroup
	done   atomic.Int64
	failed atomic.Int64
}

func verifyImages(t *testing.T, check func(crashImage) error) *verifiers {
	v := &verifiers{t: t, images: make(chan crashImage, 16)}
	for range runtime.GOMAXPROCS(0) {
		v.wg.Go(func() {
			for img := range v.images {
				if err := check(img); err != nil && v.failed.Add(1) <= 5 {
					t.Errorf("crash before %s, steps %d to %d: %v", img.at, img.acked, img.issued, err)
				}
				v.done.Add(1)
			}
		})
	}
	return v
}

func (v *verifiers) wait() {
	close(v.images)
	v.wg.Wait()
}

// TestCrashAtEveryOperation cuts the power at operations of a store's life. What was acknowledged must be there, what was not, whole
// or not at all.
func TestCrashAtEveryOperation(t *testing.T) {
	rng := seeded(t)
	script := life()
	all := states(t, script)
	every, rounds := 8*thinner, 1
	if *long {
		every, rounds = 1, 3
	}
	v := verifyImages(t, func(img crashImage) error { return survive(img.fs, all[img.acked:img.issued+1]) })
	for range rounds {
		crashed(t, rng, script, every, []int{0, 50, 100}, func(img crashImage) { v.images <- img })
	}
	v.wait()
	require.Greater(t, v.done.Load(), int64(100/thinner))
	figures(t, "%d images, %d lost or halved", v.done.Load(), v.failed.Load())
}

// TestCrashDuringRecovery cuts the power again while a crashed store is being recovered.
func TestCrashDuringRecovery(t *testing.T) {
	rng := seeded(t)
	script := life()
	all := states(t, script)
	every, second := 151, 7*thinner
	if *long {
		every, second = 31, 1
	}
	var crashes []crashImage
	crashed(t, rng, script, every, []int{0, 50, 100}, func(img crashImage) { crashes = append(crashes, img) })
	v := verifyImages(t, func(img crashImage) error { return survive(img.fs, all[img.acked:img.issued+1]) })
	for _, img := range crashes {
		recoverCrashing(t, rng, img, second, func(i crashImage) { v.images <- i })
	}
	v.wait()
	require.Greater(t, v.done.Load(), int64(20/thinner))
	figures(t, "%d first crashes, %d images, %d lost or halved", len(crashes), v.done.Load(), v.failed.Load())
}

// recoverCrashing opens an image and hands on images of its recovery.
func recoverCrashing(t testing.TB, rng *rand.Rand, img crashImage, every int, give func(crashImage)) {
	var mu sync.Mutex
	n := rng.IntN(every)
	fs := newHookFS(img.fs, func(op fsOp) error {
		mu.Lock()
		defer mu.Unlock()
		if !op.changes() {
			return nil
		}
		if n++; n%every != 0 {
			return nil
		}
		percent := rng.IntN(3) * 50
		again := img
		again.at = fmt.Sprintf("%s; recovery: %s %s, %d %%", img.at, op.kind, op.path, percent)
		again.fs = img.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		give(again)
		return nil
	})
	eng, err := engine.Open("data/store", tiny(fs))
	if err == nil {
		err = eng.Close()
	}
	if err != nil {
		t.Errorf("%s: %v", img.at, err)
	}
}

var errKilled = errors.New("the process was killed")

// TestPowerCutAfterKill kills the process, which leaves written but unsynced bytes behind, opens the store and cuts the power during
// its recovery: what recovery has read, it must not rely on before it is on disk.
func TestPowerCutAfterKill(t *testing.T) {
	rng := seeded(t)
	script := life()
	all := states(t, script)
	every, second := 60, 5*thinner
	if *long {
		every, second = 5, 1
	}
	v := verifyImages(t, func(img crashImage) error { return survive(img.fs, all[img.acked:img.issued+1]) })
	kills := 0
	for k := 1 + rng.IntN(every); ; k += every {
		img, ended := killedAt(t, script, k)
		kills++
		recoverCrashing(t, rng, img, second, func(i crashImage) { v.images <- i })
		if ended {
			break
		}
	}
	v.wait()
	figures(t, "%d kills, %d images, %d lost or halved", kills, v.done.Load(), v.failed.Load())
}

// killedAt runs a script until the k-th operation that changes the file system, and leaves that as it is then.
func killedAt(t testing.TB, script []step, k int) (img crashImage, ended bool) {
	mem := vfs.NewCrashableMem()
	var n atomic.Int64
	hooked := newHookFS(mem, func(op fsOp) error {
		if op.changes() && n.Add(1) >= int64(k) || n.Load() >= int64(k) {
			return &fs.PathError{Op: string(op.kind), Path: op.path, Err: errKilled}
		}
		return nil
	})
	s := &session{dir: "data/store", opts: tiny(hooked)}
	img = crashImage{fs: mem, at: fmt.Sprintf("kill at operation %d", k)}
	err := s.open()
	for i := 0; err == nil && i < len(script); i++ {
		img.issued = i + 1
		if err = s.run(context.Background(), script[i]); err == nil {
			img.acked = i + 1
		}
	}
	if cerr := s.close(); err == nil {
		err = cerr
	}
	if err != nil && !errors.Is(err, errKilled) && !errors.Is(err, engine.ErrPoisoned) {
		t.Errorf("kill at operation %d: %v", k, err)
	}
	// The locks of a dead process are gone; MemFS keeps them with the file system.
	img.fs = mem
	return img, err == nil
}

// TestDropRacesFlush drops a partition at the moment its flush is committed.
func TestDropRacesFlush(t *testing.T) {
	script := slices.Clone(life()[:3])
	mem := vfs.NewMem()
	var armed atomic.Bool
	var drop, flushes sync.Once
	dropping, flushing := make(chan struct{}), make(chan struct{})
	fs := newHookFS(mem, func(op fsOp) error {
		if !armed.Load() || op.kind != opSync {
			return nil
		}
		switch base := mem.PathBase(op.path); {
		case strings.HasPrefix(base, "CATALOGUE"):
			drop.Do(func() { // it holds the catalogue: let the flush come up behind it
				close(dropping)
				<-flushing
				time.Sleep(30 * time.Millisecond)
			})
		case base == "rows.sst":
			flushes.Do(func() {
				<-dropping
				close(flushing)
			})
		}
		return nil
	})
	opts := tiny(fs)
	opts.CatalogueBytes = 1 << 20
	s := &session{dir: "data/store", opts: opts}
	require.NoError(t, s.open())
	ctx := context.Background()
	for _, st := range script {
		require.NoError(t, s.run(ctx, st))
	}
	require.NoError(t, s.run(ctx, step{kind: insert, coll: "plain", part: "side", keys: keyRange(10, 5), ver: 9}))
	armed.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- s.run(ctx, step{kind: flush, coll: "plain", part: "side"}) }()
	require.NoError(t, s.run(ctx, step{kind: dropPart, coll: "plain", part: "side"}))
	require.Error(t, <-flushed)
	require.NoError(t, s.run(ctx, step{kind: flushColl, coll: "plain"}), "the catalogue still takes edits")
	require.NoError(t, s.run(ctx, step{kind: reopen}))
	l := newLedger()
	for _, st := range append(script, step{kind: flushColl, coll: "plain"}, step{kind: dropPart, coll: "plain", part: "side"}) {
		require.NoError(t, l.apply(st))
	}
	o, err := observe(ctx, s.eng)
	require.NoError(t, err)
	_, err = o.match([]*ledger{l})
	require.NoError(t, err)
	require.NoError(t, s.close())
}
