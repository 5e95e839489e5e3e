package hosted

import (
	"context"
	"sync/atomic"

	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/query"
)

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
