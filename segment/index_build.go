package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// IndexBuild are the choices of one BuildIndex.
type IndexBuild struct {
	TmpDir       string                // where the file is written before it gets its name; a directory of the segment's file system
	Workers      int                   // goroutines; 0: as many as there are processors
	MemoryBudget int64                 // bytes for the graph's build, besides the codes that are searched meanwhile; 0: no bound
	Mapped       bool                  // see LoadIndex
	Progress     func(done, total int) // told now and then how much of a graph is done; see graph.Options
}

// CodeIndex codes all rows of the field and has searches read the codes instead of the vectors. Where that is as fast as a graph, or the segment
// holds nothing of the field, the index is ready then; else BuildIndex makes it so. Sparse vectors and scalars have no codes: nothing is done. Errors are
// those of BuildIndex. REQUIRES: the caller holds a reference.
func (s *Sealed) CodeIndex(ctx context.Context, spec IndexSpec, b IndexBuild) error {
	if err := spec.check(); err != nil {
		return err
	}
	switch c := s.cols[uint32(spec.Field.ID)]; {
	case c == nil:
		s.attach(spec, emptyIndex{}, IndexReady, 0)
		return nil
	case !spec.Coded():
		return ctx.Err()
	}
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	running := &indexBuild{}
	if !s.indexes.begin(spec.ID, running) {
		return fmt.Errorf("%w: index %d of segment %s", ErrIndexBusy, spec.ID, s.man.ID)
	}
	defer s.indexes.end(spec.ID)
	src, err := newVectorSource(ctx, s, col, spec.Field.Dim)
	if err != nil {
		return err
	}
	o := spec.Graph
	o.Workers, o.MemoryBudget, o.FlatBytes, o.Progress = b.Workers, 0, math.MaxInt, nil
	codes, err := graph.Build(ctx, src, spec.Metric, o)
	if err != nil {
		return err
	}
	state := IndexReady
	if more, err := codes.WantsGraph(spec.Graph); err != nil {
		return err
	} else if more {
		state = IndexCodes
	}
	if !s.indexes.put(running, newAttached(spec, newDenseIndex(codes, col, nil), state, 0)) {
		return ErrIndexDropped
	}
	return nil
}

// BuildIndex makes the definition's index and has searches use it. Its steps:
//
//  1. CodeIndex, unless that was done. Where the codes are the index, the rest is left out.
//  2. Build the graph.
//  3. Write it to a file in TmpDir; sync.
//  4. Rename the file into the segment's directory; sync that. There is no commit point: an index is derived, and a file is whole or refused
//     by LoadIndex.
//  5. Attach it in place of the codes.
//
// An index of sparse vectors, or of scalars, goes the same way, without codes.
//
// An error leaves the segment with the codes, if it came so far, and no new file. It is ctx.Err() if ctx ends, wraps graph.ErrMemory or
// inverted.ErrMemory if the build does not fit into the budget, ErrIndexDropped, ErrIndexBusy or ErrNoIndex. REQUIRES: the caller holds a reference.
func (s *Sealed) BuildIndex(ctx context.Context, spec IndexSpec, b IndexBuild) error {
	if _, ok := s.IndexInfo(spec.ID); !ok {
		if err := s.CodeIndex(ctx, spec, b); err != nil {
			return err
		}
	}
	if info, ok := s.IndexInfo(spec.ID); ok && info.State == IndexReady {
		return nil
	}
	if spec.sparse() {
		return s.buildSparse(ctx, spec, b)
	}
	if spec.scalar() {
		return s.buildScalar(ctx, spec, b)
	}
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	running := &indexBuild{}
	if !s.indexes.begin(spec.ID, running) {
		return fmt.Errorf("%w: index %d of segment %s", ErrIndexBusy, spec.ID, s.man.ID)
	}
	defer s.indexes.end(spec.ID)
	src, err := newVectorSource(ctx, s, col, spec.Field.Dim)
	if err != nil {
		return err
	}
	o := spec.Graph
	o.Workers, o.MemoryBudget, o.Progress = b.Workers, b.MemoryBudget, b.Progress
	g, err := graph.Build(ctx, src, spec.Metric, o)
	if err != nil {
		return err
	}
	return s.finishIndex(ctx, col, spec, b, running, g)
}

// finishIndex writes a graph to its file, and attaches it. An index without a graph needs no file.
func (s *Sealed) finishIndex(ctx context.Context, col *vectorColumn, spec IndexSpec, b IndexBuild, running *indexBuild, g *graph.Index) error {
	return s.saveIndex(ctx, spec, b, running, newDenseIndex(g, col, nil), !g.Flat(), func() (fieldIndex, int64, error) {
		return s.openIndex(col, spec, true)
	})
}

// saveIndex writes an index to its file, if it is to have one, and attaches it; open gives it anew, mapped.
func (s *Sealed) saveIndex(
	ctx context.Context, spec IndexSpec, b IndexBuild, running *indexBuild, ix fieldIndex, file bool, open func() (fieldIndex, int64, error),
) (err error) {
	var size int64
	if file {
		if size, err = s.writeIndex(ctx, spec, b.TmpDir, ix); err != nil {
			return err
		}
		if b.Mapped {
			if ix, size, err = open(); err != nil {
				return errors.Join(err, s.removeIndexFile(spec.ID))
			}
		}
	}
	if s.indexes.put(running, newAttached(spec, ix, IndexReady, size)) {
		return nil
	}
	if file {
		err = s.removeIndexFile(spec.ID)
	}
	return errors.Join(ErrIndexDropped, err)
}

// begin notes that a build runs, unless one does.
func (x *segmentIndexes) begin(id uint64, b *indexBuild) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.builds[id] != nil {
		return false
	}
	if x.builds == nil {
		x.builds = map[uint64]*indexBuild{}
	}
	x.builds[id] = b
	return true
}

func (x *segmentIndexes) end(id uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.builds, id)
}

// put attaches what a build has made, unless its index was dropped.
func (x *segmentIndexes) put(b *indexBuild, a *attachedIndex) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if b.dropped {
		a.release()
		return false
	}
	x.swap(a.spec.ID, a)
	return true
}

// writeIndex writes the index's file, and returns its size.
func (s *Sealed) writeIndex(ctx context.Context, spec IndexSpec, tmpDir string, ix fieldIndex) (size int64, err error) {
	tmp := s.fs.PathJoin(tmpDir, fmt.Sprintf("%s-%s", s.man.ID, spec.FileName()))
	f, err := s.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = s.fs.Remove(tmp) // gone already if it has its name
		}
	}()
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	w := &pieceWriter{ctx: ctx, w: f}
	err = ix.save(w, s.identity(spec.ID))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err := s.fs.Rename(tmp, s.fs.PathJoin(s.dir, spec.FileName())); err != nil {
		return 0, err
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return 0, errors.Join(err, s.removeIndexFile(spec.ID))
	}
	return w.n, nil
}

// pieceWriter writes in pieces, until its context ends. It copies them first: a vfs.File may change what it is given.
type pieceWriter struct {
	ctx   context.Context
	w     io.Writer
	piece []byte
	n     int64 // bytes written
}

const writePiece = 256 << 10

func (w *pieceWriter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if err := w.ctx.Err(); err != nil {
			return n, err
		}
		w.piece = append(w.piece[:0], b[n:min(len(b), n+writePiece)]...)
		m, err := w.w.Write(w.piece)
		n += m
		w.n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// vectorSource gives a build the rows of a field, dead ones included: those are left out when it is searched.
type vectorSource struct {
	ctx    context.Context
	rows   int
	dim    int
	col    *vectorColumn
	absent []uint64
}

var _ graph.Source = (*vectorSource)(nil)

func newVectorSource(ctx context.Context, s *Sealed, col *vectorColumn, dim int) (*vectorSource, error) {
	src := &vectorSource{ctx: ctx, rows: int(s.man.Rows), dim: dim, col: col}
	if col.c.nulls == 0 {
		return src, ctx.Err()
	}
	src.absent = make([]uint64, (src.rows+63)/64)
	return src, s.walkChunks(ctx, col.c, 0, len(col.c.starts), func(chunk int, d column.Data) error {
		for i := range d.Rows {
			if row := col.c.starts[chunk] + uint32(i); d.IsNull(i) {
				src.absent[row/64] |= 1 << (row % 64)
			}
		}
		return nil
	})
}

// Rows returns the number of rows.
func (s *vectorSource) Rows() int { return s.rows }

// Dim returns the number of elements of a row.
func (s *vectorSource) Dim() int { return s.dim }

// Absent marks the rows whose vector is null; nil if there are none.
func (s *vectorSource) Absent() []uint64 { return s.absent }

// Read decodes the rows lo to hi-1.
func (s *vectorSource) Read(lo, hi int, dst []float32) (err error) {
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), s.col.file); fault != nil {
			err = fault
		}
	}()
	dst = dst[:0]
	return s.col.scan(s.ctx, uint32(lo), uint32(hi), func(raw []byte) {
		dst = vector.AppendDecoded(dst, s.col.element, raw)
	})
}
