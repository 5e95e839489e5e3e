package partition_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/partition"
)

// visible = min(durable, everything up to it is applied), in whatever order both are told.
func TestClockAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(0, 5).Draw(t, "start")
		c := partition.NewClock(start)
		durable, applied := start, map[uint64]bool{}
		open := []uint64{} // given out, not applied yet
		next := start
		visible := func() uint64 {
			v := start
			for v < durable && applied[v+1] {
				v++
			}
			return v
		}
		t.Repeat(map[string]func(*rapid.T){
			"give": func(*rapid.T) { next++; open = append(open, next) },
			"apply": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("no write is under way that could be applied") // rapid draws another action
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				applied[open[i]] = true
				c.Applied(open[i])
				open = append(open[:i], open[i+1:]...)
			},
			"sync": func(t *rapid.T) {
				lsn := rapid.Uint64Range(start, next).Draw(t, "LSN")
				durable = max(durable, lsn)
				c.Durable(lsn)
			},
			"": func(t *rapid.T) {
				require.Equal(t, visible(), c.Visible())
				require.NoError(t, c.Wait(visible()), "what is visible is not waited for")
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				require.ErrorIs(t, c.WaitContext(ctx, visible()+1), context.Canceled)
				require.NoError(t, c.WaitContext(ctx, visible()))
			},
		})
	})
}

// Each waiter is woken when its LSN becomes visible, and not before.
func TestClockWaiters(t *testing.T) {
	c := partition.NewClock(0)
	const n = 200
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for lsn := uint64(1); lsn <= n; lsn++ {
		wg.Go(func() {
			err := c.Wait(lsn)
			if err == nil && c.Visible() < lsn {
				err = errors.New("woken too early")
			}
			errs <- err
		})
	}
	wg.Go(func() {
		for lsn := uint64(n); lsn > 0; lsn-- { // backwards: nothing is visible before the last
			c.Applied(lsn)
		}
	})
	for lsn := uint64(1); lsn <= n; lsn += 7 {
		c.Durable(lsn)
	}
	c.Durable(n)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.EqualValues(t, n, c.Visible())
}

// A failed log answers those who wait for what is not durable, now and later; what is durable stays visible.
func TestClockFailure(t *testing.T) {
	c := partition.NewClock(10)
	boom := errors.New("boom")
	result := make(chan error, 2)
	go func() { result <- c.Wait(12) }()
	c.Applied(11)
	c.Applied(12)
	c.Durable(11)
	require.NoError(t, c.Wait(11))
	c.Fail(boom)
	c.Fail(errors.New("a second one"))
	require.ErrorIs(t, <-result, boom)
	require.ErrorIs(t, c.Wait(12), boom)
	require.ErrorIs(t, c.WaitContext(context.Background(), 13), boom)
	require.NoError(t, c.Wait(11))
	require.EqualValues(t, 11, c.Visible())
}

func TestClockRestart(t *testing.T) {
	c := partition.NewClock(0)
	c.Restart(40)
	require.EqualValues(t, 40, c.Visible())
	c.Restart(30)
	require.EqualValues(t, 40, c.Visible(), "it never falls")
	c.Applied(41)
	c.Durable(41)
	require.EqualValues(t, 41, c.Visible())
}
