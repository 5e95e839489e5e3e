package cases

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
	"github.com/selkiedb/selkie/bench/harness/worker"
)

// Case is one kind of measurement.
type Case struct {
	Name, What string
	// Stores marks a case of databases: libraries without a store take no part in it.
	Stores bool
	Run    func(ctx context.Context, b *Bench) error
}

// All lists the cases.
func All() []Case {
	return append([]Case{
		{"search", "recall and queries a second over the search parameter; also the index's build", false, runSearch},
		{"build", "making the index, on one core and on all", false, runBuild},
		{"concurrent", "queries a second of 1, 2 and 4 threads on all cores, at recall .95", false, runConcurrent},
		{"segments", "search over 1, 4, 16 and 64 segments of the same rows", false, runSegments},
		{"scan", "codes of all rows read by a search without a graph, beside a plain sum over the same bytes", false, runScan},
		{"capped", "search of a store reopened from disk: index in memory, all mapped, and mapped with memory for a quarter of the vectors", false, runCapped},
		{"deleted", "search after 30 % of the rows were deleted", false, runDeleted},
		{"plans", "search with filters of 0.1 to 99 %, by chance, around the query, and away from it, by each plan and beside others", false, runPlans},
	}, storeCases()...)
}

// Progress shows how far work is. All of it may be called by several goroutines.
type Progress interface {
	// Work begins a piece of work that is counted; 0 where its size is not known.
	Work(text string, of int)
	Done(done, of int)
	// Line prints a line that stays.
	Line(format string, args ...any)
}

// Bench is one run: what is measured, how, and where the records go.
type Bench struct {
	Env     system.Env
	Systems []system.System
	Sets    []*dataset.Set
	K       int
	Rounds  int     // 0: what a case wants
	Quick   bool    // small, to see that everything works
	Full    bool    // large, what takes hours
	Seconds float64 // that one measurement of a search should last
	CPU     bool    // count processor time, not the time that passes: for machines that others use, too
	Keep    bool    // keep rivals' indexes for the next run; what is not built gives no build time
	Temp    string
	Commit  string
	Show    Progress
	Emit    func(result.Record) error

	cpu string
}

// rounds is how many rounds a case makes that wants n unless told.
func (b *Bench) rounds(n int) int {
	switch {
	case b.Rounds > 0:
		return b.Rounds
	case b.Quick:
		return min(n, 2)
	}
	return n
}

// record begins a record.
func (b *Bench) record(name string, c *contender, set *dataset.Set) result.Record {
	if b.cpu == "" {
		b.cpu = machine.CPU()
	}
	r := result.Blank()
	r.Case, r.System, r.Version = name, c.Name, c.version
	r.Dataset, r.SHA256, r.Rows, r.Dim, r.Metric = set.Name, set.SHA256, set.Rows, set.Dim, set.Meta.Metric
	r.Params = c.params.With(nil)
	if b.CPU && (name == "search" || name == "segments" || name == "deleted" || name == "plans" || name == "build") {
		r.Params["clock"] = "cpu"
	}
	r.Threads, r.Rounds = 1, 1
	r.CPU, r.Go, r.Commit = b.cpu, runtime.Version(), b.Commit
	return r
}

// contender is a system with the parameters it was built with, running.
type contender struct {
	system.System
	params  result.Params
	proc    *worker.Proc
	version string
	store   string
	rss     result.Num // as weighed last
	heap    result.Num
}

func (c *contender) title() string {
	return strings.TrimSpace(c.Name + " " + c.params.String())
}

// errNone is returned by a case that no system could run.
var errNone = errors.New("no system could run it")

// start starts a worker and asks its version. What goes wrong is told, and the case goes on without it.
func (b *Bench) start(ctx context.Context, s system.System, params result.Params, core int) (*contender, error) {
	store, err := system.Store(b.Temp)
	if err != nil {
		return nil, err
	}
	env := b.Env
	env.Core = core
	c := &contender{System: s, params: params, store: store, rss: result.None, heap: result.None}
	if c.proc, err = s.Start(ctx, &env, store); err != nil {
		os.RemoveAll(store)
		return nil, err
	}
	answer, err := c.proc.Call("version", nil, nil)
	if err != nil {
		b.stop(c)
		return nil, err
	}
	if c.version = answer["version"]; c.Kind == system.Hosted && !c.Rival {
		c.version = b.Commit
	}
	return c, nil
}

// stop ends a worker and removes its store.
func (b *Bench) stop(c *contender) {
	if err := c.proc.Close(); err != nil {
		fmt.Fprintf(b.Env.Log, "%s: %v\n", c.Name, err)
	}
	if err := os.RemoveAll(c.store); err != nil {
		fmt.Fprintln(b.Env.Log, err)
	}
}

// skip tells why a system takes no part. It is no failure of the case, unless no system is left.
func (b *Bench) skip(title string, err error) {
	switch {
	case errors.Is(err, system.ErrMissing), errors.Is(err, worker.ErrUnsupported):
		b.Show.Line("skipped: %v", err)
	default:
		b.Show.Line("FAILED: %s: %v", title, err)
	}
}

// failure keeps the first error that is more than a system's absence, so that the case ends with it.
type failure struct{ err error }

func (f *failure) note(err error) {
	if f.err == nil && !errors.Is(err, system.ErrMissing) && !errors.Is(err, worker.ErrUnsupported) {
		f.err = err
	}
}

// load has a worker take a set's rows.
func (b *Bench) load(c *contender, set *dataset.Set, more result.Params) (worker.Args, error) {
	b.Show.Work(c.title()+": rows of "+set.Name, set.Rows)
	return c.proc.Call("load", setArgs(set, c.params, more), b.Show.Done)
}

func setArgs(set *dataset.Set, params ...result.Params) worker.Args {
	args := worker.Args(result.Params{
		"dir": set.Dir, "rows": fmt.Sprint(set.Rows), "dim": fmt.Sprint(set.Dim), "metric": set.Meta.Metric,
	}.With(params...))
	return args
}

// memory puts a worker's memory in a record: that of the moment, or of the last time where the worker is gone.
func (b *Bench) memory(c *contender, r *result.Record) {
	b.weigh(c)
	r.Heap, r.RSS = c.heap, c.rss
}

// weigh asks for a worker's memory.
func (b *Bench) weigh(c *contender) {
	if answer, err := c.proc.Call("memory", nil, nil); err == nil {
		if heap, ok := answer.Float("heap_mb"); ok {
			c.heap = result.Num(heap)
		}
	}
	if rss := machine.RSS(c.proc.Pid()); rss > 0 {
		c.rss = result.Num(float64(rss) / (1 << 20))
	}
}

// seconds is the time in an answer, by the clock that was asked for.
func (b *Bench) seconds(a worker.Args, name string) (float64, bool) {
	if b.CPU {
		name = "cpu_seconds"
	}
	return a.Float(name)
}

func figure(a worker.Args, name string) result.Num {
	if x, ok := a.Float(name); ok {
		return result.Num(x)
	}
	return result.None
}

// answers reads the row numbers that a worker wrote.
func answers(name string) ([]int32, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	rows := make([]int32, len(raw)/4)
	for i := range rows {
		rows[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return rows, nil
}

// micros reads the times that a worker wrote.
func micros(name string) ([]float32, error) {
	raw, err := os.ReadFile(name + ".us")
	if err != nil {
		return nil, err
	}
	times := make([]float32, len(raw)/4)
	for i := range times {
		times[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return times, nil
}

// out is the file that workers write to.
func (b *Bench) out() string { return filepath.Join(b.Temp, "answers") }

// Quiet is a Progress that prints lines only.
type Quiet struct{ W io.Writer }

// Work does nothing.
func (q Quiet) Work(string, int) {}

// Done does nothing.
func (q Quiet) Done(int, int) {}

// Line prints a line.
func (q Quiet) Line(format string, args ...any) { fmt.Fprintf(q.W, format+"\n", args...) }
