package segment

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
	"github.com/selkiedb/selkie/vector/inverted"
)

// sparseIndex is an index of sparse vectors. It holds the values, and finds what a scan finds.
type sparseIndex struct {
	ix      *inverted.Index
	file    *fileMap  // what ix lies in; nil if that is memory of our own
	options sync.Pool // of *inverted.SearchOptions
}

// sparseFileBytes is the size from which a sparse index gets a file: a smaller one is made anew as fast as a file is read.
const sparseFileBytes = 768 << 10

func (x *sparseIndex) memory() int64 {
	if x.file != nil {
		return 0
	}
	return int64(x.ix.Bytes())
}

func (x *sparseIndex) kind() string { return "inverted" }

func (x *sparseIndex) save(w io.Writer, id graph.Identity) error {
	return x.ix.Save(w, inverted.Identity(id))
}

func (x *sparseIndex) close() error {
	x.ix = nil
	return x.file.close()
}

// search has no choices: Ef and Refine are for indexes that may miss rows.
func (x *sparseIndex) search(ctx context.Context, q *vector.Query, o IndexSearch, dead []uint64, dst []vector.Hit) (hits []vector.Hit, _ IndexStats, err error) {
	options, _ := x.options.Get().(*inverted.SearchOptions)
	if options == nil {
		options = &inverted.SearchOptions{}
	}
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), x.file); fault != nil {
			hits, err = dst, &indexFault{fault}
		}
	}()
	options.Dead, options.Allowed = dead, o.Allowed
	var stats inverted.Stats
	if p, ok := q.BM25(); ok {
		hits, stats, err = x.ix.SearchBM25(dst, q.Pairs(), p, o.K, options)
	} else {
		hits, stats, err = x.ix.Search(dst, q.Pairs(), o.K, options)
	}
	options.Dead, options.Allowed = nil, nil
	x.options.Put(options)
	return hits, IndexStats{Distances: stats.Postings + stats.Probes, Exact: stats.Exact, Plan: graph.PlanPostings, Certain: true}, err
}

// openSparse opens the file of an index of sparse vectors.
func (s *Sealed) openSparse(spec IndexSpec, mapped bool) (fieldIndex, int64, error) {
	var ix *inverted.Index
	id := inverted.Identity(s.identity(spec.ID))
	file, size, err := s.openIndexFile(spec, mapped, func(f vfs.File, size int64, file *fileMap) (err error) {
		if file != nil {
			ix, err = inverted.Open(file.data, id)
		} else {
			ix, err = inverted.Load(f, size, id)
		}
		if err == nil && ix.Rows() != int(s.man.Rows) {
			err = fmt.Errorf("%w: of %d rows, one of %d expected", errOtherIndex, ix.Rows(), s.man.Rows)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return &sparseIndex{ix: ix, file: file}, size, nil
}

// buildSparse is BuildIndex for sparse vectors.
func (s *Sealed) buildSparse(ctx context.Context, spec IndexSpec, b IndexBuild) error {
	running := &indexBuild{}
	if !s.indexes.begin(spec.ID, running) {
		return fmt.Errorf("%w: index %d of segment %s", ErrIndexBusy, spec.ID, s.man.ID)
	}
	defer s.indexes.end(spec.ID)
	src := &sparseSource{s: s, c: s.cols[uint32(spec.Field.ID)]}
	ix, err := inverted.Build(ctx, src, inverted.Options{MemoryBudget: b.MemoryBudget})
	if err != nil {
		return err
	}
	return s.saveIndex(ctx, spec, b, running, &sparseIndex{ix: ix}, ix.Size() >= sparseFileBytes, func() (fieldIndex, int64, error) {
		return s.openSparse(spec, true)
	})
}

// sparseSource gives a build the rows of a field, dead ones included: those are left out when it is searched.
type sparseSource struct {
	s *Sealed
	c *columnMeta
}

// Rows returns the number of rows.
func (x *sparseSource) Rows() int { return int(x.s.man.Rows) }

// Each visits the field's chunks.
func (x *sparseSource) Each(ctx context.Context, visit func(first uint32, offs []uint32, data, valid []byte) error) error {
	return x.s.walkChunks(ctx, x.c, 0, len(x.c.starts), func(chunk int, d column.Data) error {
		return visit(x.c.starts[chunk], d.Offs, d.Bytes, d.Valid)
	})
}
