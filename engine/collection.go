package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// DefaultPartition is the partition that every collection has.
const DefaultPartition = "_default"

// Collection is a set of entities of one schema, divided into partitions. A handle stays good when the collection is renamed, and
// answers ErrNotFound once it is dropped.
type Collection struct {
	e       *Engine
	id      uint64
	schema  atomic.Pointer[schema.Schema] // of the moment
	created time.Time
	fixed   *Snapshot      // of the collection that a Snapshot reads: where its rows come from
	frozen  *StoreSnapshot // whose collection it is; nil for that of the moment

	mu      sync.RWMutex // guards what follows; nothing is locked under it, but by Close, which is alone by then
	name    string
	parts   map[string]*Partition
	hidden  []*Partition // by bucket, if rows go to partitions by the partition key
	dropped bool
	indexes map[uint64]*index        // never changed, but replaced
	metrics map[string]vector.Metric // of the indexes, by field; likewise
}

func newCollection(e *Engine, r collectionRecord) *Collection {
	c := &Collection{e: e, id: r.id, created: time.Unix(0, r.created), name: r.name, parts: map[string]*Partition{}}
	c.schema.Store(r.schema)
	return c
}

// add puts a partition into the collection.
func (c *Collection) add(r partitionRecord, p *partition.Partition) *Partition {
	defer c.limitRows()
	c.mu.Lock()
	defer c.mu.Unlock()
	part := &Partition{c: c, p: p, name: r.name, hidden: r.hidden}
	c.parts[r.name] = part
	if r.hidden {
		c.hidden = append(c.hidden, part)
		slices.SortFunc(c.hidden, func(a, b *Partition) int { return int(int64(a.p.ID()) - int64(b.p.ID())) })
	}
	return part
}

// all lists the collection's partitions in the order they were made.
func (c *Collection) all() []*Partition {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]*Partition, 0, len(c.parts))
	for _, p := range c.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *Partition) int { return int(int64(a.p.ID()) - int64(b.p.ID())) })
	return out
}

func (c *Collection) allInner() []*partition.Partition { return inner(c.all()) }

func inner(parts []*Partition) []*partition.Partition {
	out := make([]*partition.Partition, len(parts))
	for i, p := range parts {
		out[i] = p.p
	}
	return out
}

// inner finds a partition by its number.
func (c *Collection) inner(id uint64) *partition.Partition {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, p := range c.parts {
		if p.p.ID() == id {
			return p.p
		}
	}
	return nil
}

func (c *Collection) nameOf(id uint64) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, p := range c.parts {
		if p.p.ID() == id {
			return name, true
		}
	}
	return "", false
}

func (c *Collection) closePartitions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.p.Close()
	}
}

// usable answers why the collection cannot be used, or nil.
func (c *Collection) usable() error {
	if err := c.e.usable(); err != nil {
		return err
	}
	if c.frozen != nil {
		return c.frozen.usable()
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.dropped {
		return fmt.Errorf("collection %q %w", c.name, ErrNotFound)
	}
	return nil
}

// enter begins a call that changes something. c.e.leave ends it.
func (c *Collection) enter() error {
	if c.frozen != nil {
		return fmt.Errorf("snapshot %q: %w", c.frozen.name, ErrReadOnly)
	}
	return c.e.enter()
}

// Name is the collection's name of the moment.
func (c *Collection) Name() string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.name
}

// Schema is the collection's schema of the moment. It must not be changed: see AddField, RenameField and DropField.
func (c *Collection) Schema() *schema.Schema { return c.schema.Load() }

// Created is when the collection was made.
func (c *Collection) Created() time.Time { return c.created }

// keyed reports whether rows go to hidden partitions by the partition key.
func (c *Collection) keyed() bool { return c.Schema().PartitionKey() != nil }

func errKeyed(what string) error {
	return schema.Invalid("", what, "the collection has a partition key: partitions are not named by hand")
}

// Partition returns a partition by name.
func (c *Collection) Partition(name string) (*Partition, error) {
	if err := c.usable(); err != nil {
		return nil, err
	}
	if c.keyed() {
		return nil, errKeyed(name)
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	p, ok := c.parts[strings.TrimSpace(name)]
	if !ok {
		return nil, fmt.Errorf("partition %q of collection %q %w", name, c.name, ErrNotFound)
	}
	return p, nil
}

// HasPartition reports whether the collection has a partition of the name.
func (c *Collection) HasPartition(name string) bool {
	_, err := c.Partition(name)
	return err == nil
}

// Partitions lists the collection's partitions in the order they were made; with a partition key there is none to be named.
func (c *Collection) Partitions() []*Partition {
	if c.keyed() || c.usable() != nil {
		return nil
	}
	return c.all()
}

// some resolves names of partitions; none means all, which is nil.
func (c *Collection) some(names []string) ([]*Partition, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var out []*Partition
	for _, n := range names {
		p, err := c.Partition(n)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// Flush flushes every partition of the collection; see Partition.Flush. The receipts are summed. Each partition is flushed as a whole or
// not at all; if some were not, the error is a *PartialFlushError and the receipt tells of the others.
func (c *Collection) Flush(ctx context.Context) (FlushReceipt, error) {
	if err := c.usable(); err != nil {
		return FlushReceipt{}, wrap("flush", err)
	}
	start := c.e.opts.Now()
	parts := c.all()
	receipts, errs := make([]FlushReceipt, len(parts)), make([]error, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() { receipts[i], errs[i] = p.Flush(ctx) })
	}
	wg.Wait()
	var sum FlushReceipt
	var first error
	for i, r := range receipts {
		sum.Segments = append(sum.Segments, r.Segments...)
		sum.Rows += r.Rows
		sum.Bytes += r.Bytes
		sum.Tombstones += r.Tombstones
		if errors.Is(errs[i], ErrNotFound) { // it was dropped meanwhile
			if errs[i] = c.usable(); errs[i] == nil {
				continue
			}
		}
		if errs[i] != nil && first == nil {
			first = &PartialFlushError{Partition: parts[i].Name(), Err: errs[i]}
		}
	}
	slices.Sort(sum.Segments)
	sum.Duration = c.e.opts.Now().Sub(start)
	return sum, first
}

// NumEntities is the number of live entities in sealed segments; see Partition.NumEntities.
func (c *Collection) NumEntities() int64 {
	var n int64
	for _, p := range c.all() {
		n += p.NumEntities()
	}
	return n
}

// Count is the number of live entities that a reader sees now, growing or sealed.
func (c *Collection) Count(ctx context.Context) (int64, error) {
	return c.e.count(ctx, c, nil)
}

// Stats sums the counts of the collection's partitions.
func (c *Collection) Stats() Stats {
	var s Stats
	for _, p := range c.all() {
		s = s.Add(p.Stats())
	}
	return s
}

// Segments lists the segments of all partitions.
func (c *Collection) Segments() []SegmentInfo {
	var out []SegmentInfo
	for _, p := range c.all() {
		out = append(out, p.Segments()...)
	}
	return out
}

// keysOf checks primary keys given by a caller against the schema.
func (c *Collection) checkKeys(k column.Keys) error {
	pk := c.Schema().PrimaryKey()
	if k.Len() == 0 {
		return schema.Invalid(pk.Name, nil, "no primary key given")
	}
	if k.Str != (pk.Type == schema.TypeVarChar) {
		return schema.Invalid(pk.Name, k.At(0), "the primary key is of type %v", pk.Type)
	}
	return nil
}
