package graph

import (
	"context"
	"runtime/pprof"
	"sync"
	"sync/atomic"
)

// each calls work for the numbers 0 to n-1 in pieces of at most size, from as
// many goroutines as there are workers, and returns when all are done. Which
// worker gets which piece is left to chance: what is computed must not depend
// on it.
func each(workers, n, size int, work func(worker, lo, hi int)) {
	pieces := (n + size - 1) / size
	if workers = min(workers, pieces); workers <= 1 {
		for lo := 0; lo < n; lo += size {
			work(0, lo, min(lo+size, n))
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			pprof.Do(context.Background(), pprof.Labels("selkie", "graph build"), func(context.Context) {
				for {
					lo := int(next.Add(1)-1) * size
					if lo >= n {
						return
					}
					work(w, lo, min(lo+size, n))
				}
			})
		})
	}
	wg.Wait()
}
