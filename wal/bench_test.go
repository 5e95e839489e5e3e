package wal_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/selkiedb/selkie/wal"
)

// BenchmarkAppend measures acknowledged records on the real disk: each goroutine waits for its record before it
// appends the next. Compare with BenchmarkRawLoop of the same run only.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64, 400_000} {
		for _, workers := range []int{1, 64} {
			b.Run(fmt.Sprintf("size=%d/goroutines=%d", size, workers), func(b *testing.B) {
				benchmarkAppend(b, size, workers, wal.SyncAlways)
			})
		}
	}
	b.Run("size=64/goroutines=1/policy=none", func(b *testing.B) { benchmarkAppend(b, 64, 1, wal.SyncNone) })
}

// tickets lets goroutines wait for their LSN without waking all others.
type tickets struct {
	mu      sync.Mutex
	durable uint64
	waiting map[uint64]chan struct{}
}

func (k *tickets) done(lsn uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.durable < lsn {
		k.durable++
		if c := k.waiting[k.durable]; c != nil {
			close(c)
			delete(k.waiting, k.durable)
		}
	}
}

func (k *tickets) wait(lsn uint64) {
	k.mu.Lock()
	if k.durable >= lsn {
		k.mu.Unlock()
		return
	}
	c := make(chan struct{})
	k.waiting[lsn] = c
	k.mu.Unlock()
	<-c
}

func benchmarkAppend(b *testing.B, size, workers int, policy wal.SyncPolicy) {
	k := &tickets{waiting: map[uint64]chan struct{}{}}
	l, err := wal.Open(wal.Options{
		Dir: b.TempDir(), Policy: policy, Durable: k.done,
		Failed: func(err error) { panic(err) },
	}, 0, nil)
	if err != nil {
		b.Fatal(err)
	}
	p := payload(1, size)
	b.SetBytes(int64(size))
	b.ResetTimer()
	var wg sync.WaitGroup
	var n atomic.Int64
	for range workers {
		wg.Go(func() {
			for n.Add(1) <= int64(b.N) {
				lsn, err := appendOne(l, p)
				if err != nil {
					panic(err)
				}
				k.wait(lsn)
				// Keep the disk use of long runs small, as a store that flushes does.
				if lsn%1000 == 0 {
					if err := l.Truncate(l.FirstSeqFor(lsn)); err != nil {
						panic(err)
					}
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	s := l.Stats()
	b.ReportMetric(float64(s.Records)/float64(s.Groups), "records/group")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRawLoop writes and fdatasyncs the same bytes to a growing file in a plain loop.
func BenchmarkRawLoop(b *testing.B) {
	for _, size := range []int{64, 400_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			f, err := vfs.Default.Create(filepath.Join(b.TempDir(), "raw"), vfs.WriteCategoryUnspecified)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			p := payload(1, size)
			b.SetBytes(int64(size))
			b.ResetTimer()
			for range b.N {
				if _, err := f.Write(p); err != nil {
					b.Fatal(err)
				}
				if err := f.SyncData(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkOpen opens and closes a log with one record on the real disk.
func BenchmarkOpen(b *testing.B) {
	opts := wal.Options{Dir: b.TempDir()}
	for range b.N {
		l, err := wal.Open(opts, 0, nil)
		if err != nil {
			b.Fatal(err)
		}
		if opts.FirstSeq == 0 {
			if _, err := appendOne(l, []byte("record")); err != nil {
				b.Fatal(err)
			}
		}
		opts.FirstSeq = 1
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReplay reads a log of 64 MiB from the page cache.
func BenchmarkReplay(b *testing.B) {
	for _, size := range []int{64, 400_000} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			opts := wal.Options{Dir: b.TempDir(), Policy: wal.SyncNone}
			l, err := wal.Open(opts, 0, nil)
			if err != nil {
				b.Fatal(err)
			}
			for p := payload(1, size); l.Size() < 64<<20; {
				if _, err := appendOne(l, p); err != nil {
					b.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(l.Size())
			opts.FirstSeq, opts.ReadOnly = 1, true
			for b.Loop() {
				if _, err := wal.Open(opts, 0, func(uint64, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
