package engine

import (
	"context"
	"errors"

	"github.com/selkiedb/selkie/schema"
)

// AddField adds a field to the collection, which goes on being written and read. It must be nullable: entities that are there already have
// its default value, or null. The field is the last one, but may be anywhere in what is inserted.
//
// Growing segments are sealed and flushed in the background. Commit point: the catalogue edit is synced.
func (c *Collection) AddField(ctx context.Context, f *schema.Field) error {
	return wrap("add field", c.changeSchema(ctx, func(next *schema.Schema, _ *edit) (func(), error) {
		switch {
		case f == nil:
			return nil, schema.Invalid("", nil, "no field given")
		case f.ID != 0 || f.IsPrimaryKey || f.IsPartitionKey || f.IsDynamic || f.IsInsertTime:
			return nil, schema.Invalid(f.Name, nil, "an added field is no key and none of the engine's")
		case !f.IsNullable:
			return nil, schema.Invalid(f.Name, nil, "an added field must be nullable: the entities that are there have no value of it")
		}
		next.With(f.Clone())
		return nil, nil
	}))
}

// RenameField gives a field another name. Its index keeps its own name.
func (c *Collection) RenameField(ctx context.Context, from, to string) error {
	return wrap("rename field", c.changeSchema(ctx, func(next *schema.Schema, ed *edit) (func(), error) {
		f, err := changeable(next, from)
		if err != nil {
			return nil, err
		}
		if _, ok := next.Field(to); ok {
			return nil, schema.Invalid(to, nil, "two fields have this name")
		}
		f.Name = to
		for _, fn := range next.Functions {
			if fn.Input == from {
				fn.Input = to
			}
			if fn.Output == from {
				fn.Output = to
			}
		}
		if next.TTLField == from {
			next.TTLField = to
		}
		for _, x := range c.indexList() {
			if x.field.ID == f.ID {
				def := x.def
				def.Field = to
				r := indexRecord{x.id, c.id, def, x.created.UnixNano()}
				if _, err := newIndex(r, next); err != nil { // its parameters speak of the old name
					return nil, schema.Invalid(from, nil, "drop index %q first: %v", x.def.Name, err)
				}
				ed.putIndexes = append(ed.putIndexes, r)
			}
		}
		return func() {
			for _, r := range ed.putIndexes {
				if x, err := newIndex(r, next); err == nil { // it was one before
					c.setIndex(r.id, x)
				}
			}
		}, nil
	}))
}

// WidenField raises the limits of a field: that of its texts in bytes, that of its arrays in elements. 0 leaves one as it is. Lower limits are refused, as
// there may be values beyond them.
func (c *Collection) WidenField(ctx context.Context, name string, maxLength, maxCapacity int) error {
	return wrap("widen field", c.changeSchema(ctx, func(next *schema.Schema, _ *edit) (func(), error) {
		f, err := changeable(next, name)
		if err != nil {
			return nil, err
		}
		for _, l := range []struct {
			what string
			to   int
			of   *int
		}{{"max_length", maxLength, &f.MaxLength}, {"max_capacity", maxCapacity, &f.MaxCapacity}} {
			switch {
			case l.to == 0:
			case *l.of == 0:
				return nil, schema.Invalid(name, l.to, "a field of type %v has no %s", f.Type, l.what)
			case l.to < *l.of:
				return nil, schema.Invalid(name, l.to, "%s is %d and cannot be lowered", l.what, *l.of)
			default:
				*l.of = l.to
			}
		}
		return nil, nil
	}))
}

// DropField takes a field away, with its index. What it held is read no more; compactions remove it. Its name may be used again. The primary key,
// the partition key, the last vector field, and fields that a function or the time of expiry needs, stay.
func (c *Collection) DropField(ctx context.Context, name string) error {
	return wrap("drop field", c.changeSchema(ctx, func(next *schema.Schema, ed *edit) (func(), error) {
		f, err := changeable(next, name)
		if err != nil {
			return nil, err
		}
		switch {
		case f.IsPrimaryKey:
			return nil, schema.Invalid(name, nil, "the primary key cannot be dropped")
		case f.IsPartitionKey:
			return nil, schema.Invalid(name, nil, "the partition key cannot be dropped")
		case next.TTLField == name:
			return nil, schema.Invalid(name, nil, "entities expire by this field")
		}
		for _, fn := range next.Functions {
			if fn.Input == name || fn.Output == name {
				return nil, schema.Invalid(name, nil, "the field is used by a function")
			}
		}
		i := next.Index(name)
		next.Fields = append(next.Fields[:i], next.Fields[i+1:]...)
		var indexes []*index
		for _, x := range c.indexList() {
			if x.field.ID == f.ID {
				indexes = append(indexes, x)
				ed.dropIndexes = append(ed.dropIndexes, x.id)
			}
		}
		return func() {
			for _, x := range indexes {
				c.removeIndex(x)
			}
		}, nil
	}))
}

// changeable finds a field of the user's.
func changeable(s *schema.Schema, name string) (*schema.Field, error) {
	f, ok := s.Field(name)
	if !ok {
		return nil, schema.Invalid(name, nil, "no such field in collection %q", s.Name)
	}
	if f.IsDynamic || f.IsInsertTime {
		return nil, schema.Invalid(name, nil, "the field is the engine's")
	}
	return f, nil
}

// changeSchema commits a later version of the schema and has everything use it. change edits a copy, and may return what is to be done after the commit.
//
// Commit point: the catalogue edit is synced. Log records of the earlier version are read by the ids of their fields, so a crash at any moment leaves
// either version, and rows that fit it.
func (c *Collection) changeSchema(ctx context.Context, change func(next *schema.Schema, ed *edit) (func(), error)) error {
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
	next := c.Schema().Clone()
	ed := &edit{}
	then, err := change(next, ed)
	if err != nil {
		return err
	}
	next.Version++
	if next, err = finishInto(next); err != nil {
		return err
	}
	ed.putCollections = []collectionRecord{{c.id, c.Name(), next, c.created.UnixNano()}}
	if err := e.cat.commit(ed); err != nil {
		return err
	}
	e.noteCatalogue(ctx)
	c.schema.Store(next)
	for _, p := range c.all() {
		p.p.SetSchema(next)
	}
	if then != nil {
		then()
	}
	return nil
}

// finishInto finishes a schema in its place, so that whoever changed it sees the finished one.
func finishInto(s *schema.Schema) (*schema.Schema, error) {
	done, err := s.Finish()
	if err != nil {
		return nil, err
	}
	*s = *done
	return s, nil
}
