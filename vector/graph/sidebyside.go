package graph

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// sideBySide carries out all of the work, on as many goroutines as there are
// processors, and returns the error of the first in the list that has one. What
// panics there panics here: a fault of mapped memory is such a panic, for a
// caller who asked for it by debug.SetPanicOnFault, which holds for one goroutine
// only.
func sideBySide(work ...func() error) error {
	errs := make([]error, len(work))
	var next atomic.Int64
	var mu sync.Mutex // guards panicked
	var panicked any
	some := func() {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if r := recover(); r != nil {
				mu.Lock()
				defer mu.Unlock()
				panicked = r
			}
		}()
		for {
			i := int(next.Add(1)) - 1
			if i >= len(work) {
				return
			}
			errs[i] = work[i]()
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(work)) - 1 {
		wg.Go(some)
	}
	some()
	wg.Wait()
	if panicked != nil {
		panic(panicked) // INVARIANT: it was one already
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// inRanges divides 0 to n-1 into a few ranges of at least least.
func inRanges(n, least int, work func(lo, hi int) error) (all []func() error) {
	pieces := max(min(4*runtime.GOMAXPROCS(0), n/max(least, 1)), 1)
	for i := range pieces {
		lo, hi := i*n/pieces, (i+1)*n/pieces
		all = append(all, func() error { return work(lo, hi) })
	}
	return all
}
