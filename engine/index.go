package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// IndexState says how far an index is, with Milvus's words.
type IndexState string

// The states of an index.
const (
	IndexInProgress IndexState = "InProgress" // some sealed segment has it not yet; searches are right, and slower
	IndexFinished   IndexState = "Finished"   // every sealed segment has it
	IndexFailed     IndexState = "Failed"     // the last try of some segment went wrong; searches are right, and slower
)

// IndexInfo describes an index. Rows are those of sealed segments, dead ones included.
type IndexInfo struct {
	schema.Index // with all defaults filled in
	ID           uint64
	Created      time.Time
	State        IndexState
	TotalRows    int64
	IndexedRows  int64
	PendingRows  int64
	Segments     int // sealed
	Indexed      int // of these, segments that have it
	Coded        int // of these, segments that are searched by codes until their graph is there
	Progress     float64
	MemoryBytes  int64
	DiskBytes    int64
	Reason       string // what went wrong last, if State is IndexFailed
}

// index is a definition as the engine uses it.
type index struct {
	id      uint64
	def     schema.Index
	field   *schema.Field
	metric  vector.Metric
	spec    segment.IndexSpec
	created time.Time
}

func newIndex(r indexRecord, s *schema.Schema) (*index, error) {
	def, f, err := r.def.Check(s)
	if err != nil {
		return nil, err
	}
	var m vector.Metric
	if f.Type.IsVector() {
		if m, err = vector.ParseMetric(def.Metric); err != nil {
			return nil, err
		}
	}
	x := &index{
		id: r.id, def: def, field: f, metric: m, created: time.Unix(0, r.created),
		spec: segment.IndexSpec{ID: r.id, Field: f, Metric: m, Graph: graphOptions(def)},
	}
	if text := def.Params["json_path"]; text != "" {
		if x.spec.Path, err = filter.ParsePath(text, s); err != nil {
			return nil, err
		}
		if x.spec.Path.Field() != f {
			return nil, schema.Invalid(f.Name, text, "json_path leads into field %q", x.spec.Path.Field().Name)
		}
		x.spec.Cast = castOf(def.Params["json_cast_type"])
	}
	return x, nil
}

// castOf reads a json_cast_type.
func castOf(name string) (c filter.Cast) {
	if rest, ok := strings.CutPrefix(name, "ARRAY_"); ok {
		name, c = rest, filter.CastArray
	}
	return c | map[string]filter.Cast{"BOOL": filter.CastBool, "DOUBLE": filter.CastDouble, "VARCHAR": filter.CastVarChar}[name]
}

// same reports whether two indexes are of the same thing: a field, or a place and a type in a JSON field.
func (x *index) same(y *index) bool {
	if x.field != y.field || x.spec.Path == nil {
		return x.field == y.field
	}
	return x.spec.Path.String() == y.spec.Path.String() && x.spec.Cast == y.spec.Cast
}

// The graph of a definition with M has 2·M neighbours a row, as the lowest layer of HNSW has, within these bounds: fewer give no graph that can
// be walked, more cost memory and time and find no more.
const (
	minDegree = 8
	maxDegree = 128
	maxNear   = 512
)

// graphOptions translates Milvus's parameters. efConstruction is the number of near rows from which neighbours are chosen: HNSW's beam is
// wider than that because it has to find them first.
func graphOptions(def schema.Index) graph.Options {
	var o graph.Options
	if def.Kind != schema.IndexHNSW && def.Kind != schema.IndexHNSWSQ {
		return o
	}
	o.Degree = min(max(2*def.Number("M"), minDegree), maxDegree)
	o.Candidates = min(max(def.Number("efConstruction")/3, o.Degree), maxNear)
	return o
}

// built reports whether segments get something to search by. An index without it says how its field is compared.
func (x *index) built() bool {
	return x.def.Kind != schema.IndexFlat && x.field.Type != schema.TypeBinaryVector
}

// CreateIndex defines an index of a field: of a vector field for searches, of another one for filters. Sealed segments get it in the background, as do those that are sealed later; until then,
// and wherever it is missing or damaged, searches compare all vectors, and filters all values. A field has one index: creating the same again does nothing,
// another one is refused with ErrExists. WaitIndexed waits until it is built.
//
// Commit point: the catalogue edit is synced.
func (c *Collection) CreateIndex(ctx context.Context, x schema.Index) error {
	return wrap("create index", c.createIndex(ctx, x))
}

func (c *Collection) createIndex(ctx context.Context, x schema.Index) error {
	e := c.e
	if err := c.enter(); err != nil {
		return err
	}
	defer e.leave()
	def, _, err := x.Check(c.Schema())
	if err != nil {
		return err
	}
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return err
	}
	var id uint64
	e.cat.view(func(st *state) { id = st.nextID })
	rec := indexRecord{id, c.id, def, e.opts.Now().UnixNano()}
	ix, err := newIndex(rec, c.Schema())
	if err != nil {
		return err
	}
	for _, have := range c.indexList() {
		switch {
		case have.def.Same(def):
			return nil
		case have.def.Name == def.Name:
			return fmt.Errorf("index %q %w, of other parameters", def.Name, ErrExists)
		case have.same(ix):
			return fmt.Errorf("index %q of field %q %w: a field has one, a JSON field one for each path and type", have.def.Name, def.Field, ErrExists)
		}
	}
	if err := e.cat.commit(&edit{putIndexes: []indexRecord{rec}, nextID: id + 1}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	c.setIndex(id, ix)
	e.indexer.wake()
	return nil
}

// DropIndex removes the index of the name. Searches under way finish with it.
func (c *Collection) DropIndex(ctx context.Context, name string) error {
	return wrap("drop index", c.dropIndex(ctx, name))
}

func (c *Collection) dropIndex(ctx context.Context, name string) error {
	e := c.e
	if err := c.enter(); err != nil {
		return err
	}
	defer e.leave()
	e.ddl.Lock()
	defer e.ddl.Unlock()
	if err := errors.Join(ctx.Err(), c.usable()); err != nil {
		return err
	}
	x, err := c.index(name)
	if err != nil {
		return err
	}
	if err := e.cat.commit(&edit{dropIndexes: []uint64{x.id}}); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	c.removeIndex(x)
	return nil
}

// removeIndex takes an index that the catalogue no longer names from the collection and its segments.
func (c *Collection) removeIndex(x *index) {
	e := c.e
	c.setIndex(x.id, nil)
	e.indexer.forget(func(k indexKey) bool { return k.index == x.id })
	for _, p := range c.all() {
		sealed, release := p.p.Sealed()
		for _, s := range sealed {
			if err := s.DropIndex(x.id); err != nil {
				// The next open removes what is left: the catalogue does not name it.
				e.opts.Logger.Warn("removing a dropped index", "segment", s.ID(), "index", x.def.Name, "error", err)
			}
		}
		release()
	}
}

// setIndex puts a definition into the collection, or takes it away.
func (c *Collection) setIndex(id uint64, x *index) {
	defer c.limitRows()
	c.mu.Lock()
	defer c.mu.Unlock()
	next := maps.Clone(c.indexes)
	if next == nil {
		next = map[uint64]*index{}
	}
	if x == nil {
		delete(next, id)
	} else {
		next[id] = x
	}
	c.indexes = next
	metrics := map[string]vector.Metric{}
	for _, x := range next {
		if x.field.Type.IsVector() {
			metrics[x.field.Name] = x.metric
		}
	}
	c.metrics = metrics
}

// indexList lists the definitions in the order they were made.
func (c *Collection) indexList() []*index {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.SortedFunc(maps.Values(c.indexes), func(a, b *index) int { return int(int64(a.id) - int64(b.id)) })
}

// fieldMetrics are the metrics of the indexes, by field. It must not be changed.
func (c *Collection) fieldMetrics() map[string]vector.Metric {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.metrics
}

func (c *Collection) index(name string) (*index, error) {
	name = strings.TrimSpace(name)
	for _, x := range c.indexList() {
		if x.def.Name == name {
			return x, nil
		}
	}
	return nil, fmt.Errorf("index %q of collection %q %w", name, c.Name(), ErrNotFound)
}

// DescribeIndex describes the index of the name.
func (c *Collection) DescribeIndex(name string) (IndexInfo, error) {
	if err := c.usable(); err != nil {
		return IndexInfo{}, wrap("describe index", err)
	}
	x, err := c.index(name)
	if err != nil {
		return IndexInfo{}, wrap("describe index", err)
	}
	return c.describe(x), nil
}

// Indexes describes all indexes in the order they were made.
func (c *Collection) Indexes() []IndexInfo {
	var out []IndexInfo
	for _, x := range c.indexList() {
		out = append(out, c.describe(x))
	}
	return out
}

func (c *Collection) describe(x *index) IndexInfo {
	i := IndexInfo{Index: x.def, ID: x.id, Created: x.created, State: IndexFinished, Progress: 1}
	i.Params = maps.Clone(x.def.Params)
	var done float64
	for _, p := range c.all() {
		sealed, release := p.p.Sealed()
		for _, s := range sealed {
			rows := int64(s.Manifest().Rows)
			i.TotalRows += rows
			i.Segments++
			info, ok := s.IndexInfo(x.id)
			i.MemoryBytes += info.MemoryBytes
			i.DiskBytes += info.DiskBytes
			if !x.built() || ok && info.State == segment.IndexReady {
				i.IndexedRows += rows
				i.Indexed++
				done += float64(rows)
				continue
			}
			if ok {
				i.Coded++
			}
			share, err := c.e.indexer.look(indexKey{s.ID(), x.id})
			done += share * float64(rows)
			if err != nil {
				i.State, i.Reason = IndexFailed, err.Error()
			} else if !ok && c.e.opts.ReadOnly && c.e.indexer.unloaded(indexKey{s.ID(), x.id}) {
				i.State, i.Reason = IndexFailed, fmt.Sprintf("segment %s has no file of it, and it cannot be built: %v", s.ID(), ErrReadOnly)
			} else if i.State == IndexFinished {
				i.State = IndexInProgress
			}
		}
		release()
	}
	i.PendingRows = i.TotalRows - i.IndexedRows
	if i.TotalRows > 0 {
		i.Progress = done / float64(i.TotalRows)
	}
	return i
}

// WaitIndexed waits until every segment that is sealed now has all of the collection's indexes. Flush first to have all entities in sealed
// segments. If an index cannot be built the error says why.
func (c *Collection) WaitIndexed(ctx context.Context) error {
	for {
		if err := c.usable(); err != nil {
			return wrap("wait for indexes", err)
		}
		changed := c.e.indexer.changes()
		pending, err := c.pendingIndex()
		if err != nil || !pending {
			return wrap("wait for indexes", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return wrap("wait for indexes", ctx.Err())
		case <-c.e.ctx.Done():
			return wrap("wait for indexes", ErrClosed)
		}
	}
}

// pendingIndex reports whether an index is missing that will be built, and why one is missing that will not be for now.
func (c *Collection) pendingIndex() (pending bool, err error) {
	for _, x := range c.indexList() {
		switch i := c.describe(x); i.State {
		case IndexFailed:
			return false, fmt.Errorf("index %q: %s", i.Name, i.Reason)
		case IndexInProgress:
			if c.e.opts.ReadOnly && i.Indexed+i.Coded == i.Segments {
				return false, fmt.Errorf("index %q: %d segments have none, and it cannot be built: %w", i.Name, i.Coded, ErrReadOnly)
			}
			pending = true
		}
	}
	return pending, nil
}
