package engine_test

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
)

// The batches of an iterator are the entities of one instant in the order of their keys, whatever is written meanwhile.
func TestQueryIterator(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	d := newRankData(t, rng, false)
	var want []int64
	for id, r := range d.rows {
		if r.age >= 30 {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	for _, c := range []struct{ batch, limit, offset int }{{0, 0, 0}, {1, 20, 3}, {7, 0, 5}, {100, 150, 0}, {64, 0, 100_000}, {16384, 0, 0}} {
		req := query.Where("age >= 30").Limit(c.limit).Offset(c.offset).Output("label")
		it, err := d.c.QueryIterator(ctx, req, c.batch)
		require.NoError(t, err)
		left := want[min(c.offset, len(want)):]
		if c.limit > 0 {
			left = left[:min(c.limit, len(left))]
		}
		size := c.batch
		if size == 0 {
			size = engine.DefaultBatch
		}
		for {
			rows, err := it.Next(ctx)
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			require.Equal(t, min(size, len(left)), rows.Len())
			for i, row := range rows.All() {
				require.Equal(t, left[i], row.Int64("id"))
				require.Equal(t, d.rows[left[i]].label, row.String("label"))
			}
			left = left[rows.Len():]
			if len(left) > 0 && c.limit == 0 && c.batch == 7 { // the rest goes, and is still given
				_, err := d.c.Delete(ctx, column.IntKeys(left[0]))
				require.NoError(t, err)
				_, err = d.c.Flush(ctx)
				require.NoError(t, err)
			}
		}
		require.Empty(t, left)
		it.Close()
		it.Close()
		if c.limit == 0 && c.batch == 7 {
			n, err := d.c.CountWhere(ctx, query.Where("age >= 30"))
			require.NoError(t, err)
			require.Less(t, int(n), len(want))
			want = nil
			for row, err := range d.c.Iterate(ctx, query.Where("age >= 30")) {
				require.NoError(t, err)
				want = append(want, row.Int64("id"))
			}
		}
	}
	it, err := d.c.QueryIterator(ctx, query.All(), 3)
	require.NoError(t, err)
	it.Close()
	_, err = it.Next(ctx)
	require.Equal(t, io.EOF, err, "after Close")
	ended, cancel := context.WithCancel(ctx)
	it, err = d.c.QueryIterator(ctx, query.All(), 3)
	require.NoError(t, err)
	cancel()
	_, err = it.Next(ended)
	require.ErrorIs(t, err, context.Canceled)
	_, again := it.Next(ctx)
	require.Equal(t, err, again, "an error ends it")
	it.Close()
}

func TestDeleteAll(t *testing.T) {
	ctx := context.Background()
	d := newRankData(t, seeded(t), false)
	_, err := d.c.DeleteWhere(ctx, query.Where(""))
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, "query.All()")
	_, err = d.c.DeleteWhere(ctx, query.Where("1 == 1"))
	require.ErrorIs(t, err, engine.ErrInvalid)
	res, err := d.c.DeleteWhere(ctx, query.All())
	require.NoError(t, err)
	require.Equal(t, len(d.rows), res.Deleted)
	n, err := d.c.Count(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
}
