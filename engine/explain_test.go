package engine_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/internal/force"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector/graph"
)

// numbered makes a collection with one sealed, indexed segment of n rows and one growing of more; number is id % 100.
func numbered(t *testing.T, n, more int) (*engine.Collection, []float32) {
	t.Helper()
	ctx := context.Background()
	eng, err := engine.Open("db", &engine.Options{FS: vfs.NewMem(), SegmentBytes: -1, CompactBytes: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	c, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.Int64("number"), schema.FloatVector("v", indexDim)))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	p, err := c.Partition(engine.DefaultPartition)
	require.NoError(t, err)
	vecs := clustered(rand.New(rand.NewPCG(3, 4)), n+more)
	insert := func(lo, hi int) {
		var ids, numbers []int64
		for i := lo; i < hi; i++ {
			ids, numbers = append(ids, int64(i)), append(numbers, int64(i%100))
		}
		_, err := p.Insert(ctx, column.Int64("id", ids), column.Int64("number", numbers), column.FloatVectorFlat("v", indexDim, vecs[lo*indexDim:hi*indexDim]))
		require.NoError(t, err)
	}
	insert(0, n)
	_, err = p.Flush(ctx)
	require.NoError(t, err)
	require.NoError(t, c.WaitIndexed(ctx))
	insert(n, n+more)
	return c, vecs
}

func TestExplain(t *testing.T) {
	ctx := context.Background()
	c, vecs := numbered(t, 3000, 200)
	q := vecs[:indexDim]
	var r query.Receipt
	states := func() map[string]query.SegmentWork {
		out := map[string]query.SegmentWork{}
		for _, s := range r.Segments {
			out[s.State] = s
		}
		require.Len(t, out, 2)
		return out
	}

	_, err := c.Search(ctx, query.Nearest("v", q).Explain(&r))
	require.NoError(t, err)
	require.Positive(t, r.Duration)
	require.Empty(t, r.Filter)
	require.EqualValues(t, 3200, r.Matched())
	sealed, growing := states()["sealed"], states()["growing"]
	require.Equal(t, []string{"all", "all"}, []string{sealed.Matching, growing.Matching})
	require.Equal(t, map[string]int{"scan of codes": 1}, sealed.Plans, "so few rows have no graph")
	require.EqualValues(t, 3000, sealed.Scored)
	require.Positive(t, sealed.Refined)
	require.Less(t, sealed.Refined, sealed.Scored)
	require.Equal(t, map[string]int{"scan of vectors": 1}, growing.Plans)
	require.EqualValues(t, 200, growing.Scored)
	require.True(t, growing.Exact)
	require.False(t, r.Exact())

	_, err = c.Search(ctx, query.Nearest("v", q).Filter("1 < 2").Explain(&r))
	require.NoError(t, err)
	require.Equal(t, "all", states()["sealed"].Matching)

	search := query.Nearest("v", q, vecs[indexDim:2*indexDim]).Filter("number < 10").Explain(&r)
	_, err = c.SearchMany(ctx, search)
	require.NoError(t, err)
	require.Equal(t, "number < 10", r.Filter)
	require.EqualValues(t, 320, r.Matched())
	sealed = states()["sealed"]
	require.Equal(t, "values", sealed.Matching)
	require.EqualValues(t, 3000, sealed.Compared)
	require.Equal(t, map[string]int{"scan of matches": 2}, sealed.Plans)
	require.EqualValues(t, 600, sealed.Scored)
	_, err = c.SearchMany(ctx, search)
	require.NoError(t, err)
	require.Equal(t, "kept", states()["sealed"].Matching)
	require.Contains(t, r.String(), "300 of 3000 rows match, by kept")

	_, err = c.Search(ctx, query.Nearest("v", q).Filter("number < 10").Exact().Explain(&r))
	require.NoError(t, err)
	require.True(t, r.Exact())
	require.EqualValues(t, 300, states()["sealed"].Scored, "the rows that match alone")

	n, err := c.CountWhere(ctx, query.Where("id in [1, 3001]").Explain(&r))
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.Equal(t, "keys", states()["sealed"].Matching)
	require.EqualValues(t, 1, states()["sealed"].Compared)
	_, err = c.Query(ctx, query.Where("number == 1000").Explain(&r))
	require.NoError(t, err)
	require.Zero(t, r.Matched())
	require.Zero(t, states()["sealed"].Compared, "its bounds exclude it")
	require.Empty(t, states()["sealed"].Plans)
}

// Whatever plan is forced, hits match, and there are as many as can be.
func TestForcedPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a graph")
	}
	c, vecs := numbered(t, 20_000, 10)
	for _, expr := range []string{"number < 0", "id == 5", "number < 1", "number == 7 and id < 900", "number < 30", "number < 99"} {
		want, err := c.CountWhere(context.Background(), query.Where(expr))
		require.NoError(t, err)
		for plan := graph.PlanAuto; plan <= graph.PlanInside; plan++ {
			ctx := force.Plan(context.Background(), uint8(plan))
			var r query.Receipt
			hits, err := c.Search(ctx, query.Nearest("v", vecs[:indexDim]).Filter(expr).Limit(20).Output("number").Explain(&r))
			require.NoError(t, err)
			require.Len(t, hits, int(min(want, 20)), "%s by %v: %s", expr, plan, &r)
			if expr == "number < 99" && (plan == graph.PlanPost || plan == graph.PlanInside) {
				require.Contains(t, r.String(), plan.String())
			}
		}
	}
}
