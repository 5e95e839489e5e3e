package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/vector"
)

// image is every file of a store by its path, but for LOCK and LOCK.pid, whose contents mean nothing.
type image map[string][]byte

const imageDir = "data/store"

// capture reads all files of a store. The background may be at work: it reads until two readings are equal.
func capture(t testing.TB, fs vfs.FS) image {
	t.Helper()
	var last image
	for end := time.Now().Add(waitLong); ; time.Sleep(waitStep) {
		m := image{}
		err := m.read(fs, imageDir)
		if err == nil && last != nil && maps.EqualFunc(last, m, bytes.Equal) {
			return m
		}
		if !oserror.IsNotExist(err) { // removed since it was listed
			require.NoError(t, err)
		}
		require.True(t, time.Now().Before(end), "the store does not come to rest")
		last = m
	}
}

func (m image) read(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		p := fs.PathJoin(dir, name)
		info, err := fs.Stat(p)
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := m.read(fs, p); err != nil {
				return err
			}
			continue
		}
		if strings.HasPrefix(name, "LOCK") || strings.HasSuffix(name, ".tmp") {
			continue
		}
		f, err := fs.Open(p)
		if err != nil {
			return err
		}
		m[p], err = io.ReadAll(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// with returns a copy in which one file has other contents; nil removes it.
func (m image) with(name string, b []byte) image {
	c := maps.Clone(m)
	if c[name] = b; b == nil {
		delete(c, name)
	}
	return c
}

// lastLog is the name of the newest log file.
func (m image) lastLog() (last string) {
	for name := range m {
		if strings.HasSuffix(name, ".wal") {
			last = max(last, name)
		}
	}
	return last
}

func (m image) names() []string { return slices.Sorted(maps.Keys(m)) }

// kind groups files that could be taken for one another.
func (m image) kind(name string) string {
	switch base := path.Base(name); {
	case strings.HasSuffix(base, ".sst"):
		return base
	case strings.HasSuffix(base, ".wal"):
		return "log"
	}
	return "catalogue"
}

func (m image) fs() *vfs.MemFS {
	fs := vfs.NewMem()
	for _, dir := range []string{"wal", "seg", "tmp"} {
		orPanic(fs.MkdirAll(imageDir+"/"+dir, 0o755))
	}
	for name, b := range m {
		orPanic(fs.MkdirAll(path.Dir(name), 0o755))
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		orPanic(err)
		_, err = f.Write(bytes.Clone(b)) // under the race detector MemFS spoils what it was given
		orPanic(err)
		orPanic(f.Close())
	}
	return fs
}

func orPanic(err error) {
	if err != nil {
		panic(err)
	}
}

// outcome is what became of a damaged store.
type outcome int

const (
	harmless outcome = iota // everything was there, and nothing was said
	refused                 // Open returned an error
	reported                // Open did not, but reads did, and those that did not were right
	nOutcomes
)

// check opens a damaged store and reads everything in it in every way. err tells of what must never be: a wrong answer, rows that are
// missing without a word, a panic, an error that is no corruption or does not name a file.
func (m image) check(want *ledger, readOnly bool, about ...string) (out outcome, at int64, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	at = -1
	judge := func(e error) {
		var ce *engine.CorruptionError
		switch {
		case !errors.Is(e, engine.ErrCorrupt) || !errors.As(e, &ce) || ce.Path == "" || ce.Kind == "":
			err = errors.Join(err, fmt.Errorf("no corruption error: %w", e))
		case len(about) > 0 && !slices.Contains(about, ce.Path):
			err = errors.Join(err, fmt.Errorf("it names another file: %w", e))
		default:
			at = max(at, ce.Offset)
		}
	}
	opts := tiny(m.fs())
	opts.ReadOnly = readOnly
	eng, oerr := engine.Open(imageDir, opts)
	if oerr != nil {
		judge(oerr)
		return refused, at, err
	}
	errs, wrong := probe(context.Background(), eng, want)
	for _, e := range errs {
		out = reported
		judge(e)
	}
	if cerr := eng.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close: %w", cerr))
	}
	return out, at, errors.Join(err, wrong)
}

// probe reads everything in every way and holds each answer against the model. errs are the errors that the store returned.
func probe(ctx context.Context, eng *engine.Engine, want *ledger) (errs []error, err error) {
	names := slices.Sorted(maps.Keys(want.colls))
	if got := eng.Collections(); !slices.Equal(got, names) {
		return nil, wrong("collections %v instead of %v", got, names)
	}
	for _, name := range names {
		c, cerr := eng.Collection(name)
		if cerr != nil {
			return nil, cerr
		}
		lc := want.colls[name]
		if kindOf(c) != lc.kind {
			return nil, wrong("collection %s is of kind %d", name, kindOf(c))
		}
		if lc.kind == keyedColl {
			e, perr := probePart(ctx, lc.kind, c, c.All(ctx, "*"), lc.parts[""])
			errs, err = append(errs, e...), errors.Join(err, perr)
			continue
		}
		parts := slices.Sorted(maps.Keys(lc.parts))
		var got []string
		for _, p := range c.Partitions() {
			got = append(got, p.Name())
		}
		if slices.Sort(got); !slices.Equal(got, parts) {
			return nil, wrong("partitions %v of %s instead of %v", got, name, parts)
		}
		for _, pn := range parts {
			p, perr := c.Partition(pn)
			if perr != nil {
				return nil, perr
			}
			e, perr := probePart(ctx, lc.kind, p, p.All(ctx, "*"), lc.parts[pn])
			errs, err = append(errs, e...), errors.Join(err, perr)
		}
	}
	return errs, err
}

func probePart(ctx context.Context, kind collKind, r reader, all func(func(column.Row, error) bool), want *ledgerPart) (errs []error, err error) {
	wrongly := func(e error) { err = errors.Join(err, e) }
	count, sealed := want.count()
	if n, cerr := r.Count(ctx); cerr != nil {
		errs = append(errs, cerr)
	} else if n != count {
		wrongly(wrong("Count is %d instead of %d", n, count))
	}
	if n := r.NumEntities(); n < sealed || n > count || !want.auto && n != sealed {
		wrongly(wrong("NumEntities is %d instead of %d", n, sealed))
	}
	rowsOf := func(key int) int { return len(want.rows[key]) }
	note := func(seen map[int]int, row column.Row) {
		key, rerr := checkRow(kind, row)
		if rerr != nil {
			wrongly(rerr)
		} else if !slices.ContainsFunc(want.rows[key], func(l ledgerRow) bool { return l.ver == row.Int64("ver") }) {
			wrongly(wrong("key %d @%d, which is not there", key, row.Int64("ver")))
		}
		seen[key]++
	}
	complete := func(what string, seen map[int]int) {
		for key := range want.rows {
			if seen[key] != rowsOf(key) {
				wrongly(wrong("%s: %d rows of key %d instead of %d", what, seen[key], key, rowsOf(key)))
			}
		}
	}
	seen, failed := map[int]int{}, false
	for row, rerr := range all {
		if rerr != nil {
			errs, failed = append(errs, rerr), true
			break
		}
		note(seen, row)
	}
	if !failed {
		complete("All", seen)
	}
	keys := slices.Sorted(maps.Keys(want.rows))
	if len(keys) == 0 {
		return errs, err
	}
	if rows, gerr := r.Get(ctx, kind.keys(append(keys, 123456)), "*"); gerr != nil {
		errs = append(errs, gerr)
	} else {
		seen = map[int]int{}
		for _, row := range rows.All() {
			note(seen, row)
		}
		complete("Get", seen)
	}
	for i := 0; i < len(keys); i += max(1, len(keys)/2) {
		row := want.rows[keys[i]][0]
		hits, serr := r.Search(ctx, query.Nearest("v", vectorOf(keys[i], row.ver)).Metric(vector.L2).Limit(3).Output("*"))
		if serr != nil {
			errs = append(errs, serr)
			continue
		}
		if len(hits) != min(3, int(count)) || hits[0].Score != 0 || hits[0].Row.Int64("ver") != row.ver {
			wrongly(wrong("%d hits near key %d @%d", len(hits), keys[i], row.ver))
			continue
		}
		for _, h := range hits {
			note(map[int]int{}, h.Row)
		}
	}
	return errs, err
}

// damageLife has all kinds of files in two or three of each, and rows both in segments and in the log.
func damageLife() []step {
	return append(life()[:38],
		step{kind: insert, coll: "plain", keys: keyRange(400, 9), ver: 30},
		step{kind: upsert, coll: "keyed", keys: keyRange(2, 5), ver: 31},
		step{kind: remove, coll: "plain", part: "other", keys: []int{201}},
	)
}

// lived is a store at the end of its life: its files, what is in them, and the files as they were on the way.
type lived struct {
	image
	want   *ledger
	older  []image
	killed bool
	noted  int // the last step that changed the catalogue
}

func liveAndClose(t testing.TB, script []step, closed bool) lived {
	fs := vfs.NewMem()
	opts := tiny(fs)
	opts.CatalogueBytes = 64 << 10
	s := &session{dir: imageDir, opts: opts}
	require.NoError(t, s.open())
	l := lived{want: newLedger(), killed: !closed}
	for i, st := range script {
		require.NoError(t, s.run(context.Background(), st), "%v", st)
		require.NoError(t, l.want.apply(st))
		switch st.kind {
		case insert, upsert, remove, removeAll:
		default:
			l.noted = i
		}
		if i%3 == 0 {
			l.older = append(l.older, capture(t, fs))
		}
	}
	idle(t, s)
	if !closed {
		l.image = capture(t, fs)
	}
	require.NoError(t, s.close())
	if closed {
		l.image = capture(t, fs)
	}
	return l
}

// idle waits until nothing is sealing any more, and every index is built.
func idle(t testing.TB, s *session) {
	fs := s.opts.FS
	var seen []string
	same := 0
	require.Eventually(t, func() bool {
		for _, name := range s.eng.Collections() {
			c, err := s.eng.Collection(name)
			if err != nil || c.Stats().Sealing > 0 {
				return false
			}
		}
		names, err := fs.List(fs.PathJoin(s.dir, "seg")) // files are removed, and made ahead, in the background
		slices.Sort(names)
		if err != nil || !slices.Equal(names, seen) {
			seen, same = names, 0
			return false
		}
		same++
		return same > 5
	}, waitLong, waitStep)
	ctx, cancel := context.WithTimeout(context.Background(), waitLong)
	defer cancel()
	for _, name := range s.eng.Collections() {
		c, err := s.eng.Collection(name)
		require.NoError(t, err)
		require.NoError(t, c.WaitIndexed(ctx))
	}
}

// tally counts what became of damages.
type tally struct {
	t      *testing.T
	counts [nOutcomes]atomic.Int64
	placed atomic.Int64 // errors with an offset
	failed atomic.Int64
	jobs   chan func()
	wg     sync.WaitGroup
}

func newTally(t *testing.T) *tally {
	c := &tally{t: t, jobs: make(chan func(), 64)}
	for range runtime.GOMAXPROCS(0) {
		c.wg.Go(func() {
			for job := range c.jobs {
				job()
			}
		})
	}
	return c
}

func (c *tally) add(what string, m image, want *ledger, readOnly bool, about ...string) {
	c.jobs <- func() {
		out, at, err := m.check(want, readOnly, about...)
		if err != nil && c.failed.Add(1) <= 8 {
			c.t.Errorf("%s (read-only %v): %v", what, readOnly, err)
		}
		c.counts[out].Add(1)
		if at >= 0 {
			c.placed.Add(1)
		}
	}
}

func (c *tally) wait(what string) {
	close(c.jobs)
	c.wg.Wait()
	figures(c.t, "%s: %d refused by Open, %d reported by reads (%d with an offset), %d harmless, %d wrong", what,
		c.counts[refused].Load(), c.counts[reported].Load(), c.placed.Load(), c.counts[harmless].Load(), c.failed.Load())
}

func eachLife(t *testing.T, fn func(t *testing.T, l lived, rng *rand.Rand)) {
	for name, closed := range map[string]bool{"closed": true, "killed": false} {
		t.Run(name, func(t *testing.T) {
			l := liveAndClose(t, damageLife(), closed)
			for _, readOnly := range []bool{true, false} {
				out, _, err := l.check(l.want, readOnly)
				require.NoError(t, err)
				require.Equal(t, harmless, out)
			}
			fn(t, l, seeded(t))
		})
	}
}

// TestEveryByteFlipped flips bytes and single bits of every file of a store; with -long, all of them.
func TestEveryByteFlipped(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, rng *rand.Rand) {
		for _, name := range l.names() {
			c := newTally(t)
			stride := 1
			if !*long {
				stride = 1 + thinner*len(l.image[name])/150
			}
			for i := rng.IntN(stride); i < len(l.image[name]); i += stride {
				flips := []byte{0xff, 1 << rng.IntN(8)}
				if *long {
					flips = []byte{0xff, 1, 2, 4, 8, 16, 32, 64, 128}
				}
				for _, x := range flips {
					b := bytes.Clone(l.image[name])
					b[i] ^= x
					c.add(fmt.Sprintf("%s byte %d ^ %#x", name, i, x), l.with(name, b), l.want, rng.IntN(4) > 0, name)
				}
			}
			c.wait(fmt.Sprintf("%s of %d bytes", name, len(l.image[name])))
		}
	})
}

// TestEveryCut cuts every file of a store short, and makes it longer.
func TestEveryCut(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, rng *rand.Rand) {
		for _, name := range l.names() {
			c := newTally(t)
			stride := 1
			if !*long {
				stride = 1 + thinner*len(l.image[name])/60
			}
			for i := 0; i < len(l.image[name]); i += 1 + rng.IntN(stride) {
				c.add(fmt.Sprintf("%s cut at %d", name, i), l.with(name, append([]byte{}, l.image[name][:i]...)), l.want, rng.IntN(4) > 0, name)
			}
			for _, more := range []int{1, 8, 5000} {
				c.add(fmt.Sprintf("%s and %d bytes", name, more), l.with(name, append(bytes.Clone(l.image[name]), make([]byte, more)...)), l.want, true, name)
			}
			c.wait(fmt.Sprintf("%s of %d bytes", name, len(l.image[name])))
			if l.kind(name) != "catalogue" {
				require.Zero(t, c.counts[harmless].Load(), "a log file and a table have their size written down")
			}
		}
	})
}

// TestSectors zeroes and garbles each sector of each file, and swaps it with the next. Of a killed store the last log file is left out: a sector that holds
// the last record and the mark behind it, destroyed, is a torn tail to everyone.
func TestSectors(t *testing.T) {
	const sector = 512
	eachLife(t, func(t *testing.T, l lived, rng *rand.Rand) {
		c := newTally(t)
		every := 1
		if !*long {
			every = 5 * thinner
		}
		n := 0
		for _, name := range l.names() {
			was := l.image[name]
			if strings.HasSuffix(t.Name(), "/killed") && name == l.image.lastLog() {
				continue
			}
			for at := 0; at < len(was); at += sector {
				if n++; n%every != 0 {
					continue
				}
				end := min(at+sector, len(was))
				change := func(what string, fn func(b []byte)) {
					b := slices.Clone(was)
					fn(b)
					if !bytes.Equal(b, was) {
						c.add(fmt.Sprintf("%s: sector at %d %s", name, at, what), l.with(name, b), l.want, false, name)
					}
				}
				change("zeroed", func(b []byte) { clear(b[at:end]) })
				change("garbled", func(b []byte) {
					for i := at; i < end; i++ {
						b[i] = byte(rng.Uint32())
					}
				})
				if end+sector <= len(was) {
					change("swapped with the next", func(b []byte) {
						copy(b[at:end], was[end:end+sector])
						copy(b[end:end+sector], was[at:end])
					})
				}
			}
		}
		c.wait("sectors")
	})
}

// TestFilesMixedUp removes, empties, zeroes, doubles, swaps whole files and replaces them by older copies of themselves.
func TestFilesMixedUp(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, _ *rand.Rand) {
		c := newTally(t)
		for _, name := range l.names() {
			for _, readOnly := range []bool{true, false} {
				if thinner > 1 && readOnly {
					continue
				}
				try := func(what string, m image, about ...string) {
					c.add(fmt.Sprintf("%s %s", name, what), m, l.want, readOnly, about...)
				}
				try("removed", l.with(name, nil))
				try("emptied", l.with(name, []byte{}), name)
				try("zeroed", l.with(name, make([]byte, len(l.image[name]))), name)
				for _, to := range l.doubles(name) {
					try("doubled as "+to, l.with(to, l.image[name]))
				}
				for _, other := range l.names() {
					if other != name && l.kind(other) == l.kind(name) {
						try("in the place of "+other, l.with(other, l.image[name]), other)
						try("swapped with "+other, l.with(other, l.image[name]).with(name, l.image[other]), other, name)
					}
				}
			}
		}
		c.wait("files mixed up")
	})
}

// doubles gives names under which a copy of a file could be found.
func (m image) doubles(name string) []string {
	dir := path.Dir(name)
	switch m.kind(name) {
	case "catalogue":
		return []string{dir + "/CATALOGUE-000000", dir + "/CATALOGUE-000077", name + ".tmp", name + ".old"}
	case "log":
		return []string{dir + "/000000.wal", dir + "/000077.wal", dir + "/000077.wal.tmp", dir + "/copy.wal", name + "~"}
	}
	return []string{dir + "/copy.sst", path.Dir(dir) + "/000999/" + path.Base(name), path.Dir(dir) + "/copy/" + path.Base(name)}
}

// TestStaleFiles puts older copies of each file in its place: of the same name, from earlier in the store's life. One thing cannot be
// told, and docs/format/wal.md says so: in a store that was not closed, a copy of the last log file that holds all that was written before the
// last edit of the catalogue.
func TestStaleFiles(t *testing.T) {
	eachLife(t, func(t *testing.T, l lived, _ *rand.Rand) {
		c := newTally(t)
		var logs []string
		for _, name := range l.names() {
			if l.kind(name) == "log" {
				logs = append(logs, name)
			}
		}
		for _, name := range l.names() {
			seen := map[string]bool{string(l.image[name]): true}
			for i, old := range l.older {
				if l.killed && name == logs[len(logs)-1] && 3*i+1 >= l.noted {
					continue
				}
				if b, ok := old[name]; ok && !seen[string(b)] {
					seen[string(b)] = true
					for _, readOnly := range []bool{true, false} {
						c.add(fmt.Sprintf("%s as of step %d", name, 3*i), l.with(name, b), l.want, readOnly)
					}
				}
			}
		}
		c.wait("stale files")
	})
}
