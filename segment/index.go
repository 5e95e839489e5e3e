package segment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
	"github.com/selkiedb/selkie/vector/inverted"
)

// IndexSpec says which index of a field a segment is to have.
type IndexSpec struct {
	ID     uint64 // of the definition: a file of another one is never taken for this one's
	Field  *schema.Field
	Metric vector.Metric // of vectors
	Path   *filter.Path  // of JSON: the place in the field, and the values there that are indexed
	Cast   filter.Cast
	Graph  graph.Options // for FloatVector, Float16Vector, BFloat16Vector and Int8Vector; SparseFloatVector has nothing to choose
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
	Kind        string // "graph"; "codes" where all codes are read; "inverted"; "sorted" of a field that is no vector; "none" where the segment holds nothing of the field
	Rows        int
	MemoryBytes int64 // in memory of our own
	DiskBytes   int64 // of its file; 0 if it has none, because it is quick to build
}

var (
	// ErrNoIndex is returned for an index that cannot be: of a field of another type, or by a metric that the type does not have.
	ErrNoIndex = errors.New("no such index")
	// ErrIndexDropped is returned by BuildIndex if DropIndex came before its end.
	ErrIndexDropped = errors.New("index was dropped while it was built")
	// ErrIndexBusy is returned by BuildIndex if the index is being built already.
	ErrIndexBusy = errors.New("index is being built")
)

// fieldIndex is the index of one field as a segment uses it. It is safe for concurrent use.
type fieldIndex interface {
	// search appends the best rows that choice lets through.
	search(ctx context.Context, q *vector.Query, choice IndexSearch, dead []uint64, dst []vector.Hit) ([]vector.Hit, IndexStats, error)
	// save writes the index's file.
	save(w io.Writer, id graph.Identity) error
	memory() int64 // of our own
	kind() string
	// close gives back what the collector does not. Nobody uses the index any more.
	close() error
}

// attachedIndex is an index that searches may use. It counts its users, because its memory may be that of a mapped file.
type attachedIndex struct {
	spec  IndexSpec
	ix    fieldIndex
	state IndexState
	disk  int64
	early bool         // mapped by a search before LoadIndex came to it: for searches it is there, for all others not yet
	refs  atomic.Int64 // the segment's, and each running search's
	used  atomic.Int64 // when a search used it last, in Unix seconds
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

// release gives a use back. An error of the last one is nobody's: it would be that of giving back address space.
func (a *attachedIndex) release() {
	if a.refs.Add(-1) == 0 {
		_ = a.ix.close()
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
	mu        sync.Mutex // guards changes of all that follows; nothing is locked under it
	list      atomic.Pointer[[]*attachedIndex]
	expecting atomic.Pointer[[]IndexSpec] // see ExpectIndex
	mapping   sync.Mutex                  // held while a search maps one of those; before mu
	builds    map[uint64]*indexBuild      // running, by definition
	columns   map[uint32]*vectorColumn    // by field
	keys      atomic.Pointer[vectorColumn]
	mappings  map[*table]*fileMap // of tables whose columns are in columns
}

// indexBuild is a BuildIndex that runs.
type indexBuild struct{ dropped bool }

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

// close detaches all. Nobody searches any more.
func (x *segmentIndexes) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.all() {
		a.release()
	}
	x.list.Store(nil)
	for _, c := range x.columns {
		c.forget()
	}
	var err error
	for _, m := range x.mappings {
		err = errors.Join(err, m.close())
	}
	x.columns, x.mappings = nil, nil
	return err
}

// swap puts next in the place of the definition's index, or takes that away if next is nil. REQUIRES: mu is held.
func (x *segmentIndexes) swap(id uint64, next *attachedIndex) {
	x.unexpect(id)
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
	s.indexes.mu.Lock()
	defer s.indexes.mu.Unlock()
	s.indexes.swap(spec.ID, newAttached(spec, ix, state, disk))
}

func newAttached(spec IndexSpec, ix fieldIndex, state IndexState, disk int64) *attachedIndex {
	a := &attachedIndex{spec: spec, ix: ix, state: state, disk: disk}
	a.refs.Store(1)
	return a
}

// copiedBytes is the size of a column up to which it is not worth a mapping, and a look for the chunk in it, which a search would wait for.
const copiedBytes = 32 << 10

// columnOf returns the rows of a dense vector field; nil if the segment does not hold it, or the vectors are sparse.
func (s *Sealed) columnOf(f *schema.Field) (*vectorColumn, error) {
	c := s.cols[uint32(f.ID)]
	if c == nil || c.width == 0 {
		return nil, nil
	}
	if elementOf(c.typ) == vector.ElementInvalid {
		return nil, fmt.Errorf("%w: %q of type %s", ErrNoIndex, f.Name, c.typ)
	}
	x := &s.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	if v := x.columns[c.field]; v != nil {
		return v, nil
	}
	if x.columns == nil {
		x.columns, x.mappings = map[uint32]*vectorColumn{}, map[*table]*fileMap{}
	}
	t := s.tableOf(c)
	file, tried := x.mappings[t]
	if !tried && c.bytes > copiedBytes {
		if file = openMap(s.fs, t.path); file != nil {
			file.random()
		}
		x.mappings[t] = file
	}
	v := newVectorColumn(s, c, file)
	x.columns[c.field] = v
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
	if err := spec.check(); err != nil {
		return err
	}
	if !mapped && !spec.scalar() {
		s.mapFirst(spec)
	}
	ix, size, err := s.openFieldIndex(spec, mapped)
	if err != nil {
		return err
	}
	s.attach(spec, ix, IndexReady, size)
	return nil
}

// openFieldIndex opens the file of an index of any kind; there is none where the segment holds nothing of the field.
func (s *Sealed) openFieldIndex(spec IndexSpec, mapped bool) (fieldIndex, int64, error) {
	switch c := s.cols[uint32(spec.Field.ID)]; {
	case c == nil:
		return emptyIndex{}, 0, nil
	case spec.sparse():
		return s.openSparse(spec, mapped)
	case spec.scalar():
		return s.openScalar(spec, mapped)
	}
	col, err := s.columnOf(spec.Field)
	if err != nil {
		return nil, 0, err
	}
	return s.openIndex(col, spec, mapped)
}

// sparse reports whether the index is one of sparse vectors.
func (x IndexSpec) sparse() bool { return x.Field.Type == schema.TypeSparseFloatVector }

// element is what the field's vectors are made of.
func (x IndexSpec) element() vector.Element {
	if x.sparse() {
		return vector.Sparse
	}
	return elementOf(x.Field.Type)
}

// check refuses an index that cannot be.
func (x IndexSpec) check() error {
	if x.scalar() {
		if x.Metric != 0 || x.Path == nil && !index.Supports(x.Field) || x.Path != nil && x.Path.Field() != x.Field {
			return fmt.Errorf("%w: %q of type %s", ErrNoIndex, x.Field.Name, x.Field.Type)
		}
		return nil
	}
	if !x.element().Supports(x.Metric) {
		return fmt.Errorf("%w: %q of type %s by %v", ErrNoIndex, x.Field.Name, x.Field.Type, x.Metric)
	}
	return nil
}

// openIndex opens the file of an index of dense vectors.
func (s *Sealed) openIndex(col *vectorColumn, spec IndexSpec, mapped bool) (_ *denseIndex, size int64, err error) {
	var g *graph.Index
	id := s.identity(spec.ID)
	file, size, err := s.openIndexFile(spec, mapped, func(f vfs.File, size int64, file *fileMap) (err error) {
		if file != nil {
			g, err = graph.Open(file.data, id)
		} else {
			g, err = graph.Load(f, size, id)
		}
		if err == nil && (g.Rows() != int(s.man.Rows) || g.Dim() != spec.Field.Dim || g.Metric() != spec.Metric) {
			err = fmt.Errorf("%w: by %v of %d rows of %d dimensions, one by %v of %d of %d expected",
				errOtherIndex, g.Metric(), g.Rows(), g.Dim(), spec.Metric, s.man.Rows, spec.Field.Dim)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return newDenseIndex(g, col, file), size, nil
}

// errOtherIndex is the error of a file that holds another index than its identity says.
var errOtherIndex = errors.New("another index")

// openIndexFile opens and maps an index's file and calls load with it: file is nil if it is not mapped. It returns the mapping, which load's
// index lies in, and the file's size.
func (s *Sealed) openIndexFile(spec IndexSpec, mapped bool, load func(f vfs.File, size int64, file *fileMap) error) (file *fileMap, size int64, err error) {
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
	size = info.Size()
	if mapped {
		file = mapFile(f, path, size)
	}
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), file); fault != nil {
			err = fault
		}
		if err != nil {
			_ = file.close()
			file, size, err = nil, 0, indexError(path, err)
		}
	}()
	if err := load(f, size, file); err != nil {
		return file, size, err
	}
	if file != nil {
		file.random()
	}
	return file, size, nil
}

// indexError gives an error of an index file the file's name.
func indexError(path string, err error) error {
	var g *graph.CorruptionError
	var i *inverted.CorruptionError
	var x *index.CorruptionError
	at, kind, text := int64(0), "identity", ""
	switch {
	case errors.As(err, &g):
		at, kind, text = g.Offset, g.Kind, g.Text
	case errors.As(err, &i):
		at, kind, text = i.Offset, i.Kind, i.Text
	case errors.As(err, &x):
		at, kind, text = x.Offset, x.Kind, x.Text
	case !errors.Is(err, errOtherIndex):
		return fmt.Errorf("%s: %w", path, err)
	}
	if kind == "version" {
		return fmt.Errorf("%s: %w: %s", path, ErrVersion, text)
	}
	return &CorruptionError{Path: path, Offset: at, Kind: kind, Err: err}
}

// DropIndex takes the definition's index from the segment, and removes its file. Searches that use it go on to their end; its memory goes with
// the last. A build of it that runs ends with ErrIndexDropped. It is no error if there is neither index nor file.
func (s *Sealed) DropIndex(id uint64) error {
	s.DetachIndex(id)
	return s.removeIndexFile(id)
}

// DetachIndex is DropIndex that leaves the file: it is another process's.
func (s *Sealed) DetachIndex(id uint64) {
	s.indexes.mu.Lock()
	defer s.indexes.mu.Unlock()
	s.indexes.swap(id, nil)
	if b := s.indexes.builds[id]; b != nil {
		b.dropped = true
	}
}

// removeIndexFile removes the definition's file, if it is there.
func (s *Sealed) removeIndexFile(id uint64) error {
	if err := s.fs.Remove(s.fs.PathJoin(s.dir, indexFileName(id))); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// Indexes describes the indexes that searches use, by definition.
func (s *Sealed) Indexes() []IndexInfo {
	var out []IndexInfo
	for _, a := range s.indexes.all() {
		if info, ok := s.IndexInfo(a.spec.ID); ok {
			out = append(out, info)
		}
	}
	slices.SortFunc(out, func(a, b IndexInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
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
	if a == nil || a.early || !a.acquire() {
		return IndexInfo{}, false
	}
	defer a.release()
	return a.info(s.man.Rows), true
}
