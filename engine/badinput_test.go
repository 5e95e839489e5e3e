package engine_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// refusal is a call that must be refused.
type refusal struct {
	name  string
	call  func() error
	kind  error    // for errors.Is
	field string   // of the *schema.FieldError; "-" if there need not be one
	row   int      // of it
	text  []string // what the error says: the field's name, the value, the bound
}

func wideSchema(name string) *schema.Schema {
	return schema.New(name).With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 4), schema.Int32("must"),
		schema.Bool("flag").Nullable(), schema.Int8("i8").Nullable(), schema.Float("f").Nullable(), schema.Double("d").Nullable(),
		schema.VarChar("s", 8).Nullable(), schema.JSON("doc").Nullable(), schema.Array("ints", schema.TypeInt32, 3).Nullable(),
		schema.Array("words", schema.TypeVarChar, 3).MaxElementLength(4).Nullable(),
		schema.Float16Vector("h", 2).Nullable(), schema.BFloat16Vector("b", 2).Nullable(), schema.Int8Vector("q", 2).Nullable(),
		schema.BinaryVector("bits", 16).Nullable(), schema.SparseFloatVector("sp").Nullable())
}

// Nothing of a refused call is there, and the error says what was wrong.
func TestRefusedWrites(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{BatchBytes: 1 << 20})
	coll, err := eng.CreateCollection(ctx, wideSchema("c"))
	require.NoError(t, err)
	dynamic, err := eng.CreateCollection(ctx, plainSchema("dyn").EnableDynamicField())
	require.NoError(t, err)
	auto, err := eng.CreateCollection(ctx, schema.New("auto").With(schema.Int64("id").PrimaryKey().AutoID(), schema.FloatVector("v", 2)))
	require.NoError(t, err)
	text, err := eng.CreateCollection(ctx, schema.New("text").With(schema.VarChar("id", 5).PrimaryKey(), schema.FloatVector("v", 2)))
	require.NoError(t, err)

	nan32, inf32 := float32(math.NaN()), float32(math.Inf(-1))
	ids, vecs, must := column.Int64("id", []int64{1, 2}), column.FloatVectorFlat("v", 4, make([]float32, 8)), column.Int32("must", []int32{1, 2})
	insert := func(cols ...*column.Column) func() error {
		return func() error {
			_, err := coll.Insert(ctx, cols...)
			return err
		}
	}
	with := func(c ...*column.Column) func() error {
		return insert(append([]*column.Column{ids, vecs, must}, c...)...)
	}
	rows := func(c *engine.Collection, rows any) func() error {
		return func() error {
			_, err := c.InsertRows(ctx, rows)
			return err
		}
	}
	one := func(more map[string]any) []map[string]any {
		row := map[string]any{"id": 1, "v": []float32{1, 2, 3, 4}, "must": 5}
		for k, v := range more {
			row[k] = v
		}
		return []map[string]any{row}
	}
	sparse := func(indices []uint32, values []float32) func() error {
		return with(column.SparseFloatVector("sp", []column.Sparse{{}, {Indices: indices, Values: values}}))
	}
	del := func(c *engine.Collection, keys column.Keys) func() error {
		return func() error {
			_, err := c.Delete(ctx, keys)
			return err
		}
	}
	get := func(c *engine.Collection, keys column.Keys, out ...string) func() error {
		return func() error {
			_, err := c.Get(ctx, keys, out...)
			return err
		}
	}
	for _, r := range []refusal{
		{"nothing", insert(), nil, "", -1, []string{"no rows"}},
		{"zero rows", insert(column.Int64("id", nil), column.FloatVectorFlat("v", 4, nil), column.Int32("must", nil)), nil, "", -1, []string{"no rows"}},
		{"nil column", with(nil), nil, "", -1, []string{"nil"}},
		{"missing field", insert(ids, vecs), nil, "must", -1, []string{"missing"}},
		{"missing key", insert(must, vecs), nil, "id", -1, []string{"missing"}},
		{"unknown field", with(column.Bool("x", []bool{true, true})), nil, "x", -1, []string{`collection "c"`, "no such field"}},
		{"field twice", with(must), nil, "must", -1, []string{"twice"}},
		{"lengths", with(column.Bool("flag", []bool{true})), nil, "flag", -1, []string{"1 rows", "2"}},
		{"type", with(column.Int64("i8", []int64{1, 2})), nil, "i8", -1, []string{"Int64", "Int8"}},
		{"dim", insert(ids, must, column.FloatVectorFlat("v", 2, make([]float32, 4))), nil, "v", -1, []string{"dim 2", "dim 4"}},
		{"ragged", insert(ids, must, column.FloatVector("v", 4, [][]float32{{1, 2, 3, 4}, {1, 2, 3}})), nil, "v", 1, []string{"3 elements", "4"}},
		{"no multiple", insert(ids, must, column.FloatVectorFlat("v", 4, make([]float32, 9))), nil, "v", -1, []string{"9 values", "4"}},
		{"null", insert(ids, vecs, column.Int32("must", []int32{1, 2}).WithValid([]bool{true, false})), nil, "must", 1, []string{"null"}},
		{"null vector", insert(ids, must, column.FloatVector("v", 4, [][]float32{{1, 2, 3, 4}, nil}).WithValid([]bool{true, false})), nil, "v", 1, []string{"null"}},
		{"NaN", with(column.Float("f", []float32{1, nan32})), nil, "f", 1, []string{"NaN", "finite"}},
		{"double infinity", with(column.Double("d", []float64{math.Inf(1), 1})), nil, "d", 0, []string{"+Inf", "finite"}},
		{"NaN in a vector", insert(ids, must, column.FloatVectorFlat("v", 4, []float32{1, 2, 3, 4, 5, nan32, 7, 8})), nil, "v", 1, []string{"NaN", "element 1"}},
		{"infinity in a vector", insert(ids, must, column.FloatVectorFlat("v", 4, []float32{1, 2, inf32, 4, 5, 6, 7, 8})), nil, "v", 0, []string{"-Inf", "element 2"}},
		{"half overflow", with(column.Float16Vector("h", 2, [][]float32{{1, 2}, {65520, 1}})), nil, "h", 1, []string{"65504"}},
		{"half NaN", with(column.Float16VectorRaw("h", 2, []byte{0, 0, 0, 0, 0xff, 0xff, 0, 0})), nil, "h", 1, []string{"NaN"}},
		{"brain infinity", with(column.BFloat16Vector("b", 2, [][]float32{{math.MaxFloat32, 1}, {1, 1}})), nil, "b", 0, []string{"Inf"}},
		{"sparse lengths", sparse([]uint32{1, 2}, []float32{1}), nil, "sp", 1, []string{"2 indices and 1 values"}},
		{"sparse order", sparse([]uint32{2, 1}, []float32{1, 1}), nil, "sp", 1, []string{"index 1", "ascend"}},
		{"sparse twice", sparse([]uint32{2, 2}, []float32{1, 1}), nil, "sp", 1, []string{"ascend"}},
		{"sparse index", sparse([]uint32{math.MaxUint32}, []float32{1}), nil, "sp", 1, []string{"4294967295", "4294967294"}},
		{"sparse NaN", sparse([]uint32{7}, []float32{nan32}), nil, "sp", 1, []string{"NaN", "7"}},
		{"long string, in bytes", with(column.VarChar("s", []string{"a", "ééééé"})), nil, "s", 1, []string{"10 bytes", "8"}},
		{"bad UTF-8", with(column.VarChar("s", []string{"a\xff", "b"})), nil, "s", 0, []string{"UTF-8"}},
		{"invalid JSON", with(column.JSON("doc", [][]byte{[]byte(`{}`), []byte(`{"a":`)})), nil, "doc", 1, []string{"JSON"}},
		{"long JSON", with(column.JSON("doc", [][]byte{[]byte(`{}`), []byte(`"` + strings.Repeat("x", 65536) + `"`)})), nil, "doc", 1, []string{"65538", "65536"}},
		{"array capacity", with(column.Array("ints", [][]int32{{1, 2, 3, 4}, nil})), nil, "ints", 0, []string{"4 elements", "3"}},
		{"array type", with(column.Array("ints", [][]int64{{1}, nil})), nil, "ints", -1, []string{"Int64", "Int32"}},
		{"array element", with(column.Array("words", [][]string{{"a"}, {"b", "abcde"}})), nil, "words", 1, []string{"element 1", "5 bytes", "4"}},
		{"batch too large", with(column.JSON("doc", slices.Repeat([][]byte{[]byte("1")}, 2)), column.Int64("big", make([]int64, 2))), nil, "big", -1, []string{"no such field"}},

		{"row out of range", rows(coll, one(map[string]any{"i8": 128})), nil, "i8", 0, []string{"128", "[-128, 127]"}},
		{"row out of 32 bits", rows(coll, one(map[string]any{"must": int64(math.MinInt32) - 1})), nil, "must", 0, []string{"-2147483649", "-2147483648"}},
		{"row with an unknown key", rows(coll, one(map[string]any{"x": 1})), nil, "x", 0, []string{"no such field"}},
		{"row of a wrong type", rows(coll, one(map[string]any{"must": "five"})), nil, "must", 0, []string{"five"}},
		{"row without a field", rows(coll, []map[string]any{{"id": 1, "must": 2}}), nil, "v", -1, []string{"missing"}},
		{"row with a null", rows(coll, one(map[string]any{"must": nil})), nil, "must", 0, []string{"null"}},
		{"no rows", rows(coll, []map[string]any{}), nil, "", -1, []string{"no rows"}},
		{"nil rows", rows(coll, nil), nil, "", -1, nil},
		{"rows of numbers", rows(coll, []int{1}), nil, "", 0, []string{"int", "struct"}},
		{"dynamic key of a field", rows(dynamic, []map[string]any{{"id": 1, "v": ownVector(1), "n": 1, "$meta": map[string]any{"n": 2}}}), nil, "$meta", 0, []string{"n"}},
		{"dynamic key that cannot be JSON", rows(dynamic, []map[string]any{{"id": 1, "v": ownVector(1), "n": 1, "f": math.NaN()}}), nil, "f", 0, nil},
		{"long dynamic field", rows(dynamic, []map[string]any{{"id": 1, "v": ownVector(1), "n": 1, "x": strings.Repeat("x", 65530)}}), nil, "$meta", 0, []string{"65536"}},
		{"generated key given", func() error {
			_, err := auto.Insert(ctx, column.Int64("id", []int64{1}), column.FloatVectorFlat("v", 2, []float32{1, 2}))
			return err
		}, nil, "id", -1, nil},
		{"generated key missing in an upsert", func() error {
			_, err := auto.Upsert(ctx, column.FloatVectorFlat("v", 2, []float32{1, 2}))
			return err
		}, nil, "id", -1, []string{"missing"}},
		{"long key", func() error {
			_, err := text.Insert(ctx, column.VarChar("id", []string{"123456"}), column.FloatVectorFlat("v", 2, []float32{1, 2}))
			return err
		}, nil, "id", 0, []string{"6 bytes", "5"}},

		{"no keys to delete", del(coll, column.IntKeys()), nil, "id", -1, []string{"no primary key"}},
		{"string keys to delete", del(coll, column.StringKeys("1")), nil, "id", -1, []string{`"1"`, "Int64"}},
		{"integer keys to delete", del(text, column.IntKeys(1)), nil, "id", -1, []string{"1", "VarChar"}},
		{"no keys to get", get(coll, column.IntKeys()), nil, "id", -1, []string{"no primary key"}},
		{"string keys to get", get(coll, column.StringKeys("1")), nil, "id", -1, []string{"Int64"}},
		{"unknown output", get(coll, column.IntKeys(1), "colour"), nil, "colour", -1, []string{"no such output field"}},
		{"unknown output of an iterator", func() error {
			for _, err := range coll.All(ctx, "colour") {
				return err
			}
			return nil
		}, nil, "colour", -1, []string{"no such output field"}},
	} {
		t.Run(r.name, func(t *testing.T) { checkRefusal(t, eng, r) })
	}

	// An upsert keeps to the same rules.
	_, err = coll.Upsert(ctx, ids, vecs, column.Int32("must", []int32{1}))
	require.ErrorIs(t, err, engine.ErrInvalid)

	var big [][]byte
	var many []int64
	for i := range int64(40) {
		big, many = append(big, []byte(`"`+strings.Repeat("x", 30000)+`"`)), append(many, i)
	}
	_, err = coll.Insert(ctx, column.Int64("id", many), column.FloatVectorFlat("v", 4, make([]float32, 160)), column.Int32("must", make([]int32, 40)), column.JSON("doc", big))
	require.ErrorIs(t, err, engine.ErrTooLarge)
	require.ErrorIs(t, err, engine.ErrInvalid)
	require.ErrorContains(t, err, "1048576", "the bound")
	n, err := coll.Count(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
}

// checkRefusal runs the call and sees that nothing of any collection changed.
func checkRefusal(t *testing.T, eng *engine.Engine, r refusal) {
	t.Helper()
	before, lsn := countAll(t, eng), eng.LSN()
	err := r.call()
	if r.kind == nil {
		r.kind = engine.ErrInvalid
	}
	require.ErrorIs(t, err, r.kind)
	if r.field != "-" {
		var fe *schema.FieldError
		require.ErrorAs(t, err, &fe)
		require.Equal(t, r.field, fe.Field, err)
		require.Equal(t, r.row, fe.Row, err)
		require.ErrorContains(t, err, r.field)
	}
	for _, text := range r.text {
		require.ErrorContains(t, err, text)
	}
	require.Equal(t, before, countAll(t, eng))
	require.Equal(t, lsn, eng.LSN(), "nothing was logged")
}

func countAll(t *testing.T, eng *engine.Engine) map[string]int64 {
	out := map[string]int64{}
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		require.NoError(t, err)
		n, err := c.Count(context.Background())
		require.NoError(t, err)
		out[name] = n
	}
	return out
}

// A key that is there is refused wherever its row lies: growing, sealing, sealed.
func TestRefusedDuplicates(t *testing.T) {
	ctx := context.Background()
	s := newSlowStore(t)
	part := s.part // holds 1, 2, 3
	release := make(chan error, 1)
	dup := func(want []int64, twice bool, ids ...int64) {
		t.Helper()
		n, err := part.Count(ctx)
		require.NoError(t, err)
		_, err = part.Insert(ctx, plainRows(9, ids...)...)
		var de *engine.DuplicateKeyError
		require.ErrorIs(t, err, engine.ErrDuplicateKey)
		require.NotErrorIs(t, err, engine.ErrInvalid)
		require.ErrorAs(t, err, &de)
		require.Equal(t, twice, de.Twice)
		var got []int64
		for i, k := range de.Keys {
			got = append(got, k.Int)
			require.Equal(t, ids[de.Rows[i]], k.Int)
			require.ErrorContains(t, err, fmt.Sprintf("%d (row %d)", k.Int, de.Rows[i]))
		}
		require.Equal(t, want, got)
		after, err := part.Count(ctx)
		require.NoError(t, err)
		require.Equal(t, n, after, "nothing was inserted")
	}
	dup([]int64{7, 7}, true, 7, 8, 7)
	dup([]int64{2, 1}, false, 10, 2, 11, 1)
	go func() {
		_, err := part.Flush(ctx)
		release <- err
	}()
	<-s.reached
	dup([]int64{3}, false, 12, 3)
	s.release()
	require.NoError(t, <-release)
	require.EqualValues(t, 3, part.NumEntities())
	dup([]int64{1, 2, 3}, false, 1, 2, 3)
	_, err := part.Upsert(ctx, plainRows(0, 5, 6, 5)...)
	require.ErrorIs(t, err, engine.ErrDuplicateKey, "an upsert does not say twice what a row is")
	_, err = part.Delete(ctx, column.IntKeys(2, 2))
	require.NoError(t, err)
	_, err = part.Insert(ctx, plainRows(0, 2)...)
	require.NoError(t, err, "a deleted key is free again")
	dup([]int64{2}, false, 2)
	ids := make([]int64, 25)
	for i := range ids {
		ids[i] = int64(100 + i)
	}
	_, err = part.Insert(ctx, plainRows(0, ids...)...)
	require.NoError(t, err)
	_, err = part.Insert(ctx, plainRows(0, ids...)...)
	require.ErrorContains(t, err, "and 15 more")
}

func TestRefusedSchemas(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	id, v := func() *schema.Field { return schema.Int64("id").PrimaryKey() }, func() *schema.Field { return schema.FloatVector("v", 4) }
	many := schema.New("c").With(id(), v())
	for i := range schema.MaxFields - 1 {
		many.With(schema.Int8(fmt.Sprint("f", i)))
	}
	vectors := schema.New("c").With(id())
	for i := range schema.MaxVectorFields + 1 {
		vectors.With(schema.FloatVector(fmt.Sprint("v", i), 4))
	}
	for name, c := range map[string]struct {
		s    *schema.Schema
		text string
	}{
		"nil":                    {nil, "no schema"},
		"no name":                {schema.New("").With(id(), v()), "name"},
		"bad name":               {schema.New("a-b").With(id(), v()), "a-b"},
		"digit first":            {schema.New("1a").With(id(), v()), "1a"},
		"long name":              {schema.New(strings.Repeat("x", 256)).With(id(), v()), "255"},
		"no field":               {schema.New("c"), "vector"},
		"no key":                 {schema.New("c").With(v()), "primary key"},
		"two keys":               {schema.New("c").With(id(), schema.Int64("id2").PrimaryKey(), v()), "primary key"},
		"no vector":              {schema.New("c").With(id()), "vector"},
		"key type":               {schema.New("c").With(schema.Int32("id").PrimaryKey(), v()), "Int32"},
		"nullable key":           {schema.New("c").With(id().Nullable(), v()), "null"},
		"default of a key":       {schema.New("c").With(id().Default(3), v()), "default"},
		"dim 1":                  {schema.New("c").With(id(), schema.FloatVector("v", 1)), "32768"},
		"dim 32769":              {schema.New("c").With(id(), schema.FloatVector("v", 32769)), "32769"},
		"binary dim":             {schema.New("c").With(id(), schema.BinaryVector("v", 12)), "12"},
		"no max length":          {schema.New("c").With(id(), v(), schema.VarChar("s", 0)), "65535"},
		"max length":             {schema.New("c").With(id(), v(), schema.VarChar("s", 65536)), "65536"},
		"capacity":               {schema.New("c").With(id(), v(), schema.Array("a", schema.TypeInt8, 4097)), "4097"},
		"array of JSON":          {schema.New("c").With(id(), v(), schema.Array("a", schema.TypeJSON, 4)), "JSON"},
		"field twice":            {schema.New("c").With(id(), v(), schema.Int8("v")), `"v"`},
		"field name":             {schema.New("c").With(id(), v(), schema.Int8("a b")), "a b"},
		"keyword":                {schema.New("c").With(id(), v(), schema.Int8("AND")), "AND"},
		"meta":                   {schema.New("c").With(id(), v(), schema.JSON("$meta")), "$meta"},
		"too many fields":        {many, "64"},
		"too many vectors":       {vectors, "10"},
		"shards":                 {schema.New("c").With(id(), v()).WithShards(17), "16"},
		"partitions without key": {schema.New("c").With(id(), v()).WithPartitions(4), "partition key"},
		"partition key type":     {schema.New("c").With(id(), v(), schema.Int8("k").PartitionKey()), "Int8"},
		"two partition keys":     {schema.New("c").With(id(), v(), schema.Int64("k").PartitionKey(), schema.Int64("l").PartitionKey()), "partition key"},
		"auto id of no key":      {schema.New("c").With(id(), v(), schema.Int64("k").AutoID()), `"k"`},
		"default out of range":   {schema.New("c").With(id(), v(), schema.Int8("k").Default(200)), "200"},
		"default of a vector":    {schema.New("c").With(id(), schema.FloatVector("v", 2).Default([]float32{1, 2})), "default"},
	} {
		t.Run(name, func(t *testing.T) {
			coll, err := eng.CreateCollection(ctx, c.s)
			require.Nil(t, coll)
			require.ErrorIs(t, err, engine.ErrInvalid)
			var fe *schema.FieldError
			require.ErrorAs(t, err, &fe)
			require.ErrorContains(t, err, c.text)
			require.Empty(t, eng.Collections())
		})
	}
}

// Partitions of a collection with a partition key have no names.
func TestRefusedPartitionNames(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	keyed, err := eng.CreateCollection(ctx, schema.New("keyed").With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 4), schema.Int64("n").PartitionKey()).WithPartitions(4))
	require.NoError(t, err)
	_, err = keyed.Insert(ctx, plainRows(5, 1, 2)...)
	require.NoError(t, err)
	plain, err := eng.CreateCollection(ctx, plainSchema("plain"))
	require.NoError(t, err)
	name := func(name string) func() error {
		return func() error {
			_, err := plain.CreatePartition(ctx, name)
			return err
		}
	}
	for _, r := range []refusal{
		{"create", func() error { _, err := keyed.CreatePartition(ctx, "p"); return err }, nil, "", -1, []string{"partition key"}},
		{"get", func() error { _, err := keyed.Partition("_default_0"); return err }, nil, "", -1, []string{"_default_0", "partition key"}},
		{"drop", func() error { return keyed.DropPartition(ctx, "_default_0") }, nil, "", -1, []string{"partition key"}},
		{"rename", func() error { return keyed.RenamePartition(ctx, "_default_0", "x") }, nil, "", -1, []string{"partition key"}},
		{"search", func() error {
			_, err := keyed.Search(ctx, query.Nearest("v", ownVector(1)).Partitions("_default_0"))
			return err
		}, nil, "", -1, []string{"partition key"}},
		{"drop of the default", func() error { return plain.DropPartition(ctx, "_default") }, nil, "", -1, []string{"_default", "dropped"}},
		{"rename of the default", func() error { return plain.RenamePartition(ctx, "_default", "x") }, nil, "", -1, []string{"_default"}},
		{"empty name", name(""), nil, "", -1, []string{"name"}},
		{"blank name", name("  "), nil, "", -1, []string{"name"}},
		{"name with a slash", name("a/b"), nil, "", -1, []string{"a/b"}},
		{"long name", name(strings.Repeat("x", 256)), nil, "", -1, []string{"255"}},
		{"name with dots", name(".."), nil, "", -1, []string{".."}},
		{"rename to a bad name", func() error { return plain.RenamePartition(ctx, "_default", "a b") }, nil, "", -1, []string{"a b"}},
		{"rename of a collection to a bad name", func() error { return eng.RenameCollection(ctx, "plain", "a-b") }, nil, "", -1, []string{"a-b"}},
		{"no such partition", func() error { _, err := plain.Partition("p"); return err }, engine.ErrNotFound, "-", 0, []string{`"p"`, `"plain"`}},
		{"no such partition to drop", func() error { return plain.DropPartition(ctx, "p") }, engine.ErrNotFound, "-", 0, []string{`"p"`}},
		{"no such collection", func() error { _, err := eng.Collection("x"); return err }, engine.ErrNotFound, "-", 0, []string{`"x"`}},
		{"no such collection to drop", func() error { return eng.DropCollection(ctx, "x") }, engine.ErrNotFound, "-", 0, []string{`"x"`}},
		{"collection exists", func() error { _, err := eng.CreateCollection(ctx, plainSchema("plain")); return err }, engine.ErrExists, "-", 0, []string{`"plain"`}},
		{"rename to what exists", func() error { return eng.RenameCollection(ctx, "plain", "keyed") }, engine.ErrExists, "-", 0, []string{`"keyed"`}},
		{"partition exists", name("_default"), engine.ErrExists, "-", 0, []string{`"_default"`}},
	} {
		t.Run(r.name, func(t *testing.T) { checkRefusal(t, eng, r) })
	}
	require.Empty(t, keyed.Partitions())
	require.False(t, keyed.HasPartition("_default_0"))
	require.True(t, plain.HasPartition("_default"))
}

// anyCall lists calls of each kind, for engines and handles that must refuse them all.
func anyCall(eng *engine.Engine, coll *engine.Collection, part *engine.Partition) (reads, writes map[string]func() error) {
	ctx := context.Background()
	reads = map[string]func() error{
		"search":           func() error { _, err := coll.Search(ctx, query.Nearest("v", ownVector(1))); return err },
		"search partition": func() error { _, err := part.Search(ctx, query.Nearest("v", ownVector(1))); return err },
		"get":              func() error { _, err := coll.Get(ctx, column.IntKeys(1)); return err },
		"get in partition": func() error { _, err := part.Get(ctx, column.IntKeys(1)); return err },
		"count":            func() error { _, err := coll.Count(ctx); return err },
		"count partition":  func() error { _, err := part.Count(ctx); return err },
		"all": func() error {
			for _, err := range coll.All(ctx) {
				return err
			}
			return nil
		},
		"partition": func() error { _, err := coll.Partition("p"); return err },
	}
	writes = map[string]func() error{
		"insert":           func() error { _, err := coll.Insert(ctx, plainRows(0, 50)...); return err },
		"insert partition": func() error { _, err := part.Insert(ctx, plainRows(0, 50)...); return err },
		"upsert":           func() error { _, err := part.Upsert(ctx, plainRows(0, 50)...); return err },
		"delete":           func() error { _, err := coll.Delete(ctx, column.IntKeys(1)); return err },
		"delete partition": func() error { _, err := part.Delete(ctx, column.IntKeys(1)); return err },
		"flush":            func() error { _, err := coll.Flush(ctx); return err },
		"flush partition":  func() error { _, err := part.Flush(ctx); return err },
		"create partition": func() error { _, err := coll.CreatePartition(ctx, "q"); return err },
		"drop partition":   func() error { return coll.DropPartition(ctx, "p") },
		"rename partition": func() error { return coll.RenamePartition(ctx, "p", "r") },
	}
	return reads, writes
}

func TestUseAfterTheEnd(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		end    func(eng *engine.Engine, coll *engine.Collection) error
		want   error
		within string // the calls that are refused: those of the partition only, or all
	}{
		"close":           {func(eng *engine.Engine, _ *engine.Collection) error { return eng.Close() }, engine.ErrClosed, "all"},
		"drop collection": {func(eng *engine.Engine, _ *engine.Collection) error { return eng.DropCollection(ctx, "c") }, engine.ErrNotFound, "all"},
		"drop partition":  {func(_ *engine.Engine, coll *engine.Collection) error { return coll.DropPartition(ctx, "p") }, engine.ErrNotFound, "partition"},
	} {
		t.Run(name, func(t *testing.T) {
			eng := openMem(t, engine.Options{})
			coll, err := eng.CreateCollection(ctx, plainSchema("c"))
			require.NoError(t, err)
			part, err := coll.CreatePartition(ctx, "p")
			require.NoError(t, err)
			_, err = part.Insert(ctx, plainRows(0, 1)...)
			require.NoError(t, err)
			require.NoError(t, c.end(eng, coll))
			reads, writes := anyCall(eng, coll, part)
			for _, calls := range []map[string]func() error{reads, writes} {
				for op, call := range calls {
					if c.within == "all" || strings.Contains(op, " partition") && !strings.HasPrefix(op, "create") || strings.Contains(op, "in partition") {
						require.ErrorIs(t, call(), c.want, op)
					}
				}
			}
			require.Zero(t, part.NumEntities())
			require.Empty(t, part.Segments())
			if name == "close" {
				_, err := eng.CreateCollection(ctx, plainSchema("d"))
				require.ErrorIs(t, err, engine.ErrClosed)
				require.ErrorIs(t, eng.DropCollection(ctx, "c"), engine.ErrClosed)
				require.ErrorIs(t, eng.RenameCollection(ctx, "c", "d"), engine.ErrClosed)
				_, err = eng.Collection("c")
				require.ErrorIs(t, err, engine.ErrClosed)
				require.False(t, eng.HasCollection("c"))
				require.NoError(t, eng.Close(), "it may be closed again")
			}
		})
	}
}

func TestReadOnlyRefusesWrites(t *testing.T) {
	ctx := context.Background()
	fs := vfs.NewMem()
	eng, err := engine.Open("db", &engine.Options{FS: fs})
	require.NoError(t, err)
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	part, err := coll.CreatePartition(ctx, "p")
	require.NoError(t, err)
	_, err = part.Insert(ctx, plainRows(0, 1, 2)...)
	require.NoError(t, err)
	_, err = part.Flush(ctx)
	require.NoError(t, err)
	_, err = part.Upsert(ctx, plainRows(0, 2, 3)...)
	require.NoError(t, err)
	require.NoError(t, eng.Close())

	before := fs.String()
	eng, err = engine.Open("db", &engine.Options{FS: fs, ReadOnly: true})
	require.NoError(t, err)
	require.True(t, eng.ReadOnly())
	coll, err = eng.Collection("c")
	require.NoError(t, err)
	part, err = coll.Partition("p")
	require.NoError(t, err)
	reads, writes := anyCall(eng, coll, part)
	for op, call := range reads {
		require.NoError(t, call(), op)
	}
	for op, call := range writes {
		require.ErrorIs(t, call(), engine.ErrReadOnly, op)
	}
	_, err = eng.CreateCollection(ctx, plainSchema("d"))
	require.ErrorIs(t, err, engine.ErrReadOnly)
	require.ErrorIs(t, eng.DropCollection(ctx, "c"), engine.ErrReadOnly)
	require.ErrorIs(t, eng.RenameCollection(ctx, "c", "d"), engine.ErrReadOnly)
	n, err := part.Count(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.EqualValues(t, 1, part.NumEntities())
	require.NoError(t, eng.Close())
	require.Equal(t, before, fs.String(), "not a file changed")

	_, err = engine.Open("nowhere", &engine.Options{FS: fs, ReadOnly: true})
	require.ErrorIs(t, err, engine.ErrNotFound)
	_, err = engine.Open("nowhere", &engine.Options{FS: fs, MustExist: true})
	require.ErrorIs(t, err, engine.ErrNotFound)
}
