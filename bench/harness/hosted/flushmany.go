package hosted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// The searches of flushMany.
const (
	pacedSearches = 1000
	searchPause   = 2 * time.Millisecond
	syncEvery     = 5 // inserts for each sync of a plain file
	targetRecall  = .95
)

// flushMany inserts rows one by one into a new, indexed store and flushes after each, while a goroutine searches. Between them a plain file is
// appended to and synced. When the store has come to rest it is compared with one that took the same rows in one flush.
func (s *selkie) flushMany(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "count")
	if err != nil {
		return nil, err
	}
	eng, part, remove, err := s.indexed(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, remove()) }()
	plain, err := os.CreateTemp(s.store, "plain-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(plain.Name())
	defer plain.Close()

	during, stop := make(chan []float32, 1), make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		micros, err := s.paced(ctx, part, 1<<30, stop)
		during <- micros
		failed <- err
	}()
	supply := newSupply(s.set, 1)
	var syncs []float32
	most := 0
	piece := make([]byte, s.set.Dim*4+8)
	out, err = timed(args, n["count"], func(i int) error {
		cols, err := supply.take(i, 1)
		if err != nil {
			return err
		}
		if _, err := part.Insert(ctx, cols...); err != nil {
			return err
		}
		_, err = part.Flush(ctx)
		return err
	}, func(i int) error { // not part of the times
		most = max(most, part.Stats().Segments)
		if i%syncEvery != 0 {
			return nil
		}
		if _, err := plain.Write(piece); err != nil {
			return err
		}
		begin := time.Now()
		err := plain.Sync()
		syncs = append(syncs, float32(time.Since(begin).Nanoseconds())/1000)
		return err
	})
	close(stop)
	busy := <-during
	if err := errors.Join(err, <-failed); err != nil {
		return nil, err
	}
	each, err := readMicros(args["out"])
	if err != nil {
		return nil, err
	}
	atEnd := part.Stats().Segments
	if err := s.rest(ctx, eng); err != nil {
		return nil, err
	}
	quiet, err := s.paced(ctx, part, pacedSearches, nil)
	if err != nil {
		return nil, err
	}
	m := eng.Metrics()
	disk := segmentBytes(eng)

	single, one, removeOne, err := s.indexed(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, removeOne()) }()
	if err := insertRange(ctx, one, s.set, nil, 0, n["count"], 1000, func(int, int) {}); err != nil {
		return nil, err
	}
	if _, err := one.Flush(ctx); err != nil {
		return nil, err
	}
	if err := s.rest(ctx, single); err != nil {
		return nil, err
	}
	ratio, err := s.compared(ctx, part, one)
	if err != nil {
		return nil, err
	}
	quantile := func(us []float32, p float64) float64 { return result.Quantile(slices.Sorted(slices.Values(us)), p) }
	out.Set("sync_us", quantile(syncs, .5))
	out.Set("syncs_each", quantile(each, .5)/quantile(syncs, .5))
	out.Set("segments_most", float64(most))
	out.Set("segments_end", float64(atEnd))
	out.Set("segments_rest", float64(part.Stats().Segments))
	out.Set("p99_quiet_us", quantile(quiet, .99))
	out.Set("p99_busy_x", quantile(busy, .99)/quantile(quiet, .99))
	out.Set("qps_x", ratio)
	out.Set("disk_x", float64(disk)/float64(segmentBytes(single)))
	out.Set("written_x", m.WriteAmplification())
	return out, nil
}

// indexed opens a new store whose vectors are indexed.
func (s *selkie) indexed(ctx context.Context) (*engine.Engine, *engine.Partition, func() error, error) {
	eng, part, remove, err := s.fresh(ctx, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	coll, err := eng.Collection("rows")
	if err == nil {
		err = coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: s.set.Metric.String()})
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, remove())
	}
	return eng, part, remove, nil
}

// segmentBytes is what the rows and indexes of a store take, without its log.
func segmentBytes(eng *engine.Engine) int64 {
	return machine.DiskBytes(filepath.Join(eng.Dir(), "seg"))
}

// rest waits until nothing is merged any more, and all is indexed.
func (s *selkie) rest(ctx context.Context, eng *engine.Engine) error {
	const still = 12 * time.Second // a little more than Options.CompactIdle
	last, since := int64(-1), time.Now()
	for time.Since(since) < still {
		if n := eng.Metrics().Compactions; n != last {
			last, since = n, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	coll, err := eng.Collection("rows")
	if err != nil {
		return err
	}
	return coll.WaitIndexed(ctx)
}

// paced searches with a pause between searches, and returns their times.
func (s *selkie) paced(ctx context.Context, part *engine.Partition, most int, stop <-chan struct{}) (micros []float32, err error) {
	for i := range most {
		select {
		case <-stop:
			return micros, nil
		case <-ctx.Done():
			return micros, ctx.Err()
		case <-time.After(searchPause):
		}
		begin := time.Now()
		if _, err := part.Search(ctx, query.Nearest("vector", s.set.Query(i%s.set.Meta.Queries)).Metric(s.set.Metric).Limit(10)); err != nil {
			return micros, err
		}
		micros = append(micros, float32(time.Since(begin).Nanoseconds())/1000)
	}
	return micros, nil
}

// compared returns the searches a second of a, in those of b, each with as many candidates as it needs to find targetRecall of the ten
// nearest. They are asked in turns.
func (s *selkie) compared(ctx context.Context, a, b *engine.Partition) (float64, error) {
	const k = 10
	queries := min(s.set.Meta.Queries, 300)
	truth := make([]map[int64]bool, queries)
	ask := func(p *engine.Partition, q, ef int) ([]engine.Hit, error) {
		req := query.Nearest("vector", s.set.Query(q)).Metric(s.set.Metric).Limit(k)
		if ef > 0 {
			return p.Search(ctx, req.Ef(ef))
		}
		return p.Search(ctx, req.Exact())
	}
	for q := range truth {
		hits, err := ask(b, q, 0)
		if err != nil {
			return 0, err
		}
		truth[q] = map[int64]bool{}
		for _, h := range hits {
			truth[q][h.Key.Int] = true
		}
	}
	effort := func(p *engine.Partition) (int, error) {
		for ef := k; ; ef += 2 {
			found, of := 0, 0
			for q := range truth {
				hits, err := ask(p, q, ef)
				if err != nil {
					return 0, err
				}
				for _, h := range hits {
					if truth[q][h.Key.Int] {
						found++
					}
				}
				of += len(truth[q])
			}
			if float64(found) >= targetRecall*float64(of) {
				return ef, nil
			}
			if ef > 1000 {
				return 0, fmt.Errorf("%d of %d neighbours are found with ef %d", found, of, ef)
			}
		}
	}
	efA, err := effort(a)
	if err != nil {
		return 0, err
	}
	efB, err := effort(b)
	if err != nil {
		return 0, err
	}
	var ratios []float64
	for range 15 {
		var took [2]time.Duration
		for i, p := range []*engine.Partition{a, b} {
			begin := time.Now()
			for q := range truth {
				if _, err := ask(p, q, []int{efA, efB}[i]); err != nil {
					return 0, err
				}
			}
			took[i] = time.Since(begin)
		}
		ratios = append(ratios, took[1].Seconds()/took[0].Seconds())
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2], nil
}
