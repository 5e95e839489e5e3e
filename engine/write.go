package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
)

// WriteResult tells what a write did. When a call returns one without an error, the write is durable and every later read sees it.
type WriteResult struct {
	LSN      uint64 // its place in the commit order
	Inserted int    // rows added
	Deleted  int    // rows that were there and are not any more
	Keys     column.Keys
}

// Insert adds entities given as columns, all of them or none. A column's flat slice is read, not kept.
//
// It refuses the whole batch with an error that wraps ErrInvalid and names field, row, value and bound, and with a *DuplicateKeyError
// if the partition holds a primary key already, unless the schema allows duplicates.
func (p *Partition) Insert(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return p.c.write(ctx, partition.KindInsert, p, columns(cols))
}

// InsertRows adds entities given as rows: a slice of structs, of pointers to structs (fields named by `milvus:"…"` tags), or of
// map[string]any. See Insert.
func (p *Partition) InsertRows(ctx context.Context, rows any) (WriteResult, error) {
	return p.c.write(ctx, partition.KindInsert, p, rowsOf{rows})
}

// Upsert adds entities and removes those with the same primary keys, in whichever partition of the collection they are, in one step.
// Keys must be given, also where an insert generates them.
func (p *Partition) Upsert(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return p.c.write(ctx, partition.KindUpsert, p, columns(cols))
}

// UpsertRows is Upsert for rows; see InsertRows.
func (p *Partition) UpsertRows(ctx context.Context, rows any) (WriteResult, error) {
	return p.c.write(ctx, partition.KindUpsert, p, rowsOf{rows})
}

// Delete removes the entities of the partition with the given primary keys. Keys that are not there are no error;
// Deleted counts those that were.
func (p *Partition) Delete(ctx context.Context, keys column.Keys) (WriteResult, error) {
	return p.c.deleteKeys(ctx, keys, p)
}

// Insert adds entities to DefaultPartition, or to the hidden partitions that their partition keys say. See Partition.Insert; with
// a partition key, a primary key must be new to the whole collection.
func (c *Collection) Insert(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return c.write(ctx, partition.KindInsert, nil, columns(cols))
}

// InsertRows is Insert for rows; see Partition.InsertRows.
func (c *Collection) InsertRows(ctx context.Context, rows any) (WriteResult, error) {
	return c.write(ctx, partition.KindInsert, nil, rowsOf{rows})
}

// Upsert adds entities and removes those with the same primary keys in the whole collection; see Partition.Upsert.
func (c *Collection) Upsert(ctx context.Context, cols ...*column.Column) (WriteResult, error) {
	return c.write(ctx, partition.KindUpsert, nil, columns(cols))
}

// UpsertRows is Upsert for rows; see Partition.InsertRows.
func (c *Collection) UpsertRows(ctx context.Context, rows any) (WriteResult, error) {
	return c.write(ctx, partition.KindUpsert, nil, rowsOf{rows})
}

// Delete removes the entities with the given primary keys from all partitions; see Partition.Delete.
func (c *Collection) Delete(ctx context.Context, keys column.Keys) (WriteResult, error) {
	return c.deleteKeys(ctx, keys, nil)
}

// input is what a caller gives to write.
type input interface {
	batch(c *Collection, o column.BuildOptions) (*column.Batch, error)
}

type columns []*column.Column

func (in columns) batch(c *Collection, o column.BuildOptions) (*column.Batch, error) {
	return column.Build(c.Schema(), in, o)
}

type rowsOf struct{ rows any }

func (in rowsOf) batch(c *Collection, o column.BuildOptions) (*column.Batch, error) {
	return column.BuildRows(c.Schema(), in.rows, o)
}

func (c *Collection) write(ctx context.Context, kind partition.Kind, to *Partition, in input) (WriteResult, error) {
	r, err := c.tryWrite(ctx, kind, to, in)
	if err == nil {
		c.e.diskFound()
	} else {
		c.e.diskFull("write", err)
	}
	return r, wrap(kind.String(), err)
}

func (c *Collection) tryWrite(ctx context.Context, kind partition.Kind, to *Partition, in input) (WriteResult, error) {
	e := c.e
	if err := c.enter(); err != nil {
		return WriteResult{}, err
	}
	defer e.leave()
	if err := ctx.Err(); err != nil {
		return WriteResult{}, err
	}
	to, err := c.target(to)
	if err != nil {
		return WriteResult{}, err
	}
	o := column.BuildOptions{Mode: column.Insert, AutoID: e.ids.next, MaxBytes: e.opts.BatchBytes, Now: e.opts.Now}
	if kind == partition.KindUpsert {
		o.Mode = column.Upsert
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = -1
	}
	for {
		r, err := c.writeBatch(ctx, kind, to, in, o)
		if !errors.Is(err, partition.ErrSchema) {
			return r, err
		}
		if err := c.schemaSettled(ctx); err != nil {
			return WriteResult{}, err
		}
	}
}

// schemaSettled waits for a change of the schema that is under way.
func (c *Collection) schemaSettled(ctx context.Context) error {
	c.e.ddl.Lock()
	defer c.e.ddl.Unlock()
	return errors.Join(ctx.Err(), c.usable())
}

// writeBatch checks a batch against the schema of the moment and writes it.
func (c *Collection) writeBatch(ctx context.Context, kind partition.Kind, to *Partition, in input, o column.BuildOptions) (WriteResult, error) {
	e := c.e
	b, err := in.batch(c, o)
	if err != nil {
		return WriteResult{}, err
	}
	w := &partition.Write{Kind: kind, Collection: c.id, Keys: b.Keys(), AllowDuplicates: c.Schema().AllowDuplicateKeys}
	if c.Schema().PrimaryKey().IsAutoID && kind == partition.KindUpsert {
		for i := range w.Keys.Len() {
			e.ids.seenKey(w.Keys.At(i))
		}
	}
	switch {
	case to != nil:
		w.Parts = []partition.Part{{Partition: to.p, Batch: b}}
		w.Scope = []*partition.Partition{to.p}
	default:
		if w.Parts, err = c.split(b); err != nil {
			return WriteResult{}, err
		}
		w.Scope = c.allInner()
	}
	if kind == partition.KindUpsert {
		w.Scope = c.allInner()
	}
	r, err := e.env.Apply(ctx, w)
	if err != nil {
		return WriteResult{}, err
	}
	e.counters.inserted.Add(int64(r.Inserted))
	e.counters.deleted.Add(int64(r.Deleted))
	return WriteResult{LSN: r.LSN, Inserted: r.Inserted, Deleted: r.Deleted, Keys: w.Keys}, nil
}

// target is the partition that a write goes to; nil if the partition key says it row by row.
func (c *Collection) target(to *Partition) (*Partition, error) {
	if c.keyed() {
		if to != nil {
			return nil, errKeyed(to.Name())
		}
		return nil, c.usable()
	}
	if to == nil {
		return c.Partition(DefaultPartition)
	}
	return to, to.usable()
}

// split routes the rows of a batch to the hidden partitions by the hash of their partition keys, which is on disk and never changes.
func (c *Collection) split(b *column.Batch) ([]partition.Part, error) {
	f := c.Schema().PartitionKey()
	keys := column.KeysOf(f, b.Cols[c.Schema().Index(f.Name)])
	c.mu.RLock()
	hidden := c.hidden
	c.mu.RUnlock()
	if len(hidden) == 0 {
		return nil, fmt.Errorf("collection %q %w", c.Name(), ErrNotFound)
	}
	rows := make([][]uint32, len(hidden))
	for i := range keys.Len() {
		h := keys.Hash(i) % uint64(len(hidden))
		rows[h] = append(rows[h], uint32(i))
	}
	var parts []partition.Part
	for i, r := range rows {
		switch len(r) {
		case 0:
		case b.Rows:
			parts = append(parts, partition.Part{Partition: hidden[i].p, Batch: b})
		default:
			parts = append(parts, partition.Part{Partition: hidden[i].p, Batch: b.Pick(r)})
		}
	}
	return parts, nil
}

func (c *Collection) deleteKeys(ctx context.Context, keys column.Keys, from *Partition) (WriteResult, error) {
	r, err := c.tryDelete(ctx, keys, from)
	return r, wrap("delete", err)
}

func (c *Collection) tryDelete(ctx context.Context, keys column.Keys, from *Partition) (WriteResult, error) {
	e := c.e
	if err := c.enter(); err != nil {
		return WriteResult{}, err
	}
	defer e.leave()
	if err := ctx.Err(); err != nil {
		return WriteResult{}, err
	}
	if err := c.usable(); err != nil {
		return WriteResult{}, err
	}
	if err := c.checkKeys(keys); err != nil {
		return WriteResult{}, err
	}
	w := &partition.Write{Kind: partition.KindDelete, Collection: c.id, Keys: keys}
	if from == nil {
		w.Scope, w.Everywhere = c.allInner(), true
	} else {
		if _, err := c.target(from); err != nil {
			return WriteResult{}, err
		}
		w.Scope = []*partition.Partition{from.p}
	}
	r, err := e.env.Apply(ctx, w)
	if err != nil {
		return WriteResult{}, err
	}
	e.counters.deleted.Add(int64(r.Deleted))
	return WriteResult{LSN: r.LSN, Deleted: r.Deleted}, nil
}
