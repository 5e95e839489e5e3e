package graph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
	"github.com/selkiedb/selkie/vector/graph"
)

// TestPlans holds every plan to the filter, and the one that is chosen to the
// truth, where rows match that lie around the query, and where these are the
// very ones that don't.
func TestPlans(t *testing.T) {
	n := size(19_000, 2500)
	c := wordRows(t, vector.Cosine, n)
	c.queries = c.queries[:size(20, 6)*c.dim]
	ix := build(t, c, graph.Options{FlatBytes: -1})
	defer graph.ForceWalk(size(5, 2))()
	chosen := map[graph.Plan]int{}
	for i := range c.count() {
		q := c.query(i)
		order := c.truth(t, q, n, nil)
		for _, share := range []float64{.001, .01, .05, .2, .5, .9, .99} {
			for _, near := range []bool{true, false} {
				rows := order[:int(share*float64(n))]
				if !near {
					rows = order[n-len(rows):]
				}
				allowed := make([]uint64, (n+63)/64)
				for _, h := range rows {
					allowed[h.Row/64] |= 1 << (h.Row % 64)
				}
				for plan := graph.PlanAuto; plan <= graph.PlanInside; plan++ {
					o := &graph.SearchOptions{Allowed: allowed, Plan: plan, Exact: c.exact(t, q)}
					hits, stats, err := ix.Search(nil, q, 10, o)
					require.NoError(t, err)
					require.Len(t, hits, min(10, len(rows)), "%v of %v, near %v", plan, share, near)
					found := 0
					for _, h := range hits {
						require.NotZero(t, allowed[h.Row/64]>>(h.Row%64)&1)
						for _, want := range rows[:min(10, len(rows))] {
							if h.Row == want.Row {
								found++
							}
						}
					}
					switch plan {
					case graph.PlanAuto:
						chosen[stats.Plan]++
						require.GreaterOrEqual(t, found, min(8, len(rows)), "%v of %v, near %v, by %v", plan, share, near, stats.Plan)
					case graph.PlanScan:
						require.Equal(t, graph.PlanScan, stats.Plan)
						require.GreaterOrEqual(t, stats.Distances, len(rows))
					}
				}
			}
		}
	}
	require.Positive(t, chosen[graph.PlanScan])
	require.Positive(t, chosen[graph.PlanPost])
	require.Len(t, chosen, 2)
}
