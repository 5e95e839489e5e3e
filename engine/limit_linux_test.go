package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
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

const childGroup = "SELKIE_TEST_GROUP" // the control group that a child joins

// limited is what a child does under a limit of its memory.
type limited struct {
	budget, limit int64
	rows, dim     int
}

// TestHardMemoryLimit: a child process in a control group takes in many times its budget, indexes it, and searches it meanwhile. The system kills
// it at the group's limit, which is twice the budget and, of the small one, what the program takes by itself; where no group can be made, the child
// counts its own anonymous memory. With -long it is of the size that users of small machines have: 2 million rows of 100 dimensions, a budget of 256
// MiB, a limit of 512 MiB.
func TestHardMemoryLimit(t *testing.T) {
	if thinner > 1 {
		t.Skip("the race detector needs several times the memory")
	}
	l := limited{budget: 32 << 20, limit: 112 << 20, rows: 150_000, dim: 48}
	switch {
	case *long:
		l = limited{budget: 256 << 20, limit: 512 << 20, rows: 2_000_000, dim: 100}
	case testing.Short():
		l.rows = 40_000
	}
	group := memoryGroup(t, l.limit)
	cmd := child("limited", t.TempDir(), fmt.Sprintf("%s=%d %d %d %d", childStep, l.budget, l.limit, l.rows, l.dim), childGroup+"="+group)
	var out bytes.Buffer
	cmd.Stdout = &out
	start := time.Now()
	require.NoError(t, cmd.Run(), out.String())
	figures(t, "%d rows of %d dimensions, budget %d MiB, limit %d MiB (a group: %t), %.0f s: %s", l.rows, l.dim, l.budget>>20, l.limit>>20,
		group != "", time.Since(start).Seconds(), out.String())
}

// memoryGroup makes a control group with a limit inside this process's own; "" where that cannot be done.
func memoryGroup(t *testing.T, limit int64) string {
	text, err := os.ReadFile("/proc/self/cgroup")
	require.NoError(t, err)
	dir, file := "", "memory.limit_in_bytes"
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		switch parts := strings.SplitN(line, ":", 3); {
		case len(parts) == 3 && parts[1] == "memory":
			dir = filepath.Join("/sys/fs/cgroup/memory", parts[2])
		case len(parts) == 3 && parts[1] == "" && dir == "":
			dir, file = filepath.Join("/sys/fs/cgroup", parts[2]), "memory.max"
		}
	}
	dir = filepath.Join(dir, fmt.Sprintf("selkie-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Logf("no control group: %v", err)
		return ""
	}
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return os.Remove(dir) == nil }, waitLong, waitStep, "a group is busy until its last process is gone")
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		t.Logf("no control group: %v", err)
		return ""
	}
	return dir
}

// status reads a line of the process's status, in KiB.
func status(name string) (kib int64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if v, ok := strings.CutPrefix(s.Text(), name+":"); ok {
			kib, _ = strconv.ParseInt(strings.Fields(v)[0], 10, 64)
		}
	}
	return kib
}

// runLimited is the child.
func runLimited() {
	var l limited
	_, err := fmt.Sscan(os.Getenv(childStep), &l.budget, &l.limit, &l.rows, &l.dim)
	if group := os.Getenv(childGroup); err == nil && group != "" {
		err = os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0)
	}
	if err == nil {
		debug.SetMemoryLimit(l.budget) // as GOMEMLIMIT would
		err = l.load(os.Getenv(childDir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(childFailed)
	}
}

func (l limited) load(dir string) (err error) {
	ctx := context.Background()
	eng, err := engine.Open(dir, &engine.Options{MemoryBudget: l.budget, Sync: engine.SyncNone})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := eng.Close(); err == nil {
			err = cerr
		}
	}()
	c, err := eng.CreateCollection(ctx, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", l.dim)))
	if err != nil {
		return err
	}
	if err := c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}); err != nil {
		return err
	}
	const writers, batch = 2, 1000
	var wg, others sync.WaitGroup
	var stop atomic.Bool
	var anon, searches atomic.Int64
	errs := make(chan error, writers+2)
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 5))
			ids, rows := make([]int64, batch), make([]float32, batch*l.dim)
			for b := w; b < l.rows/batch; b += writers {
				for i := range ids {
					ids[i] = int64(b*batch + i)
					fillRow(rows[i*l.dim:(i+1)*l.dim], ids[i])
				}
				if _, err := c.Insert(ctx, column.Int64("id", ids), column.FloatVectorFlat("v", l.dim, rows)); err != nil {
					errs <- err
					return
				}
				if rng.IntN(4) == 0 { // some of them again
					n := 1 + rng.IntN(50)
					if _, err := c.Upsert(ctx, column.Int64("id", ids[:n]), column.FloatVectorFlat("v", l.dim, rows[:n*l.dim])); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	others.Go(func() {
		rng := rand.New(rand.NewPCG(7, 7))
		q := make([]float32, l.dim)
		for !stop.Load() {
			fillRow(q, rng.Int64N(int64(l.rows)))
			if _, err := c.Search(ctx, query.Nearest("v", q).Metric(vector.L2).Filter("id % 7 < 5").Limit(100)); err != nil {
				errs <- err
				return
			}
			searches.Add(1)
		}
	})
	others.Go(func() {
		for !stop.Load() {
			anon.Store(max(anon.Load(), status("RssAnon")))
			time.Sleep(20 * time.Millisecond)
		}
	})
	wg.Wait()
	if _, err := c.Flush(ctx); err != nil {
		return err
	}
	if err := c.WaitIndexed(ctx); err != nil {
		return err
	}
	stop.Store(true)
	others.Wait()
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	if n := c.NumEntities(); n != int64(l.rows) {
		return fmt.Errorf("%d entities, %d were inserted", n, l.rows)
	}
	found := 0
	q := make([]float32, l.dim)
	const asked = 200
	for i := range asked {
		id := int64(i) * int64(l.rows) / asked
		fillRow(q, id)
		hits, err := c.Search(ctx, query.Nearest("v", q).Metric(vector.L2).Limit(10))
		if err != nil {
			return err
		}
		if len(hits) > 0 && hits[0].Key.Int == id {
			found++
			continue
		}
		// The index may miss it; a scan may not.
		hits, err = c.Search(ctx, query.Nearest("v", q).Metric(vector.L2).Limit(1).Exact())
		if err != nil {
			return err
		}
		if len(hits) != 1 || hits[0].Key.Int != id {
			return fmt.Errorf("row %d was not found by its own vector, but %v", id, hits)
		}
	}
	if most := anon.Load() << 10; most > l.limit {
		return fmt.Errorf("%d bytes of anonymous memory, the limit is %d", most, l.limit)
	}
	m := eng.Metrics()
	if m.Memory.Peak > l.budget+l.budget/8 { // what reads copy is noticed after the fact
		return fmt.Errorf("%d bytes were counted, the budget is %d", m.Memory.Peak, l.budget)
	}
	fmt.Printf("counted at most %d MiB; anonymous memory at most %d MiB, resident with mapped files at most %d MiB; "+
		"%d searches meanwhile, %d/%d rows first by the index, all by a scan, %d segments, %d waits, %d indexes unloaded, write amplification %.1f\n",
		m.Memory.Peak>>20, anon.Load()>>10, status("VmHWM")>>10,
		searches.Load(), found, asked, m.Segments.Segments, m.Memory.Waits+m.Stalls, m.IndexUnloads, m.WriteAmplification())
	return nil
}
