package graph

import (
	"context"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
)

// pieceRows is how many rows a worker does at a time where each takes some ten microseconds.
const pieceRows = 16

// each calls work for the numbers 0 to n-1 in pieces of at most size, from as
// many goroutines as there are workers, and returns when all are done. Which
// worker gets which piece is left to chance: what is computed must not depend
// on it. After each piece a worker lets others have the processor.
func each(workers, n, size int, work func(worker, lo, hi int)) {
	pieces := (n + size - 1) / size
	if workers = min(workers, pieces); workers <= 1 {
		for lo := 0; lo < n; lo += size {
			work(0, lo, min(lo+size, n))
			runtime.Gosched()
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
					runtime.Gosched() // to searches: by itself the runtime lets them wait for ten milliseconds
				}
			})
		})
	}
	wg.Wait()
}
