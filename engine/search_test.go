package engine_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// vectorKind is a vector field and the metrics that fit it, the default first.
type vectorKind struct {
	name    string
	field   *schema.Field
	metrics []vector.Metric
}

var (
	denseMetrics = []vector.Metric{vector.Cosine, vector.L2, vector.IP}
	vectorKinds  = []vectorKind{
		{"float", schema.FloatVector("float", 19), denseMetrics},
		{"half", schema.Float16Vector("half", 5), denseMetrics},
		{"brain", schema.BFloat16Vector("brain", 4), denseMetrics},
		{"int8", schema.Int8Vector("int8", 6), denseMetrics},
		{"binary", schema.BinaryVector("binary", 16), []vector.Metric{vector.Hamming, vector.Jaccard}},
		{"sparse", schema.SparseFloatVector("sparse"), []vector.Metric{vector.IP}},
	}
)

// sample is a row as the oracle keeps it: a vector of each kind as plain numbers, nil for null.
type sample struct {
	key  column.Key
	vecs map[string][]float64 // binary: one number a bit; sparse: 30 numbers
}

// score is the oracle: the definitions of the metrics in float64.
func score(m vector.Metric, a, b []float64) float64 {
	var dot, aa, bb, l2, differ, both, either float64
	for i := range a {
		dot, aa, bb = dot+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
		l2 += (a[i] - b[i]) * (a[i] - b[i])
		if a[i] != b[i] {
			differ++
		}
		both, either = both+min(a[i], b[i]), either+max(a[i], b[i])
	}
	switch m {
	case vector.L2:
		return l2
	case vector.IP:
		return dot
	case vector.Cosine:
		if aa == 0 || bb == 0 {
			return 0
		}
		return dot / math.Sqrt(aa*bb)
	case vector.Hamming:
		return differ
	}
	if either == 0 {
		return 0
	}
	return 1 - both/either
}

// searchData is rows over sealed and growing segments of three partitions, with deletes, nulls, zero vectors and many ties.
type searchData struct {
	coll *engine.Collection
	rows map[string][]*sample // by partition
}

func randomVector(rng *rand.Rand, k vectorKind) []float64 {
	n := map[string]int{"sparse": 30}[k.name]
	if n == 0 {
		n = k.field.Dim
	}
	v := make([]float64, n)
	if rng.IntN(12) == 0 {
		return v // zeros
	}
	for i := range v {
		switch k.name {
		case "binary":
			v[i] = float64(rng.IntN(2))
		case "sparse":
			v[i] = float64(max(rng.IntN(9)-5, 0))
		default:
			v[i] = float64(rng.IntN(5) - 2) // small whole numbers: L2 and IP are exact, and ties are many
		}
	}
	return v
}

func floats(v []float64) []float32 {
	out := make([]float32, len(v))
	for i := range v {
		out[i] = float32(v[i])
	}
	return out
}

func int8s(v []float64) []int8 {
	out := make([]int8, len(v))
	for i := range v {
		out[i] = int8(v[i])
	}
	return out
}

func packed(v []float64) []byte {
	out := make([]byte, len(v)/8)
	for i := range v {
		out[i/8] |= byte(v[i]) << (i % 8)
	}
	return out
}

func sparseOf(v []float64) (s column.Sparse) {
	for i, x := range v {
		if x != 0 {
			s.Indices, s.Values = append(s.Indices, uint32(i*1000)), append(s.Values, float32(x))
		}
	}
	return s
}

func mapped[T, U any](in []T, fn func(T) U) []U {
	out := make([]U, len(in))
	for i := range in {
		out[i] = fn(in[i])
	}
	return out
}

// columnOf makes a column of vectors; nil ones are null.
func columnOf(k vectorKind, vecs [][]float64) *column.Column {
	valid := mapped(vecs, func(v []float64) bool { return v != nil })
	var c *column.Column
	switch k.name {
	case "float":
		c = column.FloatVector(k.name, k.field.Dim, mapped(vecs, floats))
	case "half":
		c = column.Float16Vector(k.name, k.field.Dim, mapped(vecs, floats))
	case "brain":
		c = column.BFloat16Vector(k.name, k.field.Dim, mapped(vecs, floats))
	case "int8":
		c = column.Int8Vector(k.name, k.field.Dim, mapped(vecs, int8s))
	case "binary":
		c = column.BinaryVector(k.name, k.field.Dim, mapped(vecs, packed))
	default:
		c = column.SparseFloatVector(k.name, mapped(vecs, sparseOf))
	}
	return c.WithValid(valid)
}

func nearestOf(k vectorKind, vecs [][]float64) *query.Search {
	switch k.name {
	case "int8":
		return query.Nearest(k.name, mapped(vecs, int8s)...)
	case "binary":
		return query.Nearest(k.name, mapped(vecs, packed)...)
	case "sparse":
		return query.Nearest(k.name, mapped(vecs, sparseOf)...)
	}
	return query.Nearest(k.name, mapped(vecs, floats)...)
}

func newSearchData(t *testing.T, rng *rand.Rand, strKeys bool) *searchData {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	id := schema.Int64("id")
	if strKeys {
		id = schema.VarChar("id", 20)
	}
	s := schema.New("c").With(id.PrimaryKey(), schema.VarChar("note", 20)).WithShards(2)
	for _, k := range vectorKinds {
		s.With(k.field.Clone().Nullable())
	}
	coll, err := eng.CreateCollection(ctx, s)
	require.NoError(t, err)
	d := &searchData{coll: coll, rows: map[string][]*sample{}}
	next := rng.Perm(2000)
	// Each partition: batches of rows, with flushes between them where there is a 0.
	for name, batches := range map[string][]int{engine.DefaultPartition: {90, 0, 70, 0, 60}, "sealed": {50, 0}, "growing": {40}} {
		if name != engine.DefaultPartition {
			_, err := coll.CreatePartition(ctx, name)
			require.NoError(t, err)
		}
		part, err := coll.Partition(name)
		require.NoError(t, err)
		for _, n := range batches {
			if n == 0 {
				_, err := part.Flush(ctx)
				require.NoError(t, err)
				continue
			}
			var keys []column.Key
			rows := make([]*sample, n)
			for i := range rows {
				key := column.Key{Int: int64(next[0])}
				if strKeys {
					key = column.Key{Str: fmt.Sprint("k", next[0]), IsStr: true}
				}
				next = next[1:]
				rows[i] = &sample{key: key, vecs: map[string][]float64{}}
				keys = append(keys, key)
				for _, k := range vectorKinds {
					if rng.IntN(8) > 0 {
						rows[i].vecs[k.name] = randomVector(rng, k)
					}
				}
			}
			idField, _ := coll.Schema().Field("id")
			cols := []*column.Column{
				column.FromData(idField, modelKeys(keys).Data()),
				column.VarChar("note", mapped(keys, func(k column.Key) string { return "note of " + k.String() })),
			}
			for _, k := range vectorKinds {
				cols = append(cols, columnOf(k, mapped(rows, func(r *sample) []float64 { return r.vecs[k.name] })))
			}
			_, err := part.Insert(ctx, cols...)
			require.NoError(t, err)
			d.rows[name] = append(d.rows[name], rows...)
		}
		// One row in five dies, sealed and growing ones.
		var dead []column.Key
		d.rows[name] = slices.DeleteFunc(d.rows[name], func(r *sample) bool {
			gone := rng.IntN(5) == 0
			if gone {
				dead = append(dead, r.key)
			}
			return gone
		})
		res, err := part.Delete(ctx, modelKeys(dead))
		require.NoError(t, err)
		require.Equal(t, len(dead), res.Deleted)
	}
	return d
}

// Scores and order of every vector kind and metric are the oracle's, whatever lies where.
func TestSearchAgainstOracle(t *testing.T) {
	for name, strKeys := range map[string]bool{"integer keys": false, "string keys": true} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			d := newSearchData(t, rng, strKeys)
			all := slices.Concat(d.rows[engine.DefaultPartition], d.rows["sealed"], d.rows["growing"])
			for _, k := range vectorKinds {
				for _, m := range k.metrics {
					t.Run(k.name+" "+m.String(), func(t *testing.T) {
						d.check(t, rng, k, m, all, nil)
						d.check(t, rng, k, m, d.rows["sealed"], []string{"sealed"})
						d.check(t, rng, k, m, d.rows["growing"], []string{"growing"})
						d.check(t, rng, k, m, slices.Concat(d.rows["sealed"], d.rows["growing"]), []string{"growing", "sealed", "growing"})
					})
				}
			}
		})
	}
}

func (d *searchData) check(t *testing.T, rng *rand.Rand, k vectorKind, m vector.Metric, rows []*sample, parts []string) {
	ctx := context.Background()
	queries := [][]float64{randomVector(rng, k), randomVector(rng, k), make([]float64, len(randomVector(rng, k)))}
	for _, r := range rows[:5] {
		if v := r.vecs[k.name]; v != nil {
			queries = append(queries, v)
		}
	}
	for _, c := range []struct{ limit, offset int }{{1, 0}, {10, 0}, {10, 5}, {16384, 0}, {7, max(len(rows)-40, 3)}, {5, 10000}} {
		req := nearestOf(k, queries).Limit(c.limit).Offset(c.offset).Output("note", k.name).Partitions(parts...)
		if m != k.metrics[0] {
			req.Metric(m) // the first one is what a search uses that names none
		}
		lists, err := d.coll.SearchMany(ctx, req)
		require.NoError(t, err)
		require.Len(t, lists, len(queries))
		for i, q := range queries {
			checkHits(t, k, m, q, rows, lists[i], c.limit, c.offset)
		}
	}
}

func checkHits(t *testing.T, k vectorKind, m vector.Metric, q []float64, rows []*sample, hits []engine.Hit, limit, offset int) {
	t.Helper()
	type scored struct {
		key   column.Key
		score float64
		vec   []float64
	}
	var want []scored
	for _, r := range rows {
		if v := r.vecs[k.name]; v != nil {
			want = append(want, scored{r.key, score(m, q, v), v})
		}
	}
	sign := 1.0
	if m.Descending() {
		sign = -1
	}
	slices.SortFunc(want, func(a, b scored) int { return cmp.Or(cmp.Compare(sign*a.score, sign*b.score), a.key.Compare(b.key)) })
	want = want[min(offset, len(want)):]
	want = want[:min(limit, len(want))]
	require.Len(t, hits, len(want))
	exact := m == vector.L2 || m == vector.IP || m == vector.Hamming
	byKey := map[column.Key]scored{}
	for _, r := range rows {
		if v := r.vecs[k.name]; v != nil {
			byKey[r.key] = scored{r.key, score(m, q, v), v}
		}
	}
	for i, h := range hits {
		if exact {
			require.Equal(t, want[i].key, h.Key, "place %d", i)
			require.EqualValues(t, want[i].score, h.Score)
		} else {
			// Rows whose scores differ by less than float32 shows may change places.
			require.InDelta(t, want[i].score, h.Score, 1e-5, "place %d", i)
			require.InDelta(t, byKey[h.Key].score, h.Score, 1e-5)
		}
		if i > 0 {
			before := hits[i-1]
			require.False(t, m.Better(h.Score, before.Score), "the best comes first")
			if h.Score == before.Score {
				require.Positive(t, h.Key.Compare(before.Key), "equal scores: the smaller key first")
			}
		}
		require.Equal(t, "note of "+h.Key.String(), h.Row.String("note"))
		checkOutput(t, k, byKey[h.Key].vec, h.Row)
		delete(byKey, h.Key) // and each row once
	}
}

func checkOutput(t *testing.T, k vectorKind, want []float64, row column.Row) {
	t.Helper()
	switch v := row.Value(k.name).(type) {
	case []float32:
		require.Equal(t, floats(want), v)
	case []int8:
		require.Equal(t, int8s(want), v)
	case []byte:
		require.Equal(t, packed(want), v)
		n := 0
		for _, b := range v {
			n += bits.OnesCount8(b)
		}
		require.LessOrEqual(t, n, len(want))
	case column.Sparse:
		require.Equal(t, sparseOf(want).Serialize(), v.Serialize())
	default:
		require.Fail(t, "no vector in the output", "%T", v)
	}
}

func TestSearchOutput(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	coll, err := eng.CreateCollection(ctx, plainSchema("c").EnableDynamicField())
	require.NoError(t, err)
	_, err = coll.InsertRows(ctx, []map[string]any{{"id": 1, "v": ownVector(1), "n": 5, "colour": "red"}, {"id": 2, "v": ownVector(2), "n": 6}})
	require.NoError(t, err)
	for range 2 {
		req := func(out ...string) *query.Search {
			return query.Nearest("v", ownVector(1)).Metric(vector.L2).Limit(1).Output(out...)
		}
		for _, c := range []struct {
			out  []string
			has  []string
			lack []string
		}{
			{nil, []string{"id"}, []string{"v", "n", "colour"}},
			{[]string{"n"}, []string{"id", "n"}, []string{"v"}},
			{[]string{"n", "n", "id"}, []string{"id", "n"}, []string{"v"}},
			{[]string{"*"}, []string{"id", "v", "n", "colour"}, []string{"size"}},
			{[]string{"colour"}, []string{"id", "colour"}, []string{"n"}},
		} {
			hits, err := coll.Search(ctx, req(c.out...))
			require.NoError(t, err)
			require.Len(t, hits, 1)
			require.Equal(t, column.Key{Int: 1}, hits[0].Key)
			for _, name := range c.has {
				require.True(t, hits[0].Row.Has(name), "%v: %s", c.out, name)
			}
			for _, name := range c.lack {
				require.False(t, hits[0].Row.Has(name), "%v: %s", c.out, name)
			}
		}
		_, err = coll.Flush(ctx)
		require.NoError(t, err)
	}
	none, err := coll.Search(ctx, query.Nearest("v", ownVector(1)).Offset(2))
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestSearchEmpty(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	lists, err := coll.SearchMany(ctx, query.Nearest("v", ownVector(1), ownVector(2)))
	require.NoError(t, err)
	require.Len(t, lists, 2)
	require.Empty(t, lists[0])
	rows, err := coll.Get(ctx, column.IntKeys(1))
	require.NoError(t, err)
	require.Zero(t, rows.Len())
	for range coll.All(ctx) {
		require.Fail(t, "there is no row")
	}
}

func TestSearchRefusals(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{})
	s := plainSchema("c")
	for _, k := range vectorKinds {
		s.With(k.field.Clone().Nullable())
	}
	coll, err := eng.CreateCollection(ctx, s)
	require.NoError(t, err)
	_, err = coll.Insert(ctx, plainRows(0, 1)...)
	require.NoError(t, err)
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	ok := func() *query.Search { return query.Nearest("v", ownVector(1)) }
	many := slices.Repeat([][]float32{ownVector(1)}, query.MaxQueries+1)
	for name, c := range map[string]struct {
		req  *query.Search
		text []string
	}{
		"no request":          {nil, []string{"no search given"}},
		"limit 0":             {ok().Limit(0), []string{`"v"`, "value 0", "[1, 16384]"}},
		"limit -1":            {ok().Limit(-1), []string{"value -1", "[1, 16384]"}},
		"limit 16385":         {ok().Limit(16385), []string{"16385", "[1, 16384]"}},
		"offset -1":           {ok().Offset(-1), []string{"-1", "offset"}},
		"offset and limit":    {ok().Limit(10).Offset(16375), []string{"16375", "at most 16384"}},
		"overflow":            {ok().Limit(10).Offset(math.MaxInt), []string{"offset"}},
		"no vector":           {query.Nearest[[]float32]("v"), []string{"0", "[1, 16384]"}},
		"too many vectors":    {query.Nearest("v", many...), []string{"16385", "[1, 16384]"}},
		"unknown field":       {query.Nearest("w", ownVector(1)), []string{`"w"`, "no such field"}},
		"no field":            {query.Nearest("", ownVector(1)), []string{"no such field"}},
		"scalar field":        {query.Nearest("n", ownVector(1)), []string{`"n"`, "not a vector field"}},
		"dim":                 {query.Nearest("v", ownVector(1)[:3]), []string{`"v"`, "row 0", "3 dimensions, the field has 4"}},
		"second dim":          {query.Nearest("v", ownVector(1), nil), []string{"row 1", "0 dimensions"}},
		"NaN":                 {query.Nearest("v", []float32{1, 2, nan, 4}), []string{`"v"`, "row 0", "element 2", "not finite"}},
		"infinity":            {query.Nearest("v", []float32{1, 2, 3, inf}), []string{`"v"`, "element 3", "not finite"}},
		"half overflow":       {query.Nearest("half", []float32{1e6, 0, 0, 0, 0}), []string{`"half"`}},
		"half bytes":          {query.Nearest("half", make([]byte, 9)), []string{"9 bytes, 10 expected"}},
		"half NaN bytes":      {query.Nearest("half", slices.Repeat([]byte{0xff}, 10)), []string{`"half"`}},
		"type":                {query.Nearest("v", []int8{1, 2, 3, 4}), []string{"[]int8", "FloatVector"}},
		"type of binary":      {query.Nearest("binary", []float32{1, 2}), []string{"[]float32", "BinaryVector"}},
		"binary length":       {query.Nearest("binary", []byte{1}), []string{"8 dimensions, the field has 16"}},
		"type of sparse":      {query.Nearest("sparse", []float32{1}), []string{"SparseFloatVector"}},
		"sparse lengths":      {query.Nearest("sparse", column.Sparse{Indices: []uint32{1}}), []string{"1 indices and 0 values"}},
		"sparse order":        {query.Nearest("sparse", column.Sparse{Indices: []uint32{2, 1}, Values: []float32{1, 1}}), []string{`"sparse"`, "row 0"}},
		"sparse NaN":          {query.Nearest("sparse", column.Sparse{Indices: []uint32{2}, Values: []float32{nan}}), []string{`"sparse"`}},
		"metric of floats":    {ok().Metric(vector.Hamming), []string{`"v"`, "HAMMING", "FloatVector"}},
		"metric of bits":      {query.Nearest("binary", []byte{1, 2}).Metric(vector.L2), []string{"L2", "BinaryVector"}},
		"metric of sparse":    {query.Nearest("sparse", column.Sparse{}).Metric(vector.Cosine), []string{"COSINE", "SparseFloatVector"}},
		"unknown metric":      {ok().Metric(99), []string{"metric"}},
		"output":              {ok().Output("colour"), []string{`"colour"`, "no such output field"}},
		"one of many vectors": {query.Nearest("v", ownVector(1), ownVector(2)), []string{"2", "SearchMany"}},
	} {
		t.Run(name, func(t *testing.T) {
			part, err := coll.Partition(engine.DefaultPartition)
			require.NoError(t, err)
			calls := []func() (any, error){
				func() (any, error) { return coll.SearchMany(ctx, c.req) }, func() (any, error) { return part.SearchMany(ctx, c.req) },
			}
			if c.req == nil || c.req.Vectors() == 1 || name == "one of many vectors" { // Search itself refuses any other number
				calls = append(calls, func() (any, error) { return coll.Search(ctx, c.req) }, func() (any, error) { return part.Search(ctx, c.req) })
			}
			if name == "one of many vectors" {
				calls = calls[2:]
			}
			for _, call := range calls {
				hits, err := call()
				require.Empty(t, hits)
				require.ErrorIs(t, err, engine.ErrInvalid)
				var fe *schema.FieldError
				require.ErrorAs(t, err, &fe)
				for _, text := range c.text {
					require.ErrorContains(t, err, text)
				}
			}
		})
	}
	_, err = coll.Search(ctx, ok().Partitions("nowhere"))
	require.ErrorIs(t, err, engine.ErrNotFound)
	require.ErrorContains(t, err, `"nowhere"`)
	part, err := coll.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	_, err = part.Search(ctx, ok().Partitions("nowhere"))
	require.ErrorIs(t, err, engine.ErrInvalid, "a partition is not asked for another's rows")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = coll.Search(cancelled, ok())
	require.ErrorIs(t, err, context.Canceled)
	hits, err := coll.Search(ctx, ok().Limit(16384).Metric(vector.L2))
	require.NoError(t, err)
	require.Len(t, hits, 1)
}
