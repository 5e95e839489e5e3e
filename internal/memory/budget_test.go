package memory_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/selkiedb/selkie/internal/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoLimit(t *testing.T) {
	b := memory.New(0, 0)
	n, err := b.Acquire(t.Context(), memory.Builds, 10, 1<<40)
	require.NoError(t, err)
	require.EqualValues(t, 1<<40, n)
	_, ok := b.Free(memory.Builds)
	require.False(t, ok)
	use, peak, waits := b.Look()
	require.EqualValues(t, 1<<40, use[memory.Builds])
	require.EqualValues(t, 1<<40, peak)
	require.Zero(t, waits)
}

func TestGrantsBetweenLeastAndMost(t *testing.T) {
	b := memory.New(1000, 200) // 800 for others, 100 of them not for builds
	n, err := b.Acquire(t.Context(), memory.Builds, 10, 10_000)
	require.NoError(t, err)
	require.EqualValues(t, 700, n)
	n, err = b.Acquire(t.Context(), memory.Queries, 50, 50)
	require.NoError(t, err, "what builds leave is there for queries")
	require.EqualValues(t, 50, n)
	b.Add(memory.Growing, 200)
	free, _ := b.Free(memory.Queries)
	require.EqualValues(t, 50, free, "what was set aside is not counted twice")
}

func TestNeverFits(t *testing.T) {
	b := memory.New(1000, 200)
	_, err := b.Acquire(t.Context(), memory.Builds, 701, 701)
	require.ErrorIs(t, err, memory.ErrTooSmall)
	require.ErrorContains(t, err, "701 bytes are needed, builds get 700 of 1000 at most")
}

func TestWaitsAndIsServed(t *testing.T) {
	b := memory.New(1000, 200)
	waiting := make(chan memory.Component, 1)
	b.Waits = func(c memory.Component, _ int64) { waiting <- c }
	n, err := b.Acquire(t.Context(), memory.Builds, 500, 500)
	require.NoError(t, err)
	done := make(chan error)
	go func() {
		got, err := b.Acquire(context.Background(), memory.Builds, 300, 300)
		b.Add(memory.Builds, -got)
		done <- err
	}()
	require.Equal(t, memory.Builds, <-waiting)
	b.Add(memory.Builds, -n)
	require.NoError(t, <-done)

	_, err = b.Acquire(t.Context(), memory.Builds, 500, 500)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	b.Waits = func(memory.Component, int64) { cancel() }
	_, err = b.Acquire(ctx, memory.Builds, 300, 300)
	require.ErrorIs(t, err, context.Canceled)
	use, _, waits := b.Look()
	require.EqualValues(t, 500, use.Total(), "nothing is left of the call that gave up")
	require.EqualValues(t, 2, waits)
}

func TestReclaims(t *testing.T) {
	b := memory.New(1000, 200)
	b.Set(memory.Indexes, 600)
	b.Reclaim = func(bytes int64) {
		require.EqualValues(t, 200, bytes)
		b.Set(memory.Indexes, 300)
	}
	n, err := b.Acquire(t.Context(), memory.Builds, 300, 500)
	require.NoError(t, err)
	require.EqualValues(t, 400, n)
	b.Reclaim = func(bytes int64) {
		require.EqualValues(t, 400, bytes)
		b.Set(memory.Indexes, 0)
	}
	b.Set(memory.Indexes, 800) // a query's scratch space would not fit any more
	b.Shrink()
	use, _, _ := b.Look()
	require.Zero(t, use[memory.Indexes])
}

// However many take and give back, the limit holds and nobody is forgotten.
func TestManyAtOnce(t *testing.T) {
	b := memory.New(1000, 0)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 300 {
				c := memory.Builds + memory.Component(rng.IntN(2))
				n, err := b.Acquire(context.Background(), c, 1+rng.Int64N(400), 500)
				if err != nil {
					t.Error(err)
					return
				}
				b.Add(c, -n)
			}
		})
	}
	wg.Wait()
	use, peak, _ := b.Look()
	require.Zero(t, use.Total())
	require.LessOrEqual(t, peak, int64(1000))
}

// A build does not wait for queries whose memory would not be enough for it; it waits for those whose would.
func TestOnlyBuild(t *testing.T) {
	b := memory.New(1000, 200)
	b.Set(memory.Indexes, 600)
	b.Set(memory.Queries, 50)
	n, err := b.Acquire(t.Context(), memory.Builds, 300, 500)
	require.NoError(t, err)
	require.EqualValues(t, 300, n)
	b.Add(memory.Builds, -n)

	b.Set(memory.Indexes, 400)
	b.Set(memory.Queries, 250)
	ctx, cancel := context.WithCancel(t.Context())
	b.Waits = func(memory.Component, int64) { cancel() }
	_, err = b.Acquire(ctx, memory.Builds, 300, 500)
	require.ErrorIs(t, err, context.Canceled)
}
