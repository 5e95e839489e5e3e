package hosted

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/philippgille/chromem-go"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/vector"
)

// moduleVersion is the version of a module that this program was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

// eachRow calls visit with every row of a set, in order. Rows are the visitor's.
func eachRow(ctx context.Context, set *dataset.Set, progress func(done, of int), visit func(i int, row []float32) error) error {
	const piece = 10_000
	for lo := 0; lo < set.Rows; lo += piece {
		if err := ctx.Err(); err != nil {
			return err
		}
		hi := min(lo+piece, set.Rows)
		rows := make([]float32, (hi-lo)*set.Dim)
		if err := set.Read(lo, hi, rows); err != nil {
			return err
		}
		for i := lo; i < hi; i++ {
			at := (i - lo) * set.Dim
			if err := visit(i, rows[at:at+set.Dim:at+set.Dim]); err != nil {
				return err
			}
		}
		progress(hi, set.Rows)
	}
	return nil
}

// chromemGo is chromem-go, which compares all rows: in memory, cosine only, for rows of length 1.
type chromemGo struct{ collection *chromem.Collection }

func (c *chromemGo) version() string { return moduleVersion("github.com/philippgille/chromem-go") }

func (c *chromemGo) load(ctx context.Context, set *dataset.Set, _ worker.Args, progress func(done, of int)) (worker.Args, error) {
	if set.Metric != vector.Cosine {
		return nil, fmt.Errorf("%w: chromem-go knows only COSINE", worker.ErrUnsupported)
	}
	var err error
	if c.collection, err = chromem.NewDB().CreateCollection("rows", nil, nil); err != nil {
		return nil, err
	}
	begin := time.Now()
	err = eachRow(ctx, set, progress, func(i int, row []float32) error {
		return c.collection.AddDocument(ctx, chromem.Document{ID: strconv.Itoa(i), Embedding: row})
	})
	out := worker.Args{}
	out.Set("load_s", time.Since(begin).Seconds())
	return out, err
}

func (c *chromemGo) build(context.Context, worker.Args, func(done, of int)) (worker.Args, error) {
	return worker.Args{}, nil
}

func (c *chromemGo) searcher(ctx context.Context, k int, _ worker.Args) (func(q []float32, out []int32) error, error) {
	return func(q []float32, out []int32) error {
		hits, err := c.collection.QueryEmbedding(ctx, q, k, nil, nil)
		if err != nil {
			return err
		}
		for i, h := range hits {
			id, err := strconv.Atoi(h.ID)
			if err != nil {
				return err
			}
			out[i] = int32(id)
		}
		return nil
	}, nil
}

func (c *chromemGo) close() error { return nil }
