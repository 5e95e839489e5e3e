package partition

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Budget bounds the memory of growing and sealing segments. A writer that finds it spent waits until a flush gives memory back.
type Budget struct {
	mu     sync.Mutex // guards what follows; nothing is locked under it
	limit  int64
	used   int64
	change chan struct{} // closed and renewed when memory comes back
	failed error         // no memory will come back

	// Waiting is called before a writer waits, so that someone flushes. It may be nil.
	Waiting func()
	// Closing ends every wait when it is closed. It may be nil.
	Closing <-chan struct{}
}

// ErrClosing is returned to a call that came to nothing because the engine closes.
var ErrClosing = errors.New("engine is closing")

// NewBudget makes a budget of limit bytes; 0 means none.
func NewBudget(limit int64) *Budget {
	return &Budget{limit: limit, change: make(chan struct{})}
}

// Used is the memory in use and the limit.
func (b *Budget) Used() (used, limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used, b.limit
}

// wait returns when less than the limit is in use. A single batch may pass the limit: it is checked before, and counted after.
func (b *Budget) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		if b.limit <= 0 || b.used < b.limit {
			b.mu.Unlock()
			return nil
		}
		if err := b.failed; err != nil {
			b.mu.Unlock()
			return err
		}
		used, change := b.used, b.change
		b.mu.Unlock()
		if b.Waiting != nil {
			b.Waiting()
		}
		select {
		case <-change:
		case <-b.Closing:
			return ErrClosing
		case <-ctx.Done():
			return fmt.Errorf("waiting for memory (%d bytes in growing segments, %d allowed): %w", used, b.limit, ctx.Err())
		}
	}
}

// Fail ends every wait: writes are refused, and nothing will be flushed.
func (b *Budget) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = err
	close(b.change)
	b.change = make(chan struct{})
}

func (b *Budget) take(n int64) {
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

func (b *Budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	close(b.change)
	b.change = make(chan struct{})
}
