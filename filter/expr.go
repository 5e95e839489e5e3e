package filter

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/selkiedb/selkie/schema"
)

// Expr is an expression that fits a schema. It never changes and may be used by many goroutines at a time.
type Expr struct {
	root   pred
	fields []*schema.Field
	docs   []docPlan
	tile   int // rows evaluated at a time, a multiple of 64
	seed   uint64
	key    *schema.Field

	terms *termSet
}

// Parse reads an expression and checks it against a finished schema, which must not change while the Expr is in use. values
// are what templates {name} stand for: bool, integers, floats, string, []byte, json.Number, and slices of these; nil if there
// are none. An expression of nothing but blanks matches every row. The error is an *Error, which wraps schema.ErrInvalid, and
// schema.ErrTooLarge if a limit was passed.
func Parse(expr string, s *schema.Schema, values map[string]any) (*Expr, error) {
	n, err := parse(expr, values)
	if err != nil {
		return nil, locate(err, expr)
	}
	e := &Expr{root: constPred(true), seed: rand.Uint64(), key: s.PrimaryKey(), tile: tileRows}
	if n == nil {
		return e, nil
	}
	if e.root, err = newChecker(s).whole(n); err != nil {
		return nil, locate(err, expr)
	}
	var b binder
	e.root.bind(&b)
	if b.paths > MaxPaths {
		return nil, locate(tooLarge(n.at, "the expression has %d different JSON paths, at most %d are allowed", b.paths, MaxPaths), expr)
	}
	e.fields, e.docs = b.fields, b.docs
	e.terms = &termSet{}
	if b.paths > 0 {
		e.tile = max(64, tileRows/4/b.paths/64*64)
	}
	return e, nil
}

// Fields returns the fields that Eval reads, each once. The caller must not change the slice.
func (e *Expr) Fields() []*schema.Field { return slices.Clip(e.fields) }

// String returns the expression in one form for all that mean the same to the parser: constants folded, templates filled in.
// Parse accepts it, and gives the same form again.
func (e *Expr) String() string { return string(e.root.append(nil)) }

// Key is String with the ids of the fields: the same for all that mean the same, whatever a change of the schema makes of the names.
func (e *Expr) Key() string {
	b := e.root.append(nil)
	for _, f := range e.fields {
		b = strconv.AppendInt(append(b, '|'), f.ID, 10)
	}
	return string(b)
}

// AlwaysTrue tells whether every row matches, whatever it holds.
func (e *Expr) AlwaysTrue() bool { return e.root == constPred(true) }

// AlwaysFalse tells whether no row can match.
func (e *Expr) AlwaysFalse() bool { return e.root == constPred(false) }

// WithSeed returns a copy whose random_sample draws by the seed: the same rows for the same seed and numbers of rows, see
// Block.Base. Parse takes a random seed.
func (e *Expr) WithSeed(seed uint64) *Expr {
	c := *e
	c.seed = seed
	return &c
}
