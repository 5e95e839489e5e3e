package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Component is a use of memory.
type Component int

// The components.
const (
	Growing Component = iota // growing and sealing segments
	Writes                   // batches on their way into the log
	Rows                     // what sealed segments keep of their rows: key filters, copied columns, row sets of filters
	Indexes                  // of sealed segments, where they are not mapped files
	Cache                    // blocks of sealed segments
	Builds                   // flushes, merges and index builds
	Queries                  // scratch space of reads
	components
)

// String gives the component's name in lower case.
func (c Component) String() string {
	names := [components]string{"growing segments", "writes", "rows", "indexes", "cache", "builds", "queries"}
	if c < 0 || c >= components {
		return fmt.Sprintf("component(%d)", int(c))
	}
	return names[c]
}

// Use is what each component holds, in bytes.
type Use [components]int64

// Total is the sum.
func (u Use) Total() (n int64) {
	for _, x := range u {
		n += x
	}
	return n
}

// ErrTooSmall is wrapped by the error of a request that could never be granted.
var ErrTooSmall = errors.New("memory budget too small")

// ErrClosing is returned to whoever waits when Closing is closed.
var ErrClosing = errors.New("nobody is to wait for memory any more")

// Budget is an account of memory. It is safe for concurrent use.
type Budget struct {
	limit int64 // 0: none
	held  int64 // of the limit, that is set aside for Growing and Cache, whatever they use of it
	last  int64 // of the limit, that builds leave to others

	// Reclaim is asked, in the goroutine of whoever waits, to give back at least so many bytes, if it can. It is called by one goroutine at a
	// time. It may be nil.
	Reclaim func(bytes int64)
	// Closing ends every wait when it is closed. It may be nil.
	Closing <-chan struct{}
	// Waits is told of each request that has to wait. It may be nil.
	Waits func(c Component, bytes int64)

	reclaiming sync.Mutex

	mu     sync.Mutex // guards what follows; nothing is locked under it
	use    Use
	peak   int64
	waits  int64
	now    int           // how many wait now
	change chan struct{} // closed and renewed when memory comes back
}

// reclaimPause is how long one who waits lets pass before memory is given back for it again.
const reclaimPause = 100 * time.Millisecond

// New makes an account of limit bytes, 0 for none. held bytes of it are promised to Growing and Cache, which have bounds of their own: nobody
// else gets them.
func New(limit, held int64) *Budget {
	return &Budget{limit: limit, held: held, last: (limit - held) / 8, change: make(chan struct{})}
}

// Limit is the limit in bytes; 0 if there is none.
func (b *Budget) Limit() int64 { return b.limit }

// Most is what a component could get if nobody else held anything; 0 if there is no limit.
func (b *Budget) Most(c Component) int64 {
	switch {
	case b.limit == 0:
		return 0
	case c == Builds || c == Indexes:
		return b.limit - b.held - b.last
	}
	return b.limit - b.held
}

// Look tells what is in use, the most that ever was, and how often somebody had to wait.
func (b *Budget) Look() (use Use, peak, waits int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.use, b.peak, b.waits
}

// Add counts memory that came to be held, or with a negative number was given back. It never waits.
func (b *Budget) Add(c Component, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(c, b.use[c]+bytes)
}

// Set notes what a component holds in all.
func (b *Budget) Set(c Component, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(c, bytes)
}

// set changes what a component holds. REQUIRES: mu is held.
func (b *Budget) set(c Component, bytes int64) {
	less := bytes < b.use[c]
	b.use[c] = bytes
	b.peak = max(b.peak, b.use.Total())
	if less && b.now > 0 {
		close(b.change)
		b.change = make(chan struct{})
	}
}

// free is what a component can get now. REQUIRES: mu is held.
func (b *Budget) free(c Component) int64 {
	promised := b.use[Growing] + b.use[Cache]
	return b.Most(c) - (b.use.Total() - promised) - max(0, promised-b.held)
}

// Free is what a component can get now; for a budget without a limit ok is false.
func (b *Budget) Free(c Component) (bytes int64, ok bool) {
	if b.limit == 0 {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free(c), true
}

// Acquire waits until at least least bytes are to be had, and takes as many up to most; the caller gives them back with Add. Without a limit it
// takes most. A build that would be the only one gets its least if others keep too much for good, and cannot give it back: it may be what they wait
// for. The error wraps ErrTooSmall if least could never be had, or ctx.Err().
func (b *Budget) Acquire(ctx context.Context, c Component, least, most int64) (granted int64, err error) {
	if b.limit > 0 && least > b.Most(c) {
		return 0, fmt.Errorf("%w: %d bytes are needed, %s get %d of %d at most", ErrTooSmall, least, c, b.Most(c), b.limit)
	}
	granted, change := b.try(c, least, most)
	if change == nil {
		return granted, nil
	}
	b.wait(1)
	defer b.wait(-1)
	if b.Waits != nil {
		b.Waits(c, least)
	}
	var asked time.Time
	for {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("waiting for %d bytes of memory for %s: %w", least, c, err)
		}
		var again <-chan time.Time
		if since := time.Since(asked); since >= reclaimPause {
			asked = time.Now()
			b.reclaim(c, least)
		} else { // each search gives something back, and would lose what it keeps of rows for the next one
			again = time.After(reclaimPause - since)
		}
		if granted, change = b.try(c, least, most); change == nil {
			return granted, nil
		}
		if c == Builds && b.only(least) {
			return least, nil
		}
		select {
		case <-change:
		case <-again:
		case <-b.Closing:
			return 0, ErrClosing
		case <-ctx.Done():
		}
	}
}

// wait counts those who wait.
func (b *Budget) wait(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += n
	b.waits += int64(max(n, 0))
}

// try takes what it can; if that is less than least, nothing, and returns what is closed when it may be tried again.
func (b *Budget) try(c Component, least, most int64) (int64, chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	granted := max(least, most)
	if b.limit > 0 {
		free := b.free(c)
		if free < least {
			return 0, b.change
		}
		granted = min(granted, free)
	}
	b.set(c, b.use[c]+granted)
	return granted, nil
}

// only takes least bytes for a build, if there is none and they would not be free if all that comes back by itself came back.
func (b *Budget) only(least int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.use[Builds] > 0 || b.free(Builds)+b.use[Queries]+b.use[Writes] >= least {
		return false
	}
	b.set(Builds, least)
	return true
}

func (b *Budget) reclaim(c Component, least int64) {
	if b.Reclaim == nil {
		return
	}
	b.reclaiming.Lock()
	defer b.reclaiming.Unlock()
	if free, _ := b.Free(c); free < least {
		b.Reclaim(least - free)
	}
}

// Shrink has memory given back that is held beyond the limit.
func (b *Budget) Shrink() {
	if b.limit > 0 {
		b.reclaim(Queries, 0)
	}
}
