package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/selkiedb/selkie/internal/memory"
)

// Budget bounds the memory of growing and sealing segments. A writer that finds it spent waits until a flush gives memory back.
type Budget struct {
	memory *memory.Budget // of the whole engine

	mu      sync.Mutex // guards what follows; nothing but memory's lock is taken under it
	limit   int64
	used    int64
	coming  int64         // of writes that were let in and have not come so far
	waiting int           // writers
	change  chan struct{} // closed and renewed when memory comes back
	failed  error         // no memory will come back

	// Waiting is called before a writer waits, so that someone flushes. It may be nil.
	Waiting func()
	// Closing ends every wait when it is closed. It may be nil.
	Closing <-chan struct{}
}

// ErrClosing is returned to a call that came to nothing because the engine closes.
var ErrClosing = errors.New("engine is closing")

// NewBudget makes a budget of limit bytes, 0 means none, which is a part of the engine's.
func NewBudget(limit int64, whole *memory.Budget) *Budget {
	return &Budget{memory: whole, limit: limit, change: make(chan struct{})}
}

// Used is the memory in use and the limit.
func (b *Budget) Used() (used, limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.limit
}

// enter returns when there is room for a write of so many bytes; leave takes it out again, when what it left in growing segments has been
// counted. A batch that is larger than the limit is let in alone.
func (b *Budget) enter(ctx context.Context, bytes int64) error {
	if err := b.wait(ctx, bytes); err != nil {
		return err
	}
	// The record, and the columns that it is made of.
	if _, err := b.memory.Acquire(ctx, memory.Writes, 2*bytes, 2*bytes); err != nil {
		b.mu.Lock()
		b.coming -= bytes
		b.changed()
		b.mu.Unlock()
		return err
	}
	return nil
}

func (b *Budget) leave(bytes int64) {
	b.memory.Add(memory.Writes, -2*bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.coming -= bytes
	b.changed()
}

// changed wakes those who wait. REQUIRES: mu is held.
func (b *Budget) changed() {
	if b.waiting == 0 {
		return
	}
	close(b.change)
	b.change = make(chan struct{})
}

func (b *Budget) wait(ctx context.Context, bytes int64) error {
	for {
		b.mu.Lock()
		if held := b.used + b.coming; b.limit <= 0 || held == 0 || held+bytes <= b.limit {
			b.coming += bytes
			b.mu.Unlock()
			return nil
		}
		if err := b.failed; err != nil {
			b.mu.Unlock()
			return err
		}
		b.waiting++
		used, change := b.used, b.change
		b.mu.Unlock()
		if b.Waiting != nil {
			b.Waiting()
		}
		var err error
		select {
		case <-change:
		case <-b.Closing:
			err = ErrClosing
		case <-ctx.Done():
			err = fmt.Errorf("waiting for memory (%d bytes in growing segments, %d allowed): %w", used, b.limit, ctx.Err())
		}
		b.mu.Lock()
		b.waiting--
		b.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// Fail ends every wait: writes are refused, and nothing will be flushed.
func (b *Budget) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
	b.changed()
}

func (b *Budget) take(n int64) {
	b.memory.Add(memory.Growing, n)
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

func (b *Budget) release(n int64) {
	b.memory.Add(memory.Growing, -n)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.changed()
}
