package hosted

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/query"
)

// flushEach inserts rows one by one into a new store and flushes after each. Then it searches.
func (s *selkie) flushEach(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "count")
	if err != nil {
		return nil, err
	}
	_, part, remove, err := s.fresh(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, remove()) }()
	supply := newSupply(s.set, 1)
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
	})
	if err != nil {
		return nil, err
	}
	const searches = 50
	begin := time.Now()
	for i := range searches {
		hits, err := part.Search(ctx, query.Nearest("vector", s.set.Query(i)).Metric(s.set.Metric).Limit(10))
		if err != nil {
			return nil, err
		}
		if len(hits) != min(10, n["count"]) {
			return nil, fmt.Errorf("%d hits among %d rows", len(hits), n["count"])
		}
	}
	out.Set("search_us_after", time.Since(begin).Seconds()*1e6/searches)
	out.Set("segments_after", float64(part.Stats().Segments))
	return out, nil
}

// mixed searches a sealed, indexed store from one goroutine while another inserts batches into it, as quickly as it can.
func (s *selkie) mixed(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "rows", "batch", "count")
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	inserted, failed := 0, make(chan error, 1)
	go func() {
		supply := newSupply(s.set, n["batch"])
		for first := n["rows"]; !stop.Load() && args["writer"] == "1"; first += n["batch"] {
			cols, err := supply.take(first, n["batch"])
			if err == nil {
				_, err = s.part.Insert(ctx, cols...)
			}
			if err != nil {
				failed <- err
				return
			}
			inserted += n["batch"]
		}
		failed <- nil
	}()
	out, err := timed(args, n["count"], func(i int) error {
		_, err := s.part.Search(ctx, query.Nearest("vector", s.set.Query(i%s.set.Meta.Queries)).Metric(s.set.Metric).Limit(10))
		return err
	})
	stop.Store(true)
	if writing := <-failed; err == nil {
		err = writing
	}
	if err != nil {
		return nil, err
	}
	out.Set("inserted", float64(inserted))
	return out, nil
}
