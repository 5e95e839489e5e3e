package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// entity is a row as the model of partial updates keeps it.
type entity struct {
	note  string // "" is null
	n     int64
	v     float32 // of the vector {v, 1}
	extra map[string]any
	part  string
}

func entitySchema() *schema.Schema {
	return schema.New("c").EnableDynamicField().WithShards(2).With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("note", 30).Nullable(), schema.Int64("n").Default(7), schema.FloatVector("v", 2))
}

func checkEntities(t *testing.T, c *engine.Collection, model map[int64]*entity) {
	t.Helper()
	ctx := context.Background()
	seen := 0
	for _, part := range c.Partitions() {
		for row, err := range part.All(ctx, "*") {
			require.NoError(t, err)
			seen++
			e := model[row.Int64("id")]
			require.NotNil(t, e, "id %d", row.Int64("id"))
			require.Equal(t, e.part, part.Name(), "id %d", row.Int64("id"))
			require.Equal(t, e.note, row.String("note"))
			require.Equal(t, e.n, row.Int64("n"))
			require.Equal(t, []float32{e.v, 1}, row.FloatVector("v"))
			got := map[string]any{}
			if raw := row.JSON(schema.MetaName); raw != nil {
				require.NoError(t, json.Unmarshal(raw, &got))
			}
			require.Equal(t, len(e.extra), len(got), "%s", row.JSON(schema.MetaName))
			for k, v := range e.extra {
				require.EqualValues(t, v, got[k])
			}
		}
	}
	require.Equal(t, len(model), seen)
}

// Random partial updates against a model, over growing and sealed segments and a reopening.
func TestUpsertPartial(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	fs := vfs.NewMem()
	open := func() (*engine.Engine, *engine.Collection) {
		eng, err := engine.Open("db", &engine.Options{FS: fs})
		require.NoError(t, err)
		c, err := eng.Collection("c")
		if err != nil {
			c, err = eng.CreateCollection(ctx, entitySchema())
			require.NoError(t, err)
			_, err = c.CreatePartition(ctx, "other")
		}
		require.NoError(t, err)
		return eng, c
	}
	eng, c := open()
	model := map[int64]*entity{}
	for step := range 120 {
		named := []string{"", engine.DefaultPartition, "other"}[rng.IntN(3)]
		fields := rng.IntN(16)
		var rows []map[string]any
		whole := true
		for _, id := range rng.Perm(25)[:1+rng.IntN(6)] {
			row := map[string]any{"id": id}
			if fields&1 != 0 {
				if row["note"] = fmt.Sprint("note ", rng.IntN(100)); rng.IntN(4) == 0 {
					row["note"] = nil
				}
			}
			if fields&2 != 0 {
				row["n"] = rng.Int64N(100)
			}
			if fields&4 != 0 {
				row["v"] = []float32{float32(rng.IntN(100)), 1}
			}
			if fields&8 != 0 && rng.IntN(3) > 0 {
				row[fmt.Sprint("extra", rng.IntN(3))] = float64(rng.IntN(10))
			}
			whole = whole && (model[int64(id)] != nil || fields&4 != 0)
			rows = append(rows, row)
		}
		var err error
		if named == "" {
			_, err = c.UpsertPartialRows(ctx, rows)
		} else {
			p, perr := c.Partition(named)
			require.NoError(t, perr)
			_, err = p.UpsertPartialRows(ctx, rows)
		}
		if !whole {
			require.ErrorIs(t, err, engine.ErrInvalid)
			require.ErrorContains(t, err, `field "v"`)
			require.ErrorContains(t, err, "there is no entity with primary key")
			continue
		}
		require.NoError(t, err)
		for _, row := range rows {
			id := int64(row["id"].(int))
			e := model[id]
			if e == nil {
				e = &entity{n: 7, extra: map[string]any{}, part: engine.DefaultPartition}
				model[id] = e
			}
			if named != "" {
				e.part = named
			}
			for k, v := range row {
				switch k {
				case "id":
				case "note":
					e.note, _ = v.(string)
				case "n":
					e.n = v.(int64)
				case "v":
					e.v = v.([]float32)[0]
				default:
					e.extra[k] = v
				}
			}
		}
		switch step % 12 {
		case 5:
			_, err := c.Flush(ctx)
			require.NoError(t, err)
		case 11:
			require.NoError(t, eng.Close())
			eng, c = open()
		}
		if step%4 == 0 {
			checkEntities(t, c, model)
		}
	}
	checkEntities(t, c, model)
	require.NoError(t, eng.Close())
}

// Counters raised by many goroutines, each reading what it changes: a partial update of another field in between loses nothing.
func TestUpsertPartialLosesNothing(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{SegmentRows: 40})
	c, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("a").Default(0), schema.Int64("b").Default(0), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	_, err = c.Insert(ctx, column.Int64("id", []int64{1, 2}), column.FloatVector("v", 2, [][]float32{{1, 2}, {3, 4}}))
	require.NoError(t, err)
	const rounds = 100
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, field := range []string{"a", "b"} {
		wg.Go(func() {
			for n := range int64(rounds) {
				if _, err := c.UpsertPartial(ctx, column.Int64("id", []int64{1, 2}), column.Int64(field, []int64{n + 1, -n})); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, []error{nil, nil}, errs)
	rows, err := c.Get(ctx, column.IntKeys(1, 2), "*")
	require.NoError(t, err)
	require.Equal(t, 2, rows.Len())
	for i, want := range []int64{rounds, 1 - rounds} {
		require.Equal(t, want, rows.At(i).Int64("a"))
		require.Equal(t, want, rows.At(i).Int64("b"), "neither field's last change is lost")
	}
}

func TestUpsertPartialRefuses(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	c, err := eng.CreateCollection(ctx, entitySchema())
	require.NoError(t, err)
	other, err := c.CreatePartition(ctx, "other")
	require.NoError(t, err)
	for _, p := range c.Partitions() {
		_, err := p.Insert(ctx, column.Int64("id", []int64{1}), column.FloatVector("v", 2, [][]float32{{1, 1}}))
		require.NoError(t, err)
	}
	for text, rows := range map[string]any{
		"2 partitions hold the primary key":                []map[string]any{{"id": 1, "n": 3}},
		`field "id"`:                                       []map[string]any{{"n": 3}},
		"all rows of a partial update give the same field": []map[string]any{{"id": 1, "n": 3}, {"id": 2}},
		"dynamic key is the name of a field":               []map[string]any{{"id": 1, "$meta": map[string]any{"note": 3}}},
		"twice in one call":                                []map[string]any{{"id": 9, "v": []float32{1, 2}}, {"id": 9, "v": []float32{1, 2}}},
		"dimensions":                                       nil,
	} {
		if rows == nil {
			continue
		}
		_, err := c.UpsertPartialRows(ctx, rows)
		require.ErrorContains(t, err, text)
	}
	res, err := other.UpsertPartialRows(ctx, []map[string]any{{"id": 1, "n": 3}})
	require.NoError(t, err)
	require.Equal(t, [2]int{1, 2}, [2]int{res.Inserted, res.Deleted}, "a partition that is named takes the entity")
	checkEntities(t, c, map[int64]*entity{1: {n: 3, v: 1, part: "other"}})
	dup, err := eng.CreateCollection(ctx, schema.New("d").WithDuplicateKeys().With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	for range 2 {
		_, err = dup.Insert(ctx, column.Int64("id", []int64{1}), column.FloatVector("v", 2, [][]float32{{1, 1}}))
		require.NoError(t, err)
		_, err = dup.UpsertPartial(ctx, column.Int64("id", []int64{1}))
		if n, cerr := dup.Count(ctx); n == 1 && cerr == nil {
			require.NoError(t, err, "one entity has the key")
			continue
		}
		require.ErrorContains(t, err, "2 entities have the primary key: which one to change is not known")
	}
	n, err := dup.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
}

func TestOrderBy(t *testing.T) {
	ctx := context.Background()
	rng := seeded(t)
	d := newRankData(t, rng, false)
	orders := []struct {
		req  func(q *query.Select) *query.Select
		less func(a, b ranked) int
	}{
		{func(q *query.Select) *query.Select { return q.OrderBy("age") }, func(a, b ranked) int { return int(a.age - b.age) }},
		{func(q *query.Select) *query.Select { return q.OrderByDesc("price") }, func(a, b ranked) int { return compareFloat(b.price, a.price) }},
		{func(q *query.Select) *query.Select { return q.OrderBy("cat").OrderByDesc("label") }, func(a, b ranked) int {
			if c := nullLast(a.cat, b.cat); c != 0 {
				return c
			}
			return -compareString(a.label, b.label)
		}},
		{func(q *query.Select) *query.Select { return q.OrderByDesc("cat", "flag") }, func(a, b ranked) int {
			if c := nullLast(b.cat, a.cat); c != 0 {
				return c
			}
			return compareBool(b.flag, a.flag)
		}},
	}
	for range 30 {
		for _, o := range orders {
			var want []ranked
			for _, r := range d.rows {
				if r.age < 50 {
					want = append(want, r)
				}
			}
			slices.SortFunc(want, func(a, b ranked) int {
				if c := o.less(a, b); c != 0 {
					return c
				}
				return int(a.id - b.id)
			})
			offset, limit := rng.IntN(len(want)+5), 1+rng.IntN(len(want))
			want = want[min(offset, len(want)):]
			want = want[:min(limit, len(want))]
			rows, err := d.c.Query(ctx, o.req(query.Where("age < 50").Output("label")).Limit(limit).Offset(offset))
			require.NoError(t, err)
			require.Equal(t, len(want), rows.Len())
			for i, row := range rows.All() {
				require.Equal(t, want[i].id, row.Int64("id"), "place %d", i)
				require.Equal(t, want[i].label, row.String("label"))
			}
		}
	}
	_, err := d.c.Query(ctx, query.All().OrderBy("v"))
	require.ErrorContains(t, err, "rows are ordered by integers, floats, Bool or VarChar")
	_, err = d.c.QueryIterator(ctx, query.All().OrderBy("age"), 0)
	require.ErrorContains(t, err, "an iteration is in the order of the primary keys")
	for _, err := range d.c.Iterate(ctx, query.All().OrderBy("age")) {
		require.ErrorContains(t, err, "an iteration is in the order of the primary keys")
	}
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// nullLast orders categories, of which 0 is null.
func nullLast(a, b int64) int {
	switch {
	case a == b:
		return 0
	case a == 0:
		return 1
	case b == 0:
		return -1
	}
	return int(a - b)
}
