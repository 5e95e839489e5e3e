package filter

import (
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// Keys returns the primary keys that a matching row can have, ascending and each once, if the expression names them: by
// `id == 5`, `id in [...]`, and these joined with anything by and, or among each other by or. ok is false if it does not.
func (e *Expr) Keys() (keys column.Keys, ok bool) {
	if e.key == nil {
		return column.Keys{}, false
	}
	var vs []value
	if vs, ok = keysOf(e.root, e.key); !ok {
		return column.Keys{}, false
	}
	if e.key.Type == schema.TypeVarChar {
		ids := make([]string, len(vs))
		for i, v := range vs {
			ids[i] = v.str
		}
		return column.StringKeys(ids...), true
	}
	ids := make([]int64, len(vs))
	for i, v := range vs {
		ids[i] = v.int()
	}
	return column.IntKeys(ids...), true
}

// OnlyKeys tells whether the expression does nothing but name primary keys, so that a row matches exactly if its key is among
// Keys.
func (e *Expr) OnlyKeys() bool { return e.key != nil && onlyKeys(e.root, e.key) }

// keysOf returns the keys that p leaves, sorted.
func keysOf(p pred, key *schema.Field) ([]value, bool) {
	switch p := p.(type) {
	case *within:
		if c, ok := p.x.(*columnOp); ok && c.field == key && p.iv.isPoint() && !p.iv.not {
			return []value{p.iv.lo}, true
		}
	case *member:
		if c, ok := p.x.(*columnOp); ok && c.field == key {
			return slices.CompactFunc(slices.Clone(p.sorted), equalValues), true
		}
	case *logic:
		return keysOfLogic(p, key)
	}
	return nil, false
}

// keysOfLogic intersects what the sides of and leave, and unites what those of or do.
func keysOfLogic(l *logic, key *schema.Field) (keys []value, ok bool) {
	for _, a := range l.args {
		vs, found := keysOf(a, key)
		switch {
		case !found && l.and:
			continue
		case !found:
			return nil, false
		case !ok:
			keys, ok = vs, true
		case l.and:
			keys = intersect(keys, vs)
		default:
			keys = append(keys, vs...)
		}
	}
	if ok && !l.and {
		slices.SortFunc(keys, orderOf)
		keys = slices.CompactFunc(keys, equalValues)
	}
	return keys, ok
}

func intersect(a, b []value) []value {
	both := a[:0]
	for _, v := range a {
		if _, found := slices.BinarySearchFunc(b, v, orderOf); found {
			both = append(both, v)
		}
	}
	return both
}

func onlyKeys(p pred, key *schema.Field) bool {
	if l, ok := p.(*logic); ok {
		for _, a := range l.args {
			if !onlyKeys(a, key) {
				return false
			}
		}
		return true
	}
	_, ok := keysOf(p, key)
	return ok
}
