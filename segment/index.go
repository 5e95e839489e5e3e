package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// IndexSpec says which index of a field a segment is to have.
type IndexSpec struct {
	ID     uint64 // of the definition: a file of another one is never taken for this one's
	Field  *schema.Field
	Metric vector.Metric
	Graph  graph.Options // for FloatVector, Float16Vector, BFloat16Vector and Int8Vector
}

// FileName is the name of the index's file inside the segment's directory.
func (x IndexSpec) FileName() string { return indexFileName(x.ID) }

const indexSuffix = ".idx"

// indexFileName has no part of the field's name, which may be as long as a file's name may.
func indexFileName(id uint64) string { return fmt.Sprintf("%06d%s", id, indexSuffix) }

// indexIDOf is the inverse of indexFileName.
func indexIDOf(name string) (id uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, indexSuffix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 10, 64)
	return id, err == nil && indexFileName(id) == name
}

// IndexState is how far an index of a segment is.
type IndexState uint8

// The states of an index.
const (
	IndexCodes IndexState = iota + 1 // searches read the codes of all rows
	IndexReady                       // as it is meant to be
)

// String gives the state's name in lower case.
func (s IndexState) String() string {
	switch s {
	case IndexCodes:
		return "codes"
	case IndexReady:
		return "ready"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// IndexInfo describes an index of a segment.
type IndexInfo struct {
	ID          uint64
	Field       string
	State       IndexState
	Kind        string // "graph"; "codes" where all codes are read; "none" where the segment holds nothing of the field
	Rows        int
	MemoryBytes int64 // in memory of our own
	DiskBytes   int64 // of its file; 0 if it has none, because it is quick to build
}

// ErrNoIndex is returned for an index that cannot be: of a field of another type.
var ErrNoIndex = errors.New("no index of such a field")

// fieldIndex is the index of one field as a segment uses it. It is safe for concurrent use.
type fieldIndex interface {
	// search appends the best rows that choice lets through.
	search(ctx context.Context, q *vector.Query, choice *IndexSearch, dead []uint64, dst []vector.Hit) ([]vector.Hit, IndexStats, error)
	// save writes the index's file.
	save(w io.Writer, id graph.Identity) error
	memory() int64
	kind() string
}

// attachedIndex is an index that searches may use. It counts its users, because its memory may be that of a mapped file.
type attachedIndex struct {
	spec  IndexSpec
	ix    fieldIndex
	state IndexState
	disk  int64
	refs  atomic.Int64 // the segment's, and each running search's
}

// acquire adds a user, unless the last one has gone.
func (a *attachedIndex) acquire() bool {
	for {
		n := a.refs.Load()
		if n == 0 {
			return false
		}
		if a.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (a *attachedIndex) release() {
	if a.refs.Add(-1) == 0 {
		a.ix = nil
	}
}

func (a *attachedIndex) info(rows uint32) IndexInfo {
	return IndexInfo{
		ID: a.spec.ID, Field: a.spec.Field.Name, State: a.state, Kind: a.ix.kind(), Rows: int(rows), MemoryBytes: a.ix.memory(), DiskBytes: a.disk,
	}
}

// segmentIndexes are a sealed segment's indexes.
type segmentIndexes struct {
	mu       sync.Mutex // guards changes of list, columns and building; nothing is locked under it
	list     atomic.Pointer[[]*attachedIndex]
	columns  map[uint32]*vectorColumn // by field
	building map[uint64]bool          // by definition
}

func (x *segmentIndexes) all() []*attachedIndex {
	if l := x.list.Load(); l != nil {
		return *l
	}
	return nil
}

func (x *segmentIndexes) find(id uint64) *attachedIndex {
	for _, a := range x.all() {
		if a.spec.ID == id {
			return a
		}
	}
	return nil
}

// memory is that of all indexes, and of the rows that were copied for them.
func (x *segmentIndexes) memory() int64 {
	var n int64
	for _, a := range x.all() {
		if a.acquire() {
			n += a.ix.memory()
			a.release()
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.columns {
		n += c.heap.Load()
	}
	return n
}

// closeIndexes detaches all.
func (s *Sealed) closeIndexes() {
	x := &s.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.all() {
		a.release()
	}
	x.list.Store(nil)
}

// swap puts next in the place of the definition's index, or takes that away if next is nil. REQUIRES: mu is held.
func (x *segmentIndexes) swap(id uint64, next *attachedIndex) {
	var list []*attachedIndex
	var old *attachedIndex
	for _, a := range x.all() {
		if a.spec.ID == id {
			old = a
		} else {
			list = append(list, a)
		}
	}
	if next != nil {
		list = append(list, next)
	}
	x.list.Store(&list)
	if old != nil {
		old.release()
	}
}

// attach makes the index one that searches use.
func (s *Sealed) attach(spec IndexSpec, ix fieldIndex, state IndexState, disk int64) {
	a := &attachedIndex{spec: spec, ix: ix, state: state, disk: disk}
	a.refs.Store(1)
	s.indexes.mu.Lock()
	defer s.indexes.mu.Unlock()
	s.indexes.swap(spec.ID, a)
}

// columnOf returns the rows of a dense vector field; nil if the segment does not hold it.
func (s *Sealed) columnOf(f *schema.Field) (*vectorColumn, error) {
	if elementOf(f.Type) == vector.ElementInvalid {
		return nil, fmt.Errorf("%w: %q of type %s", ErrNoIndex, f.Name, f.Type)
	}
	c := s.cols[uint32(f.ID)]
	if c == nil {
		return nil, nil
	}
	s.indexes.mu.Lock()
	defer s.indexes.mu.Unlock()
	v := s.indexes.columns[c.field]
	if v == nil {
		v = newVectorColumn(s, c)
		if s.indexes.columns == nil {
			s.indexes.columns = map[uint32]*vectorColumn{}
		}
		s.indexes.columns[c.field] = v
	}
	return v, nil
}

// identity ties an index file to this build of the segment and to the definition.
func (s *Sealed) identity(id uint64) graph.Identity {
	h := s.man.Token ^ bits.RotateLeft64(id*0x9e3779b97f4a7c15, 32)
	return graph.Identity{Segment: uint64(s.man.ID), Token: h * 0xbf58476d1ce4e5b9}
}

// LoadIndex opens the index's file and has searches use it. The error is one of fs.ErrNotExist if there is no file, a *CorruptionError if it
// is damaged or belongs to another segment or definition, ErrVersion if it is of another version. The caller then builds the index; that
// replaces the file.
//
// A mapped index lies in the system's cache of the file instead of memory of our own, where the file system allows it.
func (s *Sealed) LoadIndex(ctx context.Context, spec IndexSpec, mapped bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	if col == nil {
		s.attach(spec, emptyIndex{}, IndexReady, 0)
		return nil
	}
	ix, size, err := s.openIndex(col, spec)
	if err != nil {
		return err
	}
	s.attach(spec, ix, IndexReady, size)
	return nil
}

func (s *Sealed) openIndex(col *vectorColumn, spec IndexSpec) (fieldIndex, int64, error) {
	path := s.fs.PathJoin(s.dir, spec.FileName())
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	g, err := graph.Load(f, info.Size(), s.identity(spec.ID))
	if err != nil {
		return nil, 0, indexError(path, err)
	}
	if g.Rows() != int(s.man.Rows) || g.Dim() != spec.Field.Dim || g.Metric() != spec.Metric {
		return nil, 0, &CorruptionError{
			Path: path, Offset: 0, Kind: "identity",
			Err: fmt.Errorf("an index by %v of %d rows of %d dimensions, one by %v of %d of %d expected", g.Metric(), g.Rows(), g.Dim(), spec.Metric, s.man.Rows, spec.Field.Dim),
		}
	}
	return newDenseIndex(g, col), info.Size(), nil
}

// indexError gives an error of an index file the file's name.
func indexError(path string, err error) error {
	var c *graph.CorruptionError
	switch {
	case !errors.As(err, &c):
		return fmt.Errorf("%s: %w", path, err)
	case c.Kind == "version":
		return fmt.Errorf("%s: %w: %s", path, ErrVersion, c.Text)
	}
	return &CorruptionError{Path: path, Offset: c.Offset, Kind: c.Kind, Err: err}
}

// DropIndex takes the definition's index from the segment, and removes its file. Searches that use it go on to their end; its memory goes with
// the last. It is no error if there is neither index nor file.
func (s *Sealed) DropIndex(id uint64) error {
	s.indexes.mu.Lock()
	s.indexes.swap(id, nil)
	s.indexes.mu.Unlock()
	if err := s.fs.Remove(s.fs.PathJoin(s.dir, indexFileName(id))); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// RemoveIndexFiles removes the index files, and nothing else, of definitions that are not to be kept.
func (s *Sealed) RemoveIndexFiles(keep func(id uint64) bool) error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	var errs error
	for _, name := range names {
		if id, ok := indexIDOf(name); ok && !keep(id) {
			errs = errors.Join(errs, s.fs.Remove(s.fs.PathJoin(s.dir, name)))
		}
	}
	return errs
}

// IndexInfo describes the definition's index, if searches use one.
func (s *Sealed) IndexInfo(id uint64) (IndexInfo, bool) {
	a := s.indexes.find(id)
	if a == nil || !a.acquire() {
		return IndexInfo{}, false
	}
	defer a.release()
	return a.info(s.man.Rows), true
}

// IndexBuild are the choices of one BuildIndex.
type IndexBuild struct {
	TmpDir       string // where the file is written before it gets its name; on the segment's file system
	Workers      int    // 0: as many as there are processors
	MemoryBudget int64  // in bytes; 0: no bound
	Mapped       bool   // see LoadIndex
	Progress     func(done, total int)
}

// BuildIndex makes the definition's index and has searches use it. Its steps:
//
//  1. Code all rows, and attach the codes: from now on searches read those instead of the vectors.
//  2. Build the graph. Where reading all codes is as fast, the codes are the index, and the rest is left out.
//  3. Write it to a file in TmpDir; sync.
//  4. Rename the file into the segment's directory; sync that. Commit point, if an index had one: it is derived, and a file that is there is
//     whole, or refused by LoadIndex.
//  5. Attach it in place of the codes.
//
// An error, also that of a context that ends and graph.ErrMemory, leaves the segment with the codes, and no file behind.
// REQUIRES: the caller holds a reference.
func (s *Sealed) BuildIndex(ctx context.Context, spec IndexSpec, b IndexBuild) (err error) {
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return err
	}
	if col == nil {
		s.attach(spec, emptyIndex{}, IndexReady, 0)
		return nil
	}
	src, err := newVectorSource(ctx, s, col, spec.Field)
	if err != nil {
		return err
	}
	o := spec.Graph
	o.Workers, o.MemoryBudget = b.Workers, b.MemoryBudget
	o.FlatBytes = maxInt
	codes, err := graph.Build(ctx, src, spec.Metric, o)
	if err != nil {
		return err
	}
	s.attach(spec, newDenseIndex(codes, col), IndexCodes, 0)
	o.FlatBytes = spec.Graph.FlatBytes
	g, err := graph.Build(ctx, src, spec.Metric, o)
	if err != nil {
		return err
	}
	if g.Flat() {
		s.attach(spec, newDenseIndex(codes, col), IndexReady, 0)
		return nil
	}
	ix := newDenseIndex(g, col)
	size, err := s.writeIndex(spec, b.TmpDir, ix)
	if err != nil {
		return err
	}
	s.attach(spec, ix, IndexReady, size)
	return nil
}

// writeIndex writes the index's file.
func (s *Sealed) writeIndex(spec IndexSpec, tmpDir string, ix fieldIndex) (size int64, err error) {
	tmp := s.fs.PathJoin(tmpDir, fmt.Sprintf("%s-%s", s.man.ID, spec.FileName()))
	f, err := s.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	defer func() {
		if err != nil {
			_ = s.fs.Remove(tmp)
		}
	}()
	if err := ix.save(f, s.identity(spec.ID)); err != nil {
		return 0, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return 0, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err := s.fs.Rename(tmp, s.fs.PathJoin(s.dir, spec.FileName())); err != nil {
		return 0, err
	}
	return info.Size(), syncDir(s.fs, s.dir)
}
