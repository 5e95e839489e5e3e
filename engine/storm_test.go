package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

const (
	stormWriters = 4
	stormKeys    = 150 // of each writer; no two writers share a key
	stormStable  = 30  // rows that nobody changes
	stormPair    = int64(900_000)
)

// storm is a store in which everything happens at once.
type storm struct {
	t    *testing.T
	ctx  context.Context
	dir  string
	eng  *engine.Engine
	coll *engine.Collection
	own  [stormWriters]map[int64]int64 // what n is in the rows of each writer, changed by it alone
	left [stormWriters]int64           // a key of each writer whose last call was given up: the row may be the old or the new
	done atomic.Bool
	ops  sync.Map // kind of call → *atomic.Int64
}

// TestEverythingAtOnce runs every verb of a store beside every other, closes it, opens it and goes on. Each writer holds its own rows against a
// model after every call, readers hold rows that nobody touches and pairs that are written in one call, copies are opened and read. With
// -soak it takes that long.
func TestEverythingAtOnce(t *testing.T) {
	length := max(*soakTime, time.Second)
	if *long && *soakTime == 0 {
		length = 20 * time.Second
	}
	rng := seeded(t)
	s := &storm{t: t, ctx: context.Background(), dir: filepath.Join(t.TempDir(), "store")}
	for w := range s.own {
		s.own[w], s.left[w] = map[int64]int64{}, -1
	}
	s.open()
	s.setUp()
	rounds := 0
	for end := time.Now().Add(length); time.Now().Before(end) && !t.Failed(); rounds++ {
		s.round(rng, min(length/2, 10*time.Second))
		require.NoError(t, s.eng.Close())
		s.open()
		s.verify()
	}
	r, err := s.eng.Check(s.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.NoError(t, s.eng.Close())
	counts := map[string]int64{}
	s.ops.Range(func(k, v any) bool {
		counts[k.(string)] = v.(*atomic.Int64).Load()
		return true
	})
	for _, what := range []string{"write", "read", "flush", "compact", "checkpoint", "fields"} {
		require.Positive(t, counts[what], what)
	}
	figures(t, "%v, %d rounds, calls: %v; 0 wrong", length, rounds, counts)
}

func (s *storm) open() {
	var err error
	s.eng, err = engine.Open(s.dir, &engine.Options{
		SegmentRows: 120, LogFileBytes: 64 << 10, LogBytes: 1 << 20, CatalogueBytes: 16 << 10, CacheBytes: 1 << 20, Tick: 5 * time.Millisecond,
		CompactIdle: 20 * time.Millisecond, DiskReserve: -1,
	})
	require.NoError(s.t, err)
	s.coll, _ = s.eng.Collection("c")
}

func (s *storm) setUp() {
	var err error
	s.coll, err = s.eng.CreateCollection(s.ctx, plainSchema("c").WithShards(2))
	require.NoError(s.t, err)
	for _, name := range []string{"a", "b"} {
		_, err = s.coll.CreatePartition(s.ctx, name)
		require.NoError(s.t, err)
	}
	for i := range int64(stormStable) {
		_, err = s.part(int(i)).Insert(s.ctx, plainRows(0, 500_000+i)...)
		require.NoError(s.t, err)
	}
	_, err = s.coll.Upsert(s.ctx, plainRows(0, stormPair, stormPair+1)...)
	require.NoError(s.t, err)
}

func (s *storm) part(i int) *engine.Partition {
	p, err := s.coll.Partition([]string{"a", "b"}[i%2])
	require.NoError(s.t, err)
	return p
}

// loop runs fn until the round is over or something is wrong.
func (s *storm) loop(wg *sync.WaitGroup, what string, pause time.Duration, fn func(i int64) error) {
	n, _ := s.ops.LoadOrStore(what, new(atomic.Int64))
	wg.Go(func() {
		for i := int64(0); !s.done.Load(); i++ {
			if err := fn(i); err != nil {
				s.t.Errorf("%s %d: %v", what, i, err)
				s.done.Store(true)
				return
			}
			n.(*atomic.Int64).Add(1)
			time.Sleep(pause)
		}
	})
}

func (s *storm) round(rng *rand.Rand, length time.Duration) {
	var wg sync.WaitGroup
	s.done.Store(false)
	for w := range stormWriters {
		mine := rand.New(rand.NewPCG(rng.Uint64(), uint64(w)))
		s.loop(&wg, "write", 0, func(int64) error { return s.write(w, mine) })
	}
	first := rng.Int64N(1 << 40)
	s.loop(&wg, "pair", time.Millisecond, func(i int64) error {
		_, err := s.coll.Upsert(s.ctx, plainRows(first+i, stormPair, stormPair+1)...)
		return err
	})
	for i := range 2 {
		s.loop(&wg, "read", 0, func(i int64) error {
			id := 500_000 + i*7%stormStable
			if err := findable(s.ctx, s.coll, id); err != nil {
				return err
			}
			return findable(s.ctx, s.part(int(id-500_000)), id)
		})
		s.loop(&wg, "flush", time.Duration(3+4*i)*time.Millisecond, func(int64) error {
			_, err := s.part(i).Flush(s.ctx)
			return err
		})
	}
	s.loop(&wg, "walk", time.Millisecond, func(i int64) error { return s.walk(s.coll, i%5 == 4) })
	s.loop(&wg, "snapshot", 2*time.Millisecond, s.snapshots)
	s.loop(&wg, "compact", 20*time.Millisecond, func(int64) error { return s.coll.Compact(s.ctx) })
	s.loop(&wg, "index", 10*time.Millisecond, s.indexes)
	s.loop(&wg, "fields", 30*time.Millisecond, s.fields)
	s.loop(&wg, "ddl", 10*time.Millisecond, s.ddl)
	s.loop(&wg, "checkpoint", 100*time.Millisecond, s.copies)
	s.loop(&wg, "check", 200*time.Millisecond, func(int64) error {
		r, err := s.eng.Check(s.ctx, nil)
		if err == nil && !r.OK() {
			err = fmt.Errorf("%v", r)
		}
		return err
	})
	for end := time.Now().Add(length); time.Now().Before(end) && !s.done.Load(); {
		time.Sleep(10 * time.Millisecond)
	}
	s.done.Store(true)
	wg.Wait()
}

// write makes one random call with the writer's own keys, and reads them back.
func (s *storm) write(w int, rng *rand.Rand) error {
	mine, p := s.own[w], s.part(w)
	var keys []int64
	seen := map[int64]bool{}
	for range 1 + rng.IntN(8) {
		if k := int64(w)*stormKeys + rng.Int64N(stormKeys); !seen[k] && k != s.left[w] {
			keys, seen[k] = append(keys, k), true
		}
	}
	if len(keys) == 0 {
		return nil
	}
	n := rng.Int64N(1 << 50)
	held := 0
	for _, k := range keys {
		if _, ok := mine[k]; ok {
			held++
		}
	}
	replace := func(res engine.WriteResult, err error) error {
		if err == nil && (res.Inserted != len(keys) || res.Deleted != held) {
			err = fmt.Errorf("inserted %d, deleted %d of %d keys, %d of them held", res.Inserted, res.Deleted, len(keys), held)
		}
		for _, k := range keys {
			mine[k] = n
		}
		return err
	}
	gone := func(res engine.WriteResult, err error) error {
		if err == nil && res.Deleted != held {
			err = fmt.Errorf("deleted %d instead of %d", res.Deleted, held)
		}
		for _, k := range keys {
			delete(mine, k)
		}
		return err
	}
	var err error
	switch c := rng.IntN(20); {
	case c < 8:
		res, ierr := p.Insert(s.ctx, plainRows(n, keys...)...)
		if held > 0 {
			if !errors.Is(ierr, engine.ErrDuplicateKey) {
				return fmt.Errorf("insert of %d held keys: %w", held, ierr)
			}
		} else {
			err = replace(res, ierr)
		}
	case c < 13:
		err = replace(p.Upsert(s.ctx, plainRows(n, keys...)...))
	case c < 16:
		err = gone(p.Delete(s.ctx, column.IntKeys(keys...)))
	case c < 18:
		err = gone(s.coll.DeleteWhere(s.ctx, query.Where("id in {keys}", map[string]any{"keys": keys})))
	default:
		return s.giveUp(w, keys[0], n, rng)
	}
	if err != nil {
		return err
	}
	return s.compare(p, mine, keys)
}

// giveUp makes a call with a context that ends meanwhile: its row is the old or the new one.
func (s *storm) giveUp(w int, key, n int64, rng *rand.Rand) error {
	mine, p := s.own[w], s.part(w)
	ctx, cancel := context.WithTimeout(s.ctx, time.Duration(rng.IntN(2000))*time.Microsecond)
	defer cancel()
	_, err := p.Upsert(ctx, plainRows(n, key)...)
	switch {
	case err == nil:
		mine[key] = n
		return s.compare(p, mine, []int64{key})
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if old := s.left[w]; old >= 0 { // settle the one before: it may have been made after the call returned
		if _, err := p.Delete(s.ctx, column.IntKeys(old)); err != nil {
			return err
		}
		delete(mine, old)
		if old == key {
			s.left[w] = -1
			return nil
		}
	}
	s.left[w] = key
	return nil
}

// compare holds rows against a writer's model.
func (s *storm) compare(r searcher, mine map[int64]int64, keys []int64) error {
	rows, err := r.Get(s.ctx, column.IntKeys(keys...), "n")
	if err != nil {
		return err
	}
	found := map[int64]int64{}
	for _, row := range rows.All() {
		if k := row.Int64("id"); mine[k] != row.Int64("n") {
			return fmt.Errorf("row %d is of version %d instead of %d", k, row.Int64("n"), mine[k])
		}
		found[row.Int64("id")]++
	}
	for _, k := range keys {
		if _, ok := mine[k]; ok != (found[k] == 1) || found[k] > 1 {
			return fmt.Errorf("row %d is there %d times, expected %v", k, found[k], ok)
		}
	}
	return nil
}

// walk reads all rows of a view: each key once, the stable ones all, the pair of one call.
func (s *storm) walk(c *engine.Collection, breakOff bool) error {
	var last, stable, pair int64 = -1, 0, -1
	for row, err := range c.All(s.ctx, "n", "v") {
		if err != nil {
			return err
		}
		id := row.Int64("id")
		switch {
		case id <= last:
			return fmt.Errorf("row %d after row %d", id, last)
		case row.FloatVector("v")[0] != ownVector(id)[0]:
			return fmt.Errorf("row %d has the vector %v", id, row.FloatVector("v"))
		case id >= 500_000 && id < stormPair:
			stable++
		case id == stormPair:
			pair = row.Int64("n")
		case id == stormPair+1 && row.Int64("n") != pair:
			return fmt.Errorf("half a call: %d and %d", pair, row.Int64("n"))
		}
		last = id
		if breakOff && id > stormKeys {
			return nil
		}
	}
	if stable != stormStable || last != stormPair+1 {
		return fmt.Errorf("%d stable rows, the last is %d", stable, last)
	}
	return nil
}

// snapshots reads a fixed view twice.
func (s *storm) snapshots(i int64) error {
	name := fmt.Sprint("s", i)
	snap, err := s.eng.NewSnapshot(s.ctx, name)
	if err != nil {
		return err
	}
	c, err := snap.Collection("c")
	if err != nil {
		return errors.Join(err, snap.Close())
	}
	before, err := c.Count(s.ctx)
	if err == nil {
		err = s.walk(c, false)
	}
	if err == nil {
		var after int64
		if after, err = c.CountWhere(s.ctx, query.Where("id >= 0")); err == nil && after != before {
			err = fmt.Errorf("%d rows, then %d", before, after)
		}
	}
	return errors.Join(err, snap.Close())
}

func (s *storm) indexes(i int64) error {
	err := s.coll.CreateIndex(s.ctx, schema.Index{Field: "v", Metric: "L2"})
	if err == nil {
		err = s.coll.CreateIndex(s.ctx, schema.Index{Field: "n"})
	}
	if err != nil {
		return err
	}
	if i%3 == 0 {
		ctx, cancel := context.WithTimeout(s.ctx, 20*time.Millisecond) // new segments may come faster than it can be waited for
		defer cancel()
		if err := s.coll.WaitIndexed(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if err := errors.Join(s.coll.Release(s.ctx), s.coll.Load(s.ctx)); err != nil {
		return err
	}
	hits, err := s.coll.Search(s.ctx, query.Nearest("v", ownVector(500_000)).Metric(vector.L2).Limit(stormStable).Filter("n == 0 and id >= 500000"))
	if err == nil && len(hits) != stormStable {
		err = fmt.Errorf("%d hits", len(hits))
	}
	return errors.Join(err, s.coll.DropIndex(s.ctx, "v"), s.coll.DropIndex(s.ctx, "n"))
}

func (s *storm) fields(int64) error {
	if err := s.coll.AddField(s.ctx, schema.Int64("more").Nullable()); err != nil {
		return err
	}
	n, err := s.coll.CountWhere(s.ctx, query.Where("more is null and id >= 500000 and id < 900000"))
	if err == nil && n != stormStable {
		err = fmt.Errorf("%d stable rows are null in the new field", n)
	}
	return errors.Join(err, s.coll.RenameField(s.ctx, "more", "other"), s.coll.DropField(s.ctx, "other"))
}

func (s *storm) ddl(i int64) error {
	name := fmt.Sprint("x", i%3)
	c, err := s.eng.CreateCollection(s.ctx, plainSchema(name))
	if err != nil {
		return err
	}
	p, err := c.CreatePartition(s.ctx, "p")
	if err == nil {
		_, err = p.Insert(s.ctx, plainRows(i, 1, 2, 3)...)
	}
	if err == nil && i%2 == 0 {
		_, err = p.Flush(s.ctx)
	}
	if err == nil {
		err = s.eng.RenameCollection(s.ctx, name, name+"y")
	}
	if err != nil {
		return err
	}
	if n, err := c.Count(s.ctx); err != nil || n != 3 {
		return fmt.Errorf("%d rows in a renamed collection: %w", n, err)
	}
	if i%4 == 0 {
		err = c.DropPartition(s.ctx, "p")
	}
	return errors.Join(err, s.eng.DropCollection(s.ctx, name+"y"))
}

// copies makes a checkpoint and reads it, and a backup.
func (s *storm) copies(i int64) error {
	if i%2 == 1 {
		_, err := s.eng.Backup(s.ctx, io.Discard, engine.BackupOptions{Verify: true})
		return err
	}
	dir := s.dir + "-copy"
	if _, err := s.eng.Checkpoint(s.ctx, dir); err != nil {
		return err
	}
	eng, err := engine.Open(dir, &engine.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	c, err := eng.Collection("c")
	if err == nil {
		err = s.walk(c, false)
	}
	return errors.Join(err, eng.Close(), os.RemoveAll(dir))
}

// verify holds a store that was opened anew against all models.
func (s *storm) verify() {
	require.NoError(s.t, s.walk(s.coll, false))
	want := int64(stormStable + 2)
	for w, mine := range s.own {
		if k := s.left[w]; k >= 0 { // the call that was given up is settled by now
			delete(mine, k)
			_, err := s.part(w).Delete(s.ctx, column.IntKeys(k))
			require.NoError(s.t, err)
			s.left[w] = -1
		}
		keys := make([]int64, stormKeys)
		for i := range keys {
			keys[i] = int64(w)*stormKeys + int64(i)
		}
		require.NoError(s.t, s.compare(s.part(w), mine, keys))
		want += int64(len(mine))
	}
	n, err := s.coll.Count(s.ctx)
	require.NoError(s.t, err)
	require.Equal(s.t, want, n)
}
