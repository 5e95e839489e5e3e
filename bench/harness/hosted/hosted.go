package hosted

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
)

// subject is a system under measurement in this process.
type subject interface {
	version() string
	load(ctx context.Context, set *dataset.Set, args worker.Args, progress func(done, of int)) (worker.Args, error)
	build(ctx context.Context, args worker.Args, progress func(done, of int)) (worker.Args, error)
	// searcher returns a function that writes the k nearest rows of a query to out, for one goroutine.
	searcher(ctx context.Context, k int, args worker.Args) (func(q []float32, out []int32) error, error)
	close() error
}

// filterer is a subject that knows filters, one a query.
type filterer interface {
	withFilters(ctx context.Context, k int, args worker.Args, filters []string) (func(query int, out []int32) error, error)
}

// operator is a subject with verbs of its own.
type operator interface {
	operate(ctx context.Context, verb string, args worker.Args, progress func(done, of int)) (worker.Args, error)
}

// subjects makes each system. store is a folder that it may fill.
var subjects = map[string]func(store string) subject{
	"selkie":       func(store string) subject { return &selkie{store: store} },
	"selkie-exact": func(store string) subject { return &selkie{store: store, exact: true} },
	"plain-file":   func(store string) subject { return &plainFile{store: store} },
	"selkie-index": func(string) subject { return &bareIndex{} },
	"selkie-avx2":  func(store string) subject { return &selkie{store: store} },
	"selkie-go":    func(store string) subject { return &selkie{store: store} },
	"selkie-codes": func(string) subject { return &scan{} },
	"chromem-go":   func(string) subject { return &chromemGo{} },
	"coder-hnsw":   newCoderHNSW,
}

// Names lists the systems hosted here.
func Names() []string { return slices.Sorted(maps.Keys(subjects)) }

// Serve is the worker of one system: it answers requests on standard input until that ends.
func Serve(ctx context.Context, name, store string) (err error) {
	create, ok := subjects[name]
	if !ok || create == nil {
		return fmt.Errorf("no system %q on this platform", name)
	}
	h := &host{subject: create(store)}
	defer func() { err = joined(err, h.subject.close()) }()
	return worker.Serve(ctx, os.Stdin, os.Stdout, h.handle)
}

func joined(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

type host struct {
	subject subject
	set     *dataset.Set
}

func (h *host) handle(ctx context.Context, verb string, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	switch verb {
	case "version":
		return worker.Args{"version": h.subject.version()}, nil
	case "load":
		var err error
		if h.set, err = dataset.Open(args["dir"]); err != nil {
			return nil, err
		}
		if args["only"] == "queries" {
			return worker.Args{}, nil
		}
		return h.subject.load(ctx, h.set, args, progress)
	case "build":
		return h.subject.build(ctx, args, progress)
	case "search":
		return h.search(ctx, args)
	case "memory":
		return memory(), nil
	}
	if o, ok := h.subject.(operator); ok {
		return o.operate(ctx, verb, args, progress)
	}
	return nil, worker.ErrUnsupported
}

func memory() worker.Args {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	out := worker.Args{}
	out.Set("heap_mb", float64(m.HeapInuse)/(1<<20))
	return out
}

// search asks the queries from..to-1 of the set, from some goroutines, and writes answers and times.
func (h *host) search(ctx context.Context, args worker.Args) (worker.Args, error) {
	if h.set == nil {
		return nil, fmt.Errorf("nothing is loaded")
	}
	from, err := args.Int("from", 0)
	if err != nil {
		return nil, err
	}
	to, err := args.Int("to", h.set.Meta.Queries)
	if err != nil {
		return nil, err
	}
	k, err := args.Int("k", 10)
	if err != nil {
		return nil, err
	}
	threads, err := args.Int("threads", 1)
	if err != nil {
		return nil, err
	}
	repeat, err := args.Int("repeat", 1)
	if err != nil {
		return nil, err
	}
	if from < 0 || to > h.set.Meta.Queries || from >= to || k < 1 || threads < 1 || repeat < 1 {
		return nil, fmt.Errorf("queries %d to %d of %d, k %d, %d threads", from, to, h.set.Meta.Queries, k, threads)
	}
	answers := make([]int32, (to-from)*k)
	for i := range answers {
		answers[i] = -1
	}
	n := to - from
	micros := make([]float32, n*repeat)
	spent := machine.CPUTime()
	searcher := func() (func(i int, out []int32) error, error) {
		search, err := h.subject.searcher(ctx, k, args)
		return func(i int, out []int32) error { return search(h.set.Query(i), out) }, err
	}
	if args["filters"] != "" {
		f, ok := h.subject.(filterer)
		if !ok {
			return nil, worker.ErrUnsupported
		}
		text, err := os.ReadFile(args["filters"])
		if err != nil {
			return nil, err
		}
		searcher = func() (func(i int, out []int32) error, error) {
			return f.withFilters(ctx, k, args, strings.Split(string(text), "\n"))
		}
	}
	took, err := ask(threads, n*repeat, func() (func(i int) error, error) {
		search, err := searcher()
		if err != nil {
			return nil, err
		}
		return func(i int) error {
			q := i % n
			begin := time.Now()
			err := search(from+q, answers[q*k:(q+1)*k])
			micros[i] = float32(time.Since(begin).Nanoseconds()) / 1000
			return err
		}, nil
	})
	spent = machine.CPUTime() - spent
	if err != nil {
		return nil, err
	}
	if err := writeAnswers(args["out"], answers, micros); err != nil {
		return nil, err
	}
	out := worker.Args{}
	out.Set("seconds", took.Seconds())
	out.Set("cpu_seconds", spent.Seconds())
	return out, nil
}

// ask carries out n pieces of work from some goroutines, each with a function of its own, and returns the time.
func ask(threads, n int, prepare func() (func(i int) error, error)) (time.Duration, error) {
	work := make([]func(int) error, threads)
	for t := range work {
		var err error
		if work[t], err = prepare(); err != nil {
			return 0, err
		}
	}
	var next atomic.Int64
	errs := make([]error, threads)
	var wg sync.WaitGroup
	begin := time.Now()
	for t := range threads {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[t] = work[t](i); errs[t] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

// readMicros reads the times that writeAnswers wrote.
func readMicros(name string) ([]float32, error) {
	raw, err := os.ReadFile(name + ".us")
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}

func writeAnswers(name string, answers []int32, micros []float32) error {
	raw := make([]byte, 0, 4*len(answers))
	for _, a := range answers {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(a))
	}
	if err := os.WriteFile(name, raw, 0o644); err != nil {
		return err
	}
	raw = raw[:0]
	for _, us := range micros {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(us))
	}
	return os.WriteFile(name+".us", raw, 0o644)
}
