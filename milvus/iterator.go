package milvus

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

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
	mu   sync.Mutex // guards what follows; view.mu is locked under it, if it is free
	open map[string]*view
	gone map[string]bool // some that were given up
}

// maxGone bounds the names of views that are kept to tell clients what became of them.
const maxGone = 4096

// view is one iterator's. That of a query is a snapshot, which requests name by its timestamp; that of a search is named by its token.
type view struct {
	collection uint64
	session    uint64
	used       time.Time

	snap   *engine.Snapshot // of a query
	output output           // of a search: what its hits have

	mu     sync.Mutex             // guards what follows, but for closed; nothing is locked under it
	search *engine.SearchIterator // of a search
	rest   []engine.Hit           // found and not given yet
	closed atomic.Bool
}

// close gives up what the view holds; a batch that is being looked for is given still.
func (v *view) close() {
	if v.snap != nil {
		v.snap.Release()
		return
	}
	v.closed.Store(true)
	if v.mu.TryLock() {
		v.search.Close()
		v.mu.Unlock()
	}
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
	v.open[key].close()
	delete(v.open, key)
	if v.gone == nil || len(v.gone) >= maxGone {
		v.gone = map[string]bool{}
	}
	v.gone[key] = true
}

// givenUp tells whether a view was there and is no more.
func (v *views) givenUp(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.gone[key]
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
		key := strconv.FormatUint(guarantee, 10)
		if v, ok := s.views.get(key, t.ID(), now); ok {
			return v, nil
		}
		if s.views.givenUp(key) { // another view would have other entities
			return nil, fail(codeInvalid, "the view of timestamp %s was given up: it was not used for %s, or there are more than %d iterators", key, viewIdle, maxViews)
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
		v = &view{collection: t.ID(), session: s.clock.next(), output: q.output}
		if v.search, err = t.SearchIterator(ctx, q.search, int(batch)); err != nil {
			return nil, err
		}
		token = rand.Text()
		s.views.put("s"+token, v, now)
	}
	hits, err := v.next(ctx, int(batch))
	if err != nil {
		return nil, err
	}
	data, err := (&searchRequest{key: q.key, output: v.output, limit: int(batch)}).format([][]engine.Hit{hits})
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

// next takes the next hits.
func (v *view) next(ctx context.Context, n int) ([]engine.Hit, error) {
	v.mu.Lock()
	defer func() {
		v.mu.Unlock()
		if v.closed.Load() { // it was given up meanwhile
			v.close()
		}
	}()
	if v.closed.Load() {
		return nil, fail(codeInvalid, "the iterator was given up: there are more than %d", maxViews)
	}
	for len(v.rest) < n {
		more, err := v.search.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		v.rest = append(v.rest, more...)
	}
	n = min(n, len(v.rest))
	out := v.rest[:n]
	v.rest = v.rest[n:]
	return out, nil
}
