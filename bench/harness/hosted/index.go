package hosted

import (
	"context"
	"os"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// bareIndex is Selkie's graph without the engine around it: what the engine costs is the difference.
type bareIndex struct {
	set   *dataset.Set
	rows  []float32
	index *graph.Index
}

func (b *bareIndex) version() string { return "vector/graph" }

func (b *bareIndex) load(_ context.Context, set *dataset.Set, _ worker.Args, _ func(done, of int)) (worker.Args, error) {
	var err error
	b.set = set
	b.rows, err = set.All()
	return nil, err
}

func (b *bareIndex) build(ctx context.Context, args worker.Args, _ func(done, of int)) (worker.Args, error) {
	workers, err := args.Int("threads", 0)
	if err != nil {
		return nil, err
	}
	before := resident()
	begin, spent := time.Now(), machine.CPUTime()
	b.index, err = graph.Build(ctx, graph.Vectors{Elements: b.rows, Dimension: b.set.Dim}, b.set.Metric, graph.Options{Workers: workers})
	if err != nil {
		return nil, err
	}
	out := worker.Args{}
	out.Set("build_s", time.Since(begin).Seconds())
	out.Set("cpu_seconds", (machine.CPUTime() - spent).Seconds())
	out.Set("disk_mb", float64(b.index.Size())/(1<<20))
	before.peak(out, float64(b.index.Size()))
	return out, nil
}

func (b *bareIndex) searcher(_ context.Context, k int, args worker.Args) (func(q []float32, out []int32) error, error) {
	ef, err := args.Int("ef", 0)
	if err != nil {
		return nil, err
	}
	raw := bytesOf(b.rows)
	var hits []vector.Hit
	var query *vector.Query
	o := &graph.SearchOptions{Ef: ef, Exact: func(rows []uint32, out []float32) error {
		query.Gather(raw, rows, out)
		return nil
	}}
	return func(q []float32, out []int32) error {
		var err error
		if query, err = vector.NewQuery(b.set.Metric, vector.Float32, b.set.Dim, bytesOf(q)); err != nil {
			return err
		}
		if hits, _, err = b.index.Search(hits[:0], q, k, o); err != nil {
			return err
		}
		for i, h := range hits {
			out[i] = int32(h.Row)
		}
		return nil
	}, nil
}

// memoryBefore is the resident memory before something that needs more.
type memoryBefore int64

// resident gives back what is not needed, and begins to look for the peak.
func resident() memoryBefore {
	debug.FreeOSMemory()
	machine.ResetPeak()
	return memoryBefore(machine.RSS(os.Getpid()))
}

// peak tells the most that was resident since, less what was before, in sizes of the finished index.
func (b memoryBefore) peak(out worker.Args, index float64) {
	if most := machine.Peak(); most > 0 && index > 0 {
		out.Set("peak_per_index", float64(most-int64(b))/index)
	}
}

func (b *bareIndex) close() error { return nil }

// bytesOf is the memory of v, little-endian as everything that this harness runs on.
func bytesOf(v []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
}
