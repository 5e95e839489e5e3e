package segment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/selkiedb/selkie/vector/graph"
)

// IndexNeed is what an index of a segment takes of memory, in bytes.
type IndexNeed struct {
	Codes       int64 // to code the rows; they stay
	Least, Most int64 // to build the graph, besides the codes that are searched meanwhile: with Least it goes, with Most it is quickest
	After       int64 // of the finished index, unless it is mapped
	Disk        int64 // of its file
}

// IndexNeed estimates what the definition's index of a segment of so many rows takes.
func (x IndexSpec) IndexNeed(rows int) (n IndexNeed, err error) {
	if x.sparse() {
		return n, nil // what postings take is known from the segment alone
	}
	codes, edges, err := x.Graph.IndexMemory(rows, x.Field.Dim)
	if err != nil {
		return n, err
	}
	n.Codes, n.After = codes, codes
	if flat, err := x.flat(rows); flat || err != nil {
		return n, err
	}
	if n.Least, err = x.Graph.LeastMemory(rows, x.Field.Dim); err != nil {
		return n, err
	}
	n.Most, err = x.Graph.Memory(rows, x.Field.Dim)
	n.After, n.Disk = codes+edges, codes+edges
	return n, err
}

// flat reports whether the index of so many rows is its codes.
func (x IndexSpec) flat(rows int) (bool, error) {
	codes, _, err := x.Graph.IndexMemory(rows, x.Field.Dim)
	most := int64(x.Graph.FlatBytes)
	if most == 0 {
		most = graph.DefaultFlatBytes
	}
	return codes <= most, err
}

// IndexNeed is IndexSpec.IndexNeed for the segment.
func (s *Sealed) IndexNeed(spec IndexSpec) (IndexNeed, error) {
	c := s.cols[uint32(spec.Field.ID)]
	switch {
	case c == nil:
		return IndexNeed{}, nil
	case spec.sparse():
		n := int64(c.bytes)
		return IndexNeed{Least: 3 * n, Most: 3 * n, After: n, Disk: n}, nil
	}
	return spec.IndexNeed(int(s.man.Rows))
}

// RowBytes is the memory that the segment keeps of its rows: the key filter, columns that were copied, row sets of filters.
func (s *Sealed) RowBytes() int64 {
	return s.filter.bytes() + s.indexes.columnBytes() + s.matches.bytes() + s.terms.bytes() + s.expiry.bytes()
}

// IndexBytes is the memory of the segment's indexes, without what is mapped.
func (s *Sealed) IndexBytes() int64 { return s.indexes.indexBytes() }

func (x *segmentIndexes) indexBytes() (n int64) {
	for _, a := range x.all() {
		if a.acquire() {
			n += a.ix.memory()
			a.release()
		}
	}
	return n
}

func (x *segmentIndexes) columnBytes() (n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.columns {
		n += c.heap.Load()
	}
	if c := x.keys.Load(); c != nil {
		n += c.heap.Load()
	}
	return n
}

// LoadedIndex is an index that takes memory which it could do without: its file can be mapped instead.
type LoadedIndex struct {
	ID    uint64
	Bytes int64
	Used  time.Time // by a search, last, to the second; zero if never
}

// LoadedIndexes lists the indexes that UnloadIndex would free the memory of.
func (s *Sealed) LoadedIndexes() (out []LoadedIndex) {
	for _, a := range s.indexes.all() {
		if !a.acquire() {
			continue
		}
		if n := a.ix.memory(); a.state == IndexReady && n > a.disk/2 {
			l := LoadedIndex{ID: a.spec.ID, Bytes: n}
			if at := a.used.Load(); at > 0 {
				l.Used = time.Unix(at, 0)
			}
			out = append(out, l)
		}
		a.release()
	}
	return out
}

// UnloadIndex has searches use the index's file, mapped, in place of memory. Codes that are an index by themselves have no file: it is written
// then, by way of the directory tmp, unless that is "". Where files cannot be mapped, or the definition has no loaded index, nothing changes. Searches under way end with what they have. It returns the bytes that come free then. REQUIRES: the caller holds a
// reference.
func (s *Sealed) UnloadIndex(ctx context.Context, id uint64, tmp string) (int64, error) {
	a := s.indexes.find(id)
	if a == nil || !a.acquire() {
		return 0, nil
	}
	defer a.release()
	n := a.ix.memory()
	if a.state != IndexReady || n <= a.disk/2 {
		return 0, nil
	}
	if a.disk == 0 {
		return n, s.fileCodes(ctx, a, tmp)
	}
	err := s.reload(ctx, a, true)
	if errors.Is(err, errNotMapped) {
		return 0, nil
	}
	return n, err
}

// fileCodes writes the file of an index that has none, and has searches use that, mapped.
func (s *Sealed) fileCodes(ctx context.Context, a *attachedIndex, tmp string) error {
	running := &indexBuild{}
	if tmp == "" || !s.indexes.begin(a.spec.ID, running) {
		return nil
	}
	defer s.indexes.end(a.spec.ID)
	col, err := s.columnOf(a.spec.Field)
	if err != nil {
		return err
	}
	err = s.saveIndex(ctx, a.spec, IndexBuild{TmpDir: tmp, Mapped: true}, running, a.ix, true, func() (fieldIndex, int64, error) {
		return s.openIndex(col, a.spec, true)
	})
	if errors.Is(err, ErrIndexDropped) {
		return nil
	}
	return err
}

// ReloadIndex has searches use the definition's index in memory of our own, if its file is mapped. REQUIRES: the caller holds a reference.
func (s *Sealed) ReloadIndex(ctx context.Context, id uint64) error {
	a := s.indexes.find(id)
	if a == nil || !a.acquire() {
		return nil
	}
	defer a.release()
	if a.state != IndexReady || a.disk == 0 || a.ix.memory() > a.disk/2 {
		return nil
	}
	return s.reload(ctx, a, false)
}

var errNotMapped = errors.New("the file cannot be mapped")

// reload opens the index's file anew and puts it in the place of a, unless that was dropped or replaced meanwhile.
func (s *Sealed) reload(ctx context.Context, a *attachedIndex, mapped bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ix, size, err := s.openFieldIndex(a.spec, mapped)
	if err != nil {
		if s.indexes.find(a.spec.ID) != a {
			return nil // its file went with it
		}
		return fmt.Errorf("index %d of segment %s: %w", a.spec.ID, s.man.ID, err)
	}
	if mapped && ix.memory() > size/2 {
		return errors.Join(errNotMapped, ix.close())
	}
	next := newAttached(a.spec, ix, IndexReady, size)
	next.used.Store(a.used.Load())
	x := &s.indexes
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.find(a.spec.ID) != a {
		next.release()
		return nil
	}
	x.swap(a.spec.ID, next)
	return nil
}

// ReleaseRows gives back what was copied of the segment's rows, and the row sets of filters. Reads bring back what they need.
func (s *Sealed) ReleaseRows() {
	x := &s.indexes
	x.mu.Lock()
	for _, c := range x.columns {
		if c.file == nil {
			c.forget()
		}
	}
	if c := x.keys.Load(); c != nil {
		c.forget()
	}
	x.mu.Unlock()
	s.matches.clear()
}
