package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

var (
	soakTime   = flag.Duration("soak", 0, "how long TestSoak runs; 0: 2 s, with -long 20 s")
	soakRows   = flag.Int("soak.rows", 20_000, "rows that TestSoak begins with")
	soakDim    = flag.Int("soak.dim", 32, "dimensions of TestSoak's vectors")
	soakBudget = flag.Int64("soak.budget", 0, "TestSoak's Options.MemoryBudget in MiB")
)

// The load of a soak, a second, in so many calls.
const (
	soakInserts, soakUpserts, soakDeletes, soakSearches = 2000, 500, 500, 200
	soakTurns                                           = 20
	soakGroups                                          = 100
)

// soak is a store under a load that goes on for long, and a model of it.
type soak struct {
	t    *testing.T
	eng  *engine.Engine
	c    *engine.Collection
	dim  int
	rng  *rand.Rand // the writer's
	next int64      // primary key

	mu   sync.Mutex      // held by each change of store and model, and by checks
	live []int64         // primary keys, in no order
	at   map[int64]int   // of live
	ver  map[int64]int64 // of the row that a key has
	gone map[int64]int64 // when a key was deleted last: number of the change
	n    int64           // changes

	times [][]float64 // of searches, in milliseconds: before the load, and during it
	busy  int         // which of the two
	small int         // searches of a live row's vector that did not find it at once by the index, and by an exact scan
	asked int
}

// vec is the row of a key at a version.
func (s *soak) vec(dst []float32, id, ver int64) {
	fillRow(dst, id*1_000_003+ver)
}

// TestSoak writes, deletes, upserts and searches at fixed rates, and holds counts and rows against a model: every count is exact, every live row
// is found, no hit is of a row that was dead before the search began. Times, memory, files and written bytes are printed with -long.
func TestSoak(t *testing.T) {
	ctx := context.Background()
	length := *soakTime
	if length == 0 {
		length = 2 * time.Second
		if *long {
			length = 20 * time.Second
		}
	}
	dir := t.TempDir()
	eng, err := engine.Open(dir, &engine.Options{MemoryBudget: *soakBudget << 20})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", *soakDim),
		schema.Int64("ver"), schema.Int64("grp")))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	s := &soak{
		t: t, eng: eng, c: c, dim: *soakDim, rng: seeded(t), at: map[int64]int{}, ver: map[int64]int64{}, gone: map[int64]int64{},
		times: make([][]float64, 2),
	}
	for len(s.live) < *soakRows {
		s.insert(min(5000, *soakRows-len(s.live)))
	}
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	stop, searching := make(chan struct{}), sync.WaitGroup{}
	searching.Go(func() { s.search(rand.New(rand.NewPCG(s.rng.Uint64(), 1)), stop) })
	time.Sleep(min(length/10, 20*time.Second)) // the quiet times
	s.mu.Lock()
	s.busy = 1
	s.mu.Unlock()
	start, checks, before := time.Now(), 0, s.n
	told := start
	first := s.report("begin", 0)
	for turn := 0; time.Since(start) < length; turn++ {
		s.insert(soakInserts / soakTurns)
		s.upsert(soakUpserts / soakTurns)
		s.remove(soakDeletes / soakTurns)
		if turn%soakTurns == soakTurns-1 {
			s.check()
			checks++
		}
		if t.Failed() {
			break
		}
		if turn%(5*soakTurns) == 0 {
			_, err := c.Flush(ctx)
			require.NoError(t, err)
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			s.report("", time.Since(start))
		}
		if due := start.Add(time.Duration(turn+1) * time.Second / soakTurns); time.Until(due) > 0 {
			time.Sleep(time.Until(due))
		}
	}
	took := time.Since(start)
	close(stop)
	searching.Wait()
	_, err = c.Flush(ctx)
	require.NoError(t, err)
	s.check()
	require.EqualValues(t, len(s.live), c.NumEntities())
	last := s.report("end", took)
	require.Less(t, last.files, first.files+200, "files do not grow with the number of flushes")
	rate := float64(s.n-before) / took.Seconds()
	quiet, busy := p99(s.times[0]), p99(s.times[1])
	figures(t, "%.0f s, %.0f changes/s of %d rows at the end, %d checks; %d searches, p99 %.2f ms quiet (%d), %.2f ms busy: ×%.1f; "+
		"%d rows asked for by their vectors, %d of them not first by the index; write amplification %.1f",
		took.Seconds(), rate, len(s.live), checks, len(s.times[1]), quiet, len(s.times[0]), busy, busy/quiet, s.asked, s.small,
		eng.Metrics().WriteAmplification())
}

func p99(ms []float64) float64 {
	slices.Sort(ms)
	if len(ms) == 0 {
		return 0
	}
	return ms[len(ms)*99/100]
}

func (s *soak) columns(ids []int64) []*column.Column {
	rows, vers, grps := make([]float32, len(ids)*s.dim), make([]int64, len(ids)), make([]int64, len(ids))
	for i, id := range ids {
		vers[i], grps[i] = s.n, id%soakGroups
		s.vec(rows[i*s.dim:(i+1)*s.dim], id, s.n)
	}
	return []*column.Column{
		column.Int64("id", ids), column.FloatVectorFlat("v", s.dim, rows), column.Int64("ver", vers), column.Int64("grp", grps),
	}
}

func (s *soak) insert(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = s.next
		s.next++
	}
	_, err := s.c.Insert(context.Background(), s.columns(ids)...)
	require.NoError(s.t, err)
	for _, id := range ids {
		s.at[id] = len(s.live)
		s.live = append(s.live, id)
		s.ver[id] = s.n
	}
	s.n += int64(n)
}

// some draws live keys, each once.
func (s *soak) some(n int) []int64 {
	drawn := map[int64]bool{}
	for len(drawn) < min(n, len(s.live)) {
		drawn[s.live[s.rng.IntN(len(s.live))]] = true
	}
	ids := make([]int64, 0, n)
	for id := range drawn {
		ids = append(ids, id)
	}
	return ids
}

func (s *soak) upsert(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.some(n)
	_, err := s.c.Upsert(context.Background(), s.columns(ids)...)
	require.NoError(s.t, err)
	for _, id := range ids {
		s.ver[id] = s.n
	}
	s.n += int64(n)
}

func (s *soak) remove(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.some(n)
	res, err := s.c.Delete(context.Background(), column.IntKeys(ids...))
	require.NoError(s.t, err)
	require.Equal(s.t, len(ids), res.Deleted)
	for _, id := range ids {
		i, last := s.at[id], s.live[len(s.live)-1]
		s.live[i], s.at[last] = last, i
		s.live = s.live[:len(s.live)-1]
		delete(s.at, id)
		delete(s.ver, id)
		s.gone[id] = s.n
	}
	s.n += int64(n)
}

// search asks at the fixed rate, with filters, and checks each hit.
func (s *soak) search(rng *rand.Rand, stop chan struct{}) {
	q := make([]float32, s.dim)
	for due := time.Now(); ; due = due.Add(time.Second / soakSearches) {
		select {
		case <-stop:
			return
		default:
		}
		if late := -time.Until(due); late < 0 {
			time.Sleep(-late)
		} else if late > time.Second {
			due = time.Now() // it cannot keep up; the figures tell how many there were
		}
		s.mu.Lock()
		id := s.live[rng.IntN(len(s.live))]
		s.vec(q, id, s.ver[id])
		before, busy := s.n, s.busy
		s.mu.Unlock()
		grp := id % soakGroups
		begin := time.Now()
		hits, err := s.c.Search(context.Background(), query.Nearest("v", q).Metric(vector.L2).Limit(10).Filter(fmt.Sprintf("grp == %d", grp)).Output("grp"))
		took := time.Since(begin)
		if err != nil {
			s.t.Error(err)
			return
		}
		s.mu.Lock()
		s.times[busy] = append(s.times[busy], took.Seconds()*1000)
		for _, h := range hits {
			dead, was := s.gone[h.Key.Int]
			if h.Row.Int64("grp") != grp || was && dead < before {
				s.t.Errorf("entity %d of group %d, deleted by change %d, was found by a search of group %d that began after change %d",
					h.Key.Int, h.Row.Int64("grp"), dead, grp, before)
			}
		}
		s.mu.Unlock()
	}
}

// check holds the store against the model, while nothing changes it.
func (s *soak) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := context.Background()
	n, err := s.c.Count(ctx)
	require.NoError(s.t, err)
	require.EqualValues(s.t, len(s.live), n)
	q := make([]float32, s.dim)
	for range 5 {
		id := s.live[s.rng.IntN(len(s.live))]
		s.vec(q, id, s.ver[id])
		rows, err := s.c.Get(ctx, column.IntKeys(id), "ver")
		require.NoError(s.t, err)
		require.Equal(s.t, 1, rows.Len(), "entity %d", id)
		require.Equal(s.t, s.ver[id], rows.At(0).Int64("ver"))
		s.asked++
		hits, err := s.c.Search(ctx, query.Nearest("v", q).Metric(vector.L2).Limit(1))
		require.NoError(s.t, err)
		if len(hits) == 1 && hits[0].Key.Int == id && hits[0].Score == 0 {
			continue
		}
		s.small++
		hits, err = s.c.Search(ctx, query.Nearest("v", q).Metric(vector.L2).Limit(1).Exact())
		require.NoError(s.t, err)
		require.Len(s.t, hits, 1)
		require.Equal(s.t, id, hits[0].Key.Int)
	}
}

type soakState struct{ files, goroutines int }

// report tells the figures of the moment.
func (s *soak) report(what string, at time.Duration) (st soakState) {
	err := filepath.WalkDir(s.eng.Dir(), func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			st.files++
		}
		return nil // a file that has just been removed
	})
	require.NoError(s.t, err)
	st.goroutines = runtime.NumGoroutine()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m := s.eng.Metrics()
	figures(s.t, "%s %3.0f s: %d rows, %d segments, %d files, %d goroutines, counted %d MiB, heap %d MiB, disk %d MiB, log %d MiB, %d merges, written ×%.1f",
		what, at.Seconds(), len(s.live), m.Segments.Segments, st.files, st.goroutines, m.Memory.Total()>>20, mem.HeapInuse>>20,
		m.Segments.DiskBytes>>20, m.LogBytes>>20, m.Compactions, m.WriteAmplification())
	return st
}
