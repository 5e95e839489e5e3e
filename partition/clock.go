package partition

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the commit order of an engine: it knows which LSNs are durable, which are applied to segments, and so up to which one
// readers may see. LSNs are dense: each that the log hands out is applied exactly once, be it to nothing.
//
// INVARIANT: visible = min(durable, largest LSN up to which everything is applied). It never falls.
type Clock struct {
	visible atomic.Uint64
	latest  atomic.Int64 // what Milliseconds returned last

	mu      sync.Mutex // guards what follows; nothing is locked under it
	durable uint64
	applied uint64
	ahead   map[uint64]struct{} // applied, but not everything before them is
	waiters []waiter
	failed  error

	// swap is held for reading while a snapshot pins versions, and for writing while a version is swapped: a snapshot sees each
	// partition in one version, all at one LSN. It is locked after any shard lock; only leaves are locked under it: mu, Tombstones.mu.
	swap sync.RWMutex
}

// Milliseconds is the time by which rows expire, in milliseconds since 1970. It never falls, whatever the system's clock does: a row that has expired
// does not come back.
func (c *Clock) Milliseconds(now time.Time) int64 {
	for {
		last := c.latest.Load()
		ms := now.UnixMilli()
		if ms <= last {
			return last
		}
		if c.latest.CompareAndSwap(last, ms) {
			return ms
		}
	}
}

type waiter struct {
	lsn  uint64
	done chan error
}

// NewClock starts a clock at the LSN up to which everything is in segments.
func NewClock(lsn uint64) *Clock {
	c := &Clock{durable: lsn, applied: lsn, ahead: map[uint64]struct{}{}}
	c.visible.Store(lsn)
	return c
}

// Visible is the newest LSN that readers see.
func (c *Clock) Visible() uint64 { return c.visible.Load() }

// Durable tells that every LSN up to this one is durable. The log calls it.
func (c *Clock) Durable(lsn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable = max(c.durable, lsn)
	c.advance()
}

// Applied tells that one LSN is in the segments.
func (c *Clock) Applied(lsn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if lsn != c.applied+1 {
		c.ahead[lsn] = struct{}{}
		return
	}
	c.applied = lsn
	for len(c.ahead) > 0 {
		if _, ok := c.ahead[c.applied+1]; !ok {
			break
		}
		c.applied++
		delete(c.ahead, c.applied)
	}
	c.advance()
}

// Restart sets the clock after recovery: everything up to lsn is durable and applied.
func (c *Clock) Restart(lsn uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable, c.applied = max(c.durable, lsn), max(c.applied, lsn)
	c.advance()
}

// Fail tells that the log is poisoned: nothing beyond what is durable will ever become visible.
func (c *Clock) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = err
	}
	kept := c.waiters[:0]
	for _, w := range c.waiters {
		if w.lsn > c.durable {
			w.done <- c.failed
		} else {
			kept = append(kept, w)
		}
	}
	c.waiters = kept
}

func (c *Clock) advance() {
	v := min(c.durable, c.applied)
	if v <= c.visible.Load() {
		return
	}
	c.visible.Store(v)
	kept := c.waiters[:0]
	for _, w := range c.waiters {
		if w.lsn <= v {
			w.done <- nil
		} else {
			kept = append(kept, w)
		}
	}
	c.waiters = kept
}

var waitChannels = sync.Pool{New: func() any { return make(chan error, 1) }}

// Wait returns when the LSN is visible, or with the log's failure if it will never be.
func (c *Clock) Wait(lsn uint64) error {
	done, err := c.enlist(lsn)
	if done == nil {
		return err
	}
	err = <-done
	waitChannels.Put(done)
	return err
}

// WaitContext is Wait that gives up when ctx ends.
func (c *Clock) WaitContext(ctx context.Context, lsn uint64) error {
	done, err := c.enlist(lsn)
	if done == nil {
		return err
	}
	select {
	case err := <-done:
		waitChannels.Put(done)
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting for LSN %d: %w", lsn, ctx.Err()) // the channel is left to its one sender
	}
}

func (c *Clock) enlist(lsn uint64) (chan error, error) {
	if c.visible.Load() >= lsn {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.visible.Load() >= lsn {
		return nil, nil
	}
	if c.failed != nil && lsn > c.durable {
		return nil, c.failed
	}
	done := waitChannels.Get().(chan error)
	c.waiters = append(c.waiters, waiter{lsn, done})
	return done, nil
}
