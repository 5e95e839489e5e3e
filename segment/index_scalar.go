package segment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// scalarIndex is an index of a field that is no vector: filters ask it, searches never do.
type scalarIndex struct {
	ix   *index.Index
	file *fileMap // what ix lies in; nil if that is memory of our own
}

func (x *scalarIndex) search(context.Context, *vector.Query, IndexSearch, []uint64, []vector.Hit) ([]vector.Hit, IndexStats, error) {
	return nil, IndexStats{}, ErrNoIndex
}

func (x *scalarIndex) save(w io.Writer, id graph.Identity) error {
	return x.ix.Save(w, index.Identity(id))
}

func (x *scalarIndex) memory() int64 {
	if x.file != nil {
		return 0
	}
	return x.ix.Bytes()
}

func (x *scalarIndex) kind() string { return "sorted" }

func (x *scalarIndex) close() error {
	x.ix = nil
	return x.file.close()
}

// scalar reports whether the index is one for filters.
func (x IndexSpec) scalar() bool { return !x.Field.Type.IsVector() }

// Coded reports whether a segment can be searched by codes of the index before it is built, see CodeIndex.
func (x IndexSpec) Coded() bool { return !x.scalar() && !x.sparse() }

// answers reports whether the index is one that knows what a term asks for.
func (x IndexSpec) answers(t *filter.Term) bool {
	if !x.scalar() || x.Field.ID != t.Field.ID {
		return false
	}
	if x.Path == nil {
		return t.Path == ""
	}
	return t.Path == x.Path.String() && t.Cast == x.Cast
}

// openScalar opens the file of a scalar index.
func (s *Sealed) openScalar(spec IndexSpec, mapped bool) (fieldIndex, int64, error) {
	var ix *index.Index
	id := index.Identity(s.identity(spec.ID))
	file, size, err := s.openIndexFile(spec, mapped, func(f vfs.File, size int64, file *fileMap) (err error) {
		if file != nil {
			ix, err = index.Open(file.data, id)
		} else {
			ix, err = index.Load(f, size, id)
		}
		if err == nil && ix.Rows() != int(s.man.Rows) {
			err = fmt.Errorf("%w: of %d rows, one of %d expected", errOtherIndex, ix.Rows(), s.man.Rows)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return &scalarIndex{ix: ix, file: file}, size, nil
}

// buildScalar is BuildIndex for fields that are no vectors.
func (s *Sealed) buildScalar(ctx context.Context, spec IndexSpec, b IndexBuild) error {
	c := s.cols[uint32(spec.Field.ID)]
	if c == nil {
		s.attach(spec, emptyIndex{}, IndexReady, 0)
		return nil
	}
	running := &indexBuild{}
	if !s.indexes.begin(spec.ID, running) {
		return fmt.Errorf("%w: index %d of segment %s", ErrIndexBusy, spec.ID, s.man.ID)
	}
	defer s.indexes.end(spec.ID)
	ix, err := index.Build(ctx, &scalarSource{s, c, spec}, b.MemoryBudget)
	if err != nil {
		return err
	}
	return s.saveIndex(ctx, spec, b, running, &scalarIndex{ix: ix}, true, func() (fieldIndex, int64, error) {
		return s.openScalar(spec, true)
	})
}

// scalarSource gives a build the values of a field, those of dead rows included.
type scalarSource struct {
	s *Sealed
	c *columnMeta
	x IndexSpec
}

// Field is the field.
func (x *scalarSource) Field() *schema.Field { return x.x.Field }

// Path is the place in a JSON field.
func (x *scalarSource) Path() (*filter.Path, filter.Cast) { return x.x.Path, x.x.Cast }

// Rows returns the number of rows.
func (x *scalarSource) Rows() int { return int(x.s.man.Rows) }

// Each visits the field's chunks.
func (x *scalarSource) Each(ctx context.Context, visit func(first uint32, d column.Data) error) error {
	return x.s.walkChunks(ctx, x.c, 0, len(x.c.starts), func(chunk int, d column.Data) error { return visit(x.c.starts[chunk], d) })
}

// asked are the answers of a segment's indexes to an expression.
type asked struct {
	answers []*filter.Answer // by term; nil where no index has answered any
	indexes []string         // the fields whose indexes were asked
	all     bool             // nothing is left to be evaluated over values
}

// ask has the segment's indexes answer the terms of an expression. One that cannot be read any more is lost, and its terms go unanswered.
func (s *Sealed) ask(e *filter.Expr) (a asked) {
	terms, only := e.Terms()
	if len(terms) == 0 || len(s.indexes.all()) == 0 {
		return a
	}
	answers := make([]*filter.Answer, len(terms))
	a.all = only
	for i, t := range terms {
		if answers[i] = s.askOne(t); answers[i] == nil {
			a.all = false
			continue
		}
		a.answers = answers
		if !slices.Contains(a.indexes, t.Field.Name) {
			a.indexes = append(a.indexes, t.Field.Name)
		}
	}
	return a
}

func (s *Sealed) askOne(t *filter.Term) *filter.Answer {
	for _, x := range s.indexes.all() {
		if !x.spec.answers(t) || !x.acquire() {
			continue
		}
		answer, err := x.answer(t)
		if err != nil && isIndexFault(err) {
			s.indexes.lose(x)
		}
		x.release()
		if answer != nil {
			return answer
		}
	}
	return nil
}

var errNoAnswer = errors.New("no answer")

// answer asks one index. REQUIRES: the caller has a use of it.
func (a *attachedIndex) answer(t *filter.Term) (answer *filter.Answer, err error) {
	x, ok := a.ix.(*scalarIndex)
	if !ok {
		return nil, errNoAnswer
	}
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), x.file); fault != nil {
			answer, err = nil, &indexFault{fault}
		}
	}()
	yes, ok := x.ix.Answer(t)
	if !ok {
		return nil, errNoAnswer
	}
	answer = &filter.Answer{Yes: yes}
	if !t.Null {
		answer.Known = slices.Clone(x.ix.Present()) // the file may be unmapped before it is used
	}
	return answer, nil
}
