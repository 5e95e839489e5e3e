package engine

import (
	"context"
	"errors"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// UpsertPartial changes the given fields of entities and leaves the others as they are, all of them in one step. The primary key must be among the columns;
// one that is not there makes a new entity, for which the fields must be given that can neither be null nor have a default value. Keys of the dynamic field
// that are given replace those of the same name. The entities come to be in this partition, as with Upsert.
//
// If another writer changes one of them at the same time, it is read again: no change is lost. Where a collection allows duplicate keys, a key that several
// entities have is refused.
func (p *Partition) UpsertPartial(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return p.c.upsertPartial(ctx, p, columns(cols))
}

// UpsertPartialRows is UpsertPartial for rows: maps that all have the same keys, or structs that have the fields to be changed; see InsertRows.
func (p *Partition) UpsertPartialRows(ctx context.Context, rows any) (WriteResult, error) {
	return p.c.upsertPartial(ctx, p, rowsOf{rows})
}

// UpsertPartial changes entities in whichever partitions they are, where they stay, but for a changed partition key. New ones go to where Insert would put
// them. A key that several partitions hold is refused. See Partition.UpsertPartial.
func (c *Collection) UpsertPartial(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return c.upsertPartial(ctx, nil, columns(cols))
}

// UpsertPartialRows is UpsertPartial for rows; see Partition.UpsertPartialRows.
func (c *Collection) UpsertPartialRows(ctx context.Context, rows any) (WriteResult, error) {
	return c.upsertPartial(ctx, nil, rowsOf{rows})
}

func (c *Collection) upsertPartial(ctx context.Context, to *Partition, in input) (WriteResult, error) {
	r, err := c.tryUpsertPartial(ctx, to, in)
	return r, wrap(partition.KindUpsert.String(), err)
}

func (c *Collection) tryUpsertPartial(ctx context.Context, to *Partition, in input) (WriteResult, error) {
	e := c.e
	if err := c.enter(); err != nil {
		return WriteResult{}, err
	}
	defer e.leave()
	if err := ctx.Err(); err != nil {
		return WriteResult{}, err
	}
	named := to != nil
	to, err := c.target(to)
	if err != nil {
		return WriteResult{}, err
	}
	o := column.BuildOptions{Mode: column.Upsert, MaxBytes: c.batchBytes(), Partial: true}
	given, err := in.batch(c, o)
	if err != nil {
		return WriteResult{}, err
	}
	if c.Schema().PrimaryKey().IsAutoID {
		for keys, i := given.Keys(), 0; i < keys.Len(); i++ {
			e.ids.seenKey(keys.At(i))
		}
	}
	for {
		w, err := c.completed(ctx, given, to, named)
		if err != nil {
			return WriteResult{}, err
		}
		r, err := e.env.Apply(ctx, w)
		if errors.Is(err, partition.ErrSchema) {
			if err := c.schemaSettled(ctx); err != nil {
				return WriteResult{}, err
			}
			if given, err = in.batch(c, o); err != nil {
				return WriteResult{}, err
			}
			continue
		}
		gone := !named && errors.Is(err, partition.ErrDropped) && c.usable() == nil // an entity's partition, meanwhile
		if gone || errors.Is(err, partition.ErrChanged) {
			if err := ctx.Err(); err != nil {
				return WriteResult{}, err
			}
			continue
		}
		if err != nil {
			return WriteResult{}, err
		}
		e.counters.inserted.Add(int64(r.Inserted))
		e.counters.deleted.Add(int64(r.Deleted))
		return WriteResult{LSN: r.LSN, Inserted: r.Inserted, Deleted: r.Deleted, Keys: w.Keys}, nil
	}
}

// batchBytes is the limit of a batch as column.BuildOptions has it.
func (c *Collection) batchBytes() int64 {
	if c.e.opts.BatchBytes == 0 {
		return -1
	}
	return c.e.opts.BatchBytes
}

// completed makes a whole upsert of a partial batch and of what is there now.
func (c *Collection) completed(ctx context.Context, given *column.Batch, to *Partition, named bool) (*partition.Write, error) {
	s, err := c.acquire(nil)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	keys := given.Keys()
	refs, seen, err := s.Look(ctx, keys)
	if err != nil {
		return nil, err
	}
	from, rows, err := c.pickOld(s, keys, refs, to, named)
	if err != nil {
		return nil, err
	}
	cols, err := s.Fetch(ctx, given.Missing(), rows)
	if err != nil {
		return nil, err
	}
	old := make([]column.Data, len(cols))
	for i, col := range cols {
		old[i] = col.Data()
	}
	whole, err := given.Complete(old, from, column.BuildOptions{MaxBytes: c.batchBytes(), Now: c.e.opts.Now})
	if err != nil {
		return nil, err
	}
	w := &partition.Write{Kind: partition.KindUpsert, Collection: c.id, Keys: keys, Scope: c.allInner(), Seen: seen}
	switch {
	case c.keyed():
		w.Parts, err = c.split(whole)
	case named:
		w.Parts = []partition.Part{{Partition: to.p, Batch: whole}}
	default:
		w.Parts = splitByHome(s, whole, from, rows, to.p)
	}
	return w, err
}

// pickOld chooses the row that stands for each key so far: rows lists them, and from has a place in it for each key, or -1.
func (c *Collection) pickOld(s *partition.Snapshot, keys column.Keys, refs [][]segment.RowRef, to *Partition, named bool) (from []int, rows []segment.RowRef, err error) {
	from = make([]int, keys.Len())
	for i, list := range refs {
		from[i] = -1
		if len(list) == 0 {
			continue
		}
		old := list[0]
		if len(list) > 1 {
			if c.Schema().AllowDuplicateKeys {
				return nil, nil, schema.InvalidRow(c.Schema().PrimaryKey().Name, i, keys.At(i).String(), "%d entities have the primary key: which one to change is not known", len(list))
			}
			if !named {
				return nil, nil, schema.InvalidRow(c.Schema().PrimaryKey().Name, i, keys.At(i).String(), "%d partitions hold the primary key: name one", len(list))
			}
			for _, r := range list {
				if s.PartitionOf(r) == to.p {
					old = r
				}
			}
		}
		from[i] = len(rows)
		rows = append(rows, old)
	}
	return from, rows, nil
}

// splitByHome leaves the entities in their partitions, and puts new ones into another.
func splitByHome(s *partition.Snapshot, b *column.Batch, from []int, rows []segment.RowRef, fresh *partition.Partition) []partition.Part {
	var homes []*partition.Partition
	lists := map[*partition.Partition][]uint32{}
	for i, at := range from {
		home := fresh
		if at >= 0 {
			home = s.PartitionOf(rows[at])
		}
		if lists[home] == nil {
			homes = append(homes, home)
		}
		lists[home] = append(lists[home], uint32(i))
	}
	if len(homes) == 1 {
		return []partition.Part{{Partition: homes[0], Batch: b}}
	}
	parts := make([]partition.Part, len(homes))
	for i, home := range homes {
		parts[i] = partition.Part{Partition: home, Batch: b.Pick(lists[home])}
	}
	return parts
}
