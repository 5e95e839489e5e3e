package engine

import (
	"context"
	"sync"
)

// trash removes files, but not while somebody holds it. While its goroutine runs, those who come to it last, be they flushes or searches, do not wait
// for the file system.
type trash struct {
	mu      sync.Mutex // guards what follows; nothing is locked under it
	held    int
	running bool
	queued  []func()
	wake    chan struct{} // cap 1
}

func (t *trash) hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held++
}

// remove calls fn: soon, or when nobody holds the trash any more.
func (t *trash) remove(fn func()) {
	t.mu.Lock()
	if t.held > 0 || t.running {
		t.queued = append(t.queued, fn)
		t.mu.Unlock()
		t.kick()
		return
	}
	t.mu.Unlock()
	fn()
}

func (t *trash) release() {
	t.mu.Lock()
	t.held--
	running := t.running
	t.mu.Unlock()
	if running {
		t.kick()
		return
	}
	t.empty()
}

func (t *trash) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// empty removes what is queued, unless somebody holds the trash.
func (t *trash) empty() {
	t.mu.Lock()
	var run []func()
	if t.held == 0 {
		run, t.queued = t.queued, nil
	}
	t.mu.Unlock()
	for _, fn := range run {
		fn()
	}
}

// begin makes remove leave the work to run, which must follow.
func (t *trash) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = true
}

// run removes what comes until ctx ends. What comes later is removed by those who bring it.
func (t *trash) run(ctx context.Context) {
	for {
		select {
		case <-t.wake:
			t.empty()
		case <-ctx.Done():
			t.mu.Lock()
			t.running = false
			t.mu.Unlock()
			t.empty()
			return
		}
	}
}
