package migrate

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
)

// cursor reads a partition in the order of its primary keys, batch by batch.
type cursor struct {
	client                        milvuspb.MilvusServiceClient
	db, collection, part, primary string
	str                           bool // the key is a VarChar
	batch                         int
	last                          *key // nil: nothing was read
	rows                          *table
	next                          int
	end                           bool
}

// fill reads the next batch once the one at hand is used up. It tells whether there is a row.
func (c *cursor) fill(ctx context.Context) (bool, error) {
	if c.rows != nil && c.next < len(c.rows.keys) {
		return true, nil
	}
	if c.end {
		return false, nil
	}
	r := &milvuspb.QueryRequest{
		DbName: c.db, CollectionName: c.collection, OutputFields: []string{"*"}, ConsistencyLevel: commonpb.ConsistencyLevel_Strong,
		// With reduce_stop_for_best a Milvus server answers the first rows in the order of the keys.
		QueryParams: []*commonpb.KeyValuePair{{Key: "limit", Value: strconv.Itoa(c.batch)}, {Key: "reduce_stop_for_best", Value: "true"}},
	}
	if c.part != "" {
		r.PartitionNames = []string{c.part}
	}
	if c.last != nil {
		r.Expr = c.primary + " > {last}"
		v := &schemapb.TemplateValue{Val: &schemapb.TemplateValue_Int64Val{Int64Val: c.last.n}}
		if c.str {
			v = &schemapb.TemplateValue{Val: &schemapb.TemplateValue_StringVal{StringVal: c.last.s}}
		}
		r.ExprTemplateValues = map[string]*schemapb.TemplateValue{"last": v}
	}
	a, err := c.client.Query(ctx, r)
	if err := check(a.GetStatus(), err); err != nil {
		return false, err
	}
	if c.rows, err = newTable(a.GetFieldsData(), c.primary); err != nil {
		return false, err
	}
	c.next = 0
	n := len(c.rows.keys)
	c.end = n < c.batch
	if n == 0 {
		return false, nil
	}
	for i := 1; i < n; i++ {
		if c.rows.keys[i-1].compare(c.rows.keys[i]) > 0 {
			return false, fmt.Errorf("rows do not come in the order of their keys: %v before %v", c.rows.keys[i-1], c.rows.keys[i])
		}
	}
	c.last = &c.rows.keys[n-1]
	return true, nil
}

// keyField is the primary key of a collection.
type keyField struct {
	name string
	str  bool
}

func (c *cursor) key() key { return c.rows.keys[c.next] }

// partition makes a partition of the target like the source's, from where an earlier pass was ended.
//
//  1. Compare the next rows of both sides by key, and note what to upsert and to delete.
//  2. When a batch of the source is used up, write what was noted, and then the position.
//  3. At the end of the source delete what the target has left.
func (p *pass) partition(ctx context.Context, collection, part string, primary keyField, total int64) error {
	id := collection + "/" + part
	at, resumed := p.places[id]
	if at.Done {
		return nil
	}
	src := &cursor{client: p.from, db: p.o.Database, collection: collection, part: part, primary: primary.name, str: primary.str, batch: p.o.Batch}
	dst := &cursor{client: p.to, db: p.o.Database, collection: collection, part: part, primary: primary.name, str: primary.str, batch: p.o.Batch}
	if resumed {
		k := key{at.Int, at.Str}
		src.last, dst.last = &k, &k
	}
	if p.started.IsZero() {
		p.started = time.Now()
	}
	var put []int // rows of src.rows
	var gone []key
	write := func() error {
		if err := p.upsert(ctx, collection, part, src.rows, put); err != nil {
			return fmt.Errorf("upsert: %w", err)
		}
		if err := p.delete(ctx, collection, part, primary, gone); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
		put, gone = put[:0], gone[:0]
		return nil
	}
	for {
		if src.rows != nil && src.next == len(src.rows.keys) {
			if err := write(); err != nil {
				return err
			}
			if src.last != nil {
				at.Int, at.Str = src.last.n, src.last.s
				if err := p.keep(id, at); err != nil {
					return err
				}
			}
			src.rows = nil
			if p.o.Progress != nil {
				p.o.Progress(Progress{collection, part, at.Read, total})
			}
		}
		more, err := src.fill(ctx)
		if err != nil {
			return fmt.Errorf("read the source: %w", err)
		}
		there, err := dst.fill(ctx)
		if err != nil {
			return fmt.Errorf("read the target: %w", err)
		}
		if !more && !there {
			break
		}
		order := -1
		switch {
		case !more:
			order = 1
		case there:
			order = src.key().compare(dst.key())
		}
		if order > 0 {
			gone = append(gone, dst.key())
			dst.next++
			if len(gone) >= p.o.Batch {
				if err := p.delete(ctx, collection, part, primary, gone); err != nil {
					return fmt.Errorf("delete: %w", err)
				}
				gone = gone[:0]
			}
			continue
		}
		// Of equal keys the first is taken.
		if order < 0 || !src.rows.same(src.next, dst.rows, dst.next) {
			put = append(put, src.next)
		}
		k := src.key()
		for src.next < len(src.rows.keys) && src.key() == k {
			src.next++
			at.Read++
			p.report.Read++
		}
		for order == 0 && dst.next < len(dst.rows.keys) && dst.key() == k {
			dst.next++
		}
	}
	if err := p.delete(ctx, collection, part, primary, gone); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	at.Done = true
	return p.keep(id, at)
}

func (p *pass) upsert(ctx context.Context, collection, part string, rows *table, put []int) error {
	p.report.Upserted += int64(len(put))
	if len(put) == 0 || p.o.Verify {
		return nil
	}
	a, err := p.to.Upsert(ctx, &milvuspb.UpsertRequest{
		DbName: p.o.Database, CollectionName: collection, PartitionName: part, FieldsData: rows.pick(put), NumRows: uint32(len(put)),
	})
	if err := check(a.GetStatus(), err); err != nil {
		return err
	}
	return p.slow(ctx, len(put))
}

func (p *pass) delete(ctx context.Context, collection, part string, primary keyField, gone []key) error {
	p.report.Deleted += int64(len(gone))
	if len(gone) == 0 || p.o.Verify {
		return nil
	}
	list := &schemapb.TemplateArrayValue{}
	ints, strs := &schemapb.LongArray{}, &schemapb.StringArray{}
	for _, k := range gone {
		ints.Data, strs.Data = append(ints.Data, k.n), append(strs.Data, k.s)
	}
	list.Data = &schemapb.TemplateArrayValue_LongData{LongData: ints}
	if primary.str {
		list.Data = &schemapb.TemplateArrayValue_StringData{StringData: strs}
	}
	a, err := p.to.Delete(ctx, &milvuspb.DeleteRequest{
		DbName: p.o.Database, CollectionName: collection, PartitionName: part, Expr: primary.name + " in {keys}",
		ExprTemplateValues: map[string]*schemapb.TemplateValue{"keys": {Val: &schemapb.TemplateValue_ArrayVal{ArrayVal: list}}},
	})
	if err := check(a.GetStatus(), err); err != nil {
		return err
	}
	return p.slow(ctx, len(gone))
}

// slow waits until what was written is no more than the rate allows.
func (p *pass) slow(ctx context.Context, rows int) error {
	p.written += int64(rows)
	if p.o.Rate <= 0 {
		return nil
	}
	due := p.started.Add(time.Duration(float64(p.written) / float64(p.o.Rate) * float64(time.Second)))
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
