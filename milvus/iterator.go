package milvus

import (
	"context"
	"crypto/rand"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
)

const (
	// maxViews bounds the iterators that are open; the one used least recently is given up for another.
	maxViews = 128
	// viewIdle is how long an iterator stays open that nobody asks.
	viewIdle = 10 * time.Minute
)

// views are the snapshots of iterators that clients go on with. They hold segments, so they are few and do not stay for long.
type views struct {
	mu   sync.Mutex // guards what follows; Snapshot.mu is locked under it
	open map[string]*view
}

// view is one iterator's snapshot. A query iterator names it by its timestamp, a search iterator by its token.
type view struct {
	collection uint64
	snap       *engine.Snapshot
	session    uint64
	used       time.Time

	mu   sync.Mutex   // guards what follows; nothing is locked under it
	hits []engine.Hit // of a search iterator: all it will give
}

func (v *views) put(key string, n *view, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep(now)
	if v.open == nil {
		v.open = map[string]*view{}
	}
	for len(v.open) >= maxViews {
		oldest := ""
		for k, x := range v.open {
			if oldest == "" || x.used.Before(v.open[oldest].used) {
				oldest = k
			}
		}
		v.drop(oldest)
	}
	n.used = now
	v.open[key] = n
}

func (v *views) get(key string, collection uint64, now time.Time) (*view, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep(now)
	x, ok := v.open[key]
	if !ok || x.collection != collection {
		return nil, false
	}
	x.used = now
	return x, true
}

// sweep gives up what nobody asked for. REQUIRES: mu is held.
func (v *views) sweep(now time.Time) {
	for k, x := range v.open {
		if now.Sub(x.used) > viewIdle {
			v.drop(k)
		}
	}
}

// drop gives one up. REQUIRES: mu is held.
func (v *views) drop(key string) {
	v.open[key].snap.Release()
	delete(v.open, key)
}

func (v *views) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for k := range v.open {
		v.drop(k)
	}
}

// Close gives up the snapshots of iterators. Calls after it that go on with one are refused. Close it after the gRPC servers, before
// the engine.
func (s *Server) Close() error {
	s.views.close()
	return nil
}

// queryView is the view of a query that is part of an iteration: that of the timestamp it brings, else a new one.
func (s *Server) queryView(ctx context.Context, t target, guarantee uint64, names []string) (*view, error) {
	now := s.opts.Now()
	if guarantee > 0 {
		if v, ok := s.views.get(strconv.FormatUint(guarantee, 10), t.ID(), now); ok {
			return v, nil
		}
	}
	snap, err := t.Snapshot(ctx, names...)
	if err != nil {
		return nil, err
	}
	v := &view{collection: t.ID(), snap: snap, session: s.clock.next()}
	s.views.put(strconv.FormatUint(v.session, 10), v, now)
	return v, nil
}

// checkIterated refuses an iterator that was begun on a collection of the name that is gone.
func checkIterated(t target, p params) error {
	id, ok, err := p.int("collection_id", 0, math.MaxInt64)
	if err == nil && ok && id != 0 && uint64(id) != t.ID() {
		err = fail(codeInvalid, "alias or database may have been changed: collection_id %d is not that of collection %s", id, t.name)
	}
	return err
}

// searchIterator answers one step of a search iterator: the hits beyond those given before, as of the first step.
func (s *Server) searchIterator(ctx context.Context, t target, q *searchRequest) (*milvuspb.SearchResults, error) {
	if !q.params.bool("search_iter_v2") {
		return nil, fail(codeUnsupported, "search iterators of version 1 are not supported")
	}
	if err := checkIterated(t, q.params); err != nil {
		return nil, err
	}
	if q.nq != 1 {
		return nil, fail(codeInvalid, "search iterator does not support multiple vectors: there are %d", q.nq)
	}
	if o, _, err := q.params.int("offset", 0, query.MaxLimit); err != nil || o != 0 {
		return nil, fail(codeInvalid, "search iterator does not support offset")
	}
	batch, ok, err := q.params.int("search_iter_batch_size", 1, query.MaxLimit)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fail(codeMissing, "search_iter_batch_size is required")
	}
	now := s.opts.Now()
	token, going := q.params.text("search_iter_id")
	var v *view
	if going {
		if v, ok = s.views.get("s"+token, t.ID(), now); !ok {
			return nil, fail(codeInvalid, "search_iter_id %s is not known, or was not used for %s", clip(token), viewIdle)
		}
	} else {
		token = rand.Text()
		if v, err = s.beginSearch(ctx, t, q); err != nil {
			return nil, err
		}
		s.views.put("s"+token, v, now)
	}
	hits := v.next(int(batch))
	if err := fetch(ctx, v.snap, hits, q.asked); err != nil {
		return nil, err
	}
	q.limit = int(batch)
	data, err := q.format([][]engine.Hit{hits})
	if err != nil {
		return nil, err
	}
	bound, _, err := q.params.float("search_iter_last_bound")
	if err != nil {
		return nil, err
	}
	if len(hits) > 0 {
		bound = float64(hits[len(hits)-1].Score)
	}
	data.SearchIteratorV2Results = &schemapb.SearchIteratorV2Results{Token: token, LastBound: float32(bound)}
	return &milvuspb.SearchResults{Status: succeeded(), Results: data, CollectionName: t.name, SessionTs: v.session}, nil
}

// beginSearch finds all that a search iterator will give: the best query.MaxLimit hits.
func (s *Server) beginSearch(ctx context.Context, t target, q *searchRequest) (*view, error) {
	snap, err := t.Snapshot(ctx, q.names...)
	if err != nil {
		return nil, err
	}
	q.search.Limit(query.MaxLimit)
	if q.ef > 0 {
		q.search.Ef(max(q.ef, query.MaxLimit))
	}
	lists, err := snap.SearchMany(ctx, q.search)
	if err != nil {
		snap.Release()
		return nil, err
	}
	for i := range lists[0] {
		lists[0][i].Row = column.Row{} // read again batch by batch, so as not to hold all
	}
	return &view{collection: t.ID(), snap: snap, session: s.clock.next(), hits: lists[0]}, nil
}

// next takes the next hits.
func (v *view) next(n int) []engine.Hit {
	v.mu.Lock()
	defer v.mu.Unlock()
	n = min(n, len(v.hits))
	out := v.hits[:n]
	v.hits = v.hits[n:]
	return out
}
