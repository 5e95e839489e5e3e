package engine_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// TestCheckBesideCompaction checks a store whose segments last no longer than a look at them: between the edit that ends a segment and the
// version without it, neither is wrong.
func TestCheckBesideCompaction(t *testing.T) {
	ctx := context.Background()
	eng := openMem(t, engine.Options{CompactBytes: -1})
	coll, err := eng.CreateCollection(ctx, plainSchema("c"))
	require.NoError(t, err)
	part, err := coll.CreatePartition(ctx, "p")
	require.NoError(t, err)
	g := &crowd{t: t}
	rounds := 300
	if testing.Short() {
		rounds = max(100/thinner, 15)
	}
	g.write(rounds, func(i int) error {
		if _, err := part.Insert(ctx, plainRows(0, int64(2*i), int64(2*i+1))...); err != nil {
			return err
		}
		if _, err := part.Flush(ctx); err != nil {
			return err
		}
		return coll.Compact(ctx)
	})
	var ids []int64
	for id := range int64(500) {
		ids = append(ids, 1_000_000+id)
	}
	for range 2 { // these hold the locks that the version is changed under
		g.loop(func() error {
			_, err := part.Upsert(ctx, plainRows(0, ids...)...)
			return err
		})
	}
	for range 2 {
		g.loop(func() error {
			r, err := eng.Check(ctx, &engine.CheckOptions{Samples: -1})
			if err == nil && len(r.Problems) > 0 {
				g.t.Errorf("%v", r)
				g.done.Store(true)
			}
			return err
		})
	}
	g.wait()
}
