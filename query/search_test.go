package query_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

func sample(t *testing.T, dynamic bool) *schema.Schema {
	s := schema.New("c").With(
		schema.VarChar("title", 20), schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 3), schema.Float16Vector("h", 2),
		schema.BFloat16Vector("b", 2), schema.Int8Vector("q", 2), schema.BinaryVector("bits", 8), schema.SparseFloatVector("sp"))
	if dynamic {
		s.EnableDynamicField()
	}
	done, err := s.Finish()
	require.NoError(t, err)
	return done
}

func TestPlan(t *testing.T) {
	s := sample(t, false)
	for name, c := range map[string]struct {
		req    *query.Search
		metric vector.Metric
		elem   vector.Element
	}{
		"float":         {query.Nearest("v", []float32{1, 2, 3}), vector.Cosine, vector.Float32},
		"half":          {query.Nearest("h", []float32{1, 2}), vector.Cosine, vector.Float16},
		"half in bytes": {query.Nearest("h", []byte{0, 0, 0, 0x3c}), vector.Cosine, vector.Float16},
		"brain":         {query.Nearest("b", []float32{1, 2}), vector.Cosine, vector.BFloat16},
		"int8":          {query.Nearest("q", []int8{1, 2}), vector.Cosine, vector.Int8},
		"binary":        {query.Nearest("bits", []byte{7}), vector.Hamming, vector.Binary},
		"sparse":        {query.Nearest("sp", column.Sparse{Indices: []uint32{4}, Values: []float32{1}}), vector.IP, vector.Sparse},
		"sparse, empty": {query.Nearest("sp", column.Sparse{}), vector.IP, vector.Sparse},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := c.req.Check(s, nil)
			require.NoError(t, err)
			require.Equal(t, c.metric, p.Metric)
			require.Equal(t, [2]int{query.DefaultTopK, 0}, [2]int{p.Limit, p.Offset})
			require.Len(t, p.Queries, 1)
			require.Equal(t, c.elem, p.Queries[0].Element())
			require.Equal(t, c.metric, p.Queries[0].Metric())
			require.Equal(t, c.req.Field(), p.Field.Name)
			require.Len(t, p.Output, 1)
			require.Equal(t, "id", p.Output[0].Name, "the primary key always comes")
			again, err := c.req.Check(s, nil)
			require.NoError(t, err, "a request may be used again")
			require.Equal(t, p.Output, again.Output)
		})
	}
}

func TestPlanBounds(t *testing.T) {
	s := sample(t, false)
	ok := func() *query.Search {
		return query.Nearest("v", []float32{1, 2, 3}, []float32{4, 5, 6}).Metric(vector.L2)
	}
	for _, c := range []struct {
		limit, offset int
		good          bool
	}{
		{1, 0, true},
		{16384, 0, true},
		{1, 16383, true},
		{0, 0, false},
		{-1, 0, false},
		{16385, 0, false},
		{1, 16384, false},
		{10, -1, false},
		{1, math.MaxInt, false},
		{math.MaxInt, math.MaxInt, false},
		{math.MinInt, 0, false},
		{1, math.MinInt, false},
	} {
		p, err := ok().Limit(c.limit).Offset(c.offset).Check(s, nil)
		if !c.good {
			require.ErrorIs(t, err, schema.ErrInvalid, "%+v", c)
			continue
		}
		require.NoError(t, err, "%+v", c)
		require.Equal(t, [2]int{c.limit, c.offset}, [2]int{p.Limit, p.Offset})
		require.Len(t, p.Queries, 2)
	}
	require.Equal(t, 2, ok().Vectors())
	require.Equal(t, []string{"a", "b"}, ok().Partitions("a").Partitions("b").PartitionNames())
}

func TestOutputFields(t *testing.T) {
	names := func(fields []*schema.Field) (out []string) {
		for _, f := range fields {
			out = append(out, f.Name)
		}
		return out
	}
	for _, c := range []struct {
		dynamic bool
		ask     []string
		want    []string
	}{
		{false, nil, []string{"id"}},
		{false, []string{"v", "title", "v", "id"}, []string{"id", "v", "title"}},
		{false, []string{"*"}, []string{"id", "title", "v", "h", "b", "q", "bits", "sp"}},
		{true, []string{"*", "title"}, []string{"id", "title", "v", "h", "b", "q", "bits", "sp", schema.MetaName}},
		{true, []string{"colour", "size"}, []string{"id", schema.MetaName}},
		{true, []string{schema.MetaName, "colour"}, []string{"id", schema.MetaName}},
	} {
		got, err := query.OutputFields(sample(t, c.dynamic), c.ask)
		require.NoError(t, err)
		require.Equal(t, c.want, names(got), c.ask)
	}
	_, err := query.OutputFields(sample(t, false), []string{"colour"})
	require.ErrorIs(t, err, schema.ErrInvalid)
	require.ErrorContains(t, err, `"colour"`)
}

func TestIndexChoices(t *testing.T) {
	s := sample(t, false)
	ok := func() *query.Search { return query.Nearest("v", []float32{1, 2, 3}).Limit(5).Offset(3) }
	p, err := ok().Check(s, map[string]vector.Metric{"v": vector.IP, "h": vector.L2})
	require.NoError(t, err)
	require.Equal(t, vector.IP, p.Metric, "the index's")
	require.Equal(t, 1, p.Parallel)
	p, err = ok().Metric(vector.L2).Ef(8).RefineK(1.5).Exact().Parallel(4).Check(s, map[string]vector.Metric{"v": vector.IP})
	require.NoError(t, err)
	require.Equal(t, query.Plan{
		Field: p.Field, Metric: vector.L2, Queries: p.Queries, Limit: 5, Offset: 3, Output: p.Output, Ef: 8, RefineK: 1.5, Exact: true, Parallel: 4, Decimals: -1,
	}, *p)
	for want, req := range map[string]*query.Search{
		`field "v", value 7: ef must be in [8, 2147483647]: at least limit + offset`: ok().Ef(7),
		`value -1: ef must be in [8, 2147483647]`:                                    ok().Ef(-1),
		`value 0.5: refine_k must be in [1, 16384]`:                                  ok().RefineK(0.5),
		`value NaN: refine_k must be in [1, 16384]`:                                  ok().RefineK(math.NaN()),
		`value -2: goroutines of a search must be in [1, 1024]`:                      ok().Parallel(-2),
	} {
		_, err := req.Check(s, nil)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}
