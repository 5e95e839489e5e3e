package hosted

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

// The verbs of stores. All need a set to be loaded or named (dir), whose rows they insert over and over under new keys.
// Times of single calls are written to out.us.
//
//	ingest      batch, batches, writers, sync    seconds, rows, disk_mb; in a new store
//	flush       rows                             seconds, rows, disk_mb; of a new store with one growing segment
//	searchable  count, rows                      times from the beginning of an insert of one row to a search that found it
//	fill        folder, rows, sync, flush, index seconds; a store that is left open: close it, or kill the process
//	finish                                       closes that store
//	stock       folder                           a store of the whole set, sealed and indexed, closed again
//	reopen      folder, rows, mapped, wait       seconds of Open, then search_s of the first search; checks its rows
//	get         folder, count                    times; one key a call, at random
//	count       folder, count                    times
//	iterate     folder                           seconds, rows
//	delete      folder, batch, batches           seconds, rows
//	upsert      folder, batch, batches           seconds, rows
//	flush-each  count                            times of an insert of one row and a flush; what flushEach compares
//	merge       share, ef                        see merge
//	filter      percent, kind, count             times; recall
//	flush-many  count                            the same beside searches, plain syncs and a store of one flush
//	backup      rows, restore                    see backup
//	text        rows, by, words, count           times of searches by words, by vectors, or by both
//	checkpoint  rows, batch, count               times of checkpoints while batches are inserted; inserted
//	mixed       rows, batch, count, writer       times of searches while batches are inserted (writer=1); inserted
func (s *selkie) operate(ctx context.Context, verb string, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	if s.exact {
		return nil, worker.ErrUnsupported
	}
	operations := map[string]func(context.Context, worker.Args) (worker.Args, error){
		"ingest": s.ingest, "flush": s.flush, "searchable": s.searchable, "reopen": s.reopen, "get": s.get,
		"count": s.count, "iterate": s.iterate, "delete": s.deleteRows, "upsert": s.upsertRows, "finish": s.finish,
		"flush-each": s.flushEach, "flush-many": s.flushMany, "mixed": s.mixed, "merge": s.merge, "stock": s.stock, "filter": s.filter,
		"backup": s.backup, "checkpoint": s.checkpoint, "text": s.text,
		"fill": func(ctx context.Context, args worker.Args) (worker.Args, error) { return s.fill(ctx, args, progress) },
	}
	operation, ok := operations[verb]
	if !ok {
		return nil, worker.ErrUnsupported
	}
	if dir := args["dir"]; dir != "" && (s.set == nil || s.set.Dir != dir) {
		var err error
		if s.set, err = dataset.Open(dir); err != nil {
			return nil, err
		}
	}
	return operation(ctx, args)
}

// supply gives batches of a set's rows under ascending keys. It is for one goroutine.
type supply struct {
	set  *dataset.Set
	rows []float32
	ids  []int64
}

func newSupply(set *dataset.Set, batch int) *supply {
	return &supply{set, make([]float32, batch*set.Dim), make([]int64, batch)}
}

// take returns a batch of n rows whose first key is first. It is good until the next call.
func (s *supply) take(first, n int) ([]*column.Column, error) {
	at := first % max(s.set.Rows-n, 1)
	if n > s.set.Rows {
		return nil, fmt.Errorf("the set has %d rows, a batch %d", s.set.Rows, n)
	}
	if err := s.set.Read(at, at+n, s.rows[:n*s.set.Dim]); err != nil {
		return nil, err
	}
	for i := range n {
		s.ids[i] = int64(first + i)
	}
	return []*column.Column{column.Int64("id", s.ids[:n]), column.FloatVectorFlat("vector", s.set.Dim, s.rows[:n*s.set.Dim])}, nil
}

// fresh opens a new store in a folder of its own, and returns what removes it again.
func (s *selkie) fresh(ctx context.Context, o *engine.Options) (*engine.Engine, *engine.Partition, func() error, error) {
	s.stores++
	folder := fmt.Sprintf("fresh-%d", s.stores)
	eng, _, part, err := s.open(ctx, folder, s.set.Dim, o)
	return eng, part, func() error {
		return errors.Join(eng.Close(), os.RemoveAll(filepath.Join(s.store, folder)))
	}, err
}

// numbers reads whole numbers by name. Those that are missing are 1.
func numbers(args worker.Args, names ...string) (map[string]int, error) {
	all := map[string]int{}
	for _, name := range names {
		n, err := args.Int(name, 1)
		if err != nil {
			return nil, err
		}
		if n < 1 {
			return nil, fmt.Errorf("%s=%d", name, n)
		}
		all[name] = n
	}
	return all, nil
}

func (s *selkie) ingest(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "batch", "batches", "writers")
	if err != nil {
		return nil, err
	}
	sync, err := policy(args["sync"])
	if err != nil {
		return nil, err
	}
	eng, part, remove, err := s.fresh(ctx, &engine.Options{Sync: sync})
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, remove()) }()
	calls := n["batches"] * n["writers"]
	took, micros, err := insertAll(ctx, part, s.set, n["batch"], calls, n["writers"])
	if err != nil {
		return nil, err
	}
	out = worker.Args{}
	out.Set("seconds", took.Seconds())
	out.Set("rows", float64(calls*n["batch"]))
	out.Set("disk_mb", float64(machine.DiskBytes(eng.Dir()))/(1<<20))
	return out, writeAnswers(args["out"], nil, micros)
}

// insertAll inserts batches from some writers. Reading the rows of a batch is not part of its time, and so of the whole
// only as far as the writers wait for it.
func insertAll(ctx context.Context, part *engine.Partition, set *dataset.Set, batch, calls, writers int) (time.Duration, []float32, error) {
	micros := make([]float32, calls)
	const most = 128 << 20 // bytes of vectors that are kept
	batches := make([][]*column.Column, 0, min(calls, max(most/(batch*set.Dim*4), 1)))
	// A batch's vectors are made beforehand and used in turn; its keys are new.
	for i := range cap(batches) {
		cols, err := newSupply(set, batch).take(i*batch, batch)
		if err != nil {
			return 0, nil, err
		}
		batches = append(batches, cols)
	}
	took, err := ask(writers, calls, func() (func(i int) error, error) {
		ids := make([]int64, batch)
		return func(i int) error {
			for j := range ids {
				ids[j] = int64(i*batch + j)
			}
			begin := time.Now()
			_, err := part.Insert(ctx, column.Int64("id", ids), batches[i%len(batches)][1])
			micros[i] = float32(time.Since(begin).Nanoseconds()) / 1000
			return err
		}, nil
	})
	return took, micros, err
}

func (s *selkie) flush(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "rows")
	if err != nil {
		return nil, err
	}
	_, part, remove, err := s.fresh(ctx, &engine.Options{Sync: engine.SyncNone, SegmentBytes: -1, GrowingBytes: -1, LogBytes: 64 << 30})
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, remove()) }()
	batch := min(n["rows"], 10_000)
	if _, _, err := insertAll(ctx, part, s.set, batch, n["rows"]/batch, 1); err != nil {
		return nil, err
	}
	begin := time.Now()
	receipt, err := part.Flush(ctx)
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	out = worker.Args{}
	out.Set("seconds", took.Seconds())
	out.Set("rows", float64(receipt.Rows))
	out.Set("disk_mb", float64(receipt.Bytes)/(1<<20))
	return out, nil
}

func (s *selkie) searchable(ctx context.Context, args worker.Args) (out worker.Args, err error) {
	n, err := numbers(args, "count", "rows")
	if err != nil {
		return nil, err
	}
	sync, err := policy(args["sync"])
	if err != nil {
		return nil, err
	}
	_, part, remove, err := s.fresh(ctx, &engine.Options{Sync: sync})
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, remove()) }()
	if _, _, err := insertAll(ctx, part, s.set, 1000, n["rows"]/1000, 1); err != nil {
		return nil, err
	}
	micros := make([]float32, n["count"])
	vector := make([]float32, s.set.Dim)
	total := time.Duration(0)
	for i := range micros {
		for d := range vector {
			vector[d] = float32(1+i) + float32(d)/float32(s.set.Dim) // nearest to itself under every metric
		}
		vector[i%s.set.Dim] *= 40
		key := int64(1_000_000_000 + i)
		begin := time.Now()
		if _, err := part.Insert(ctx, column.Int64("id", []int64{key}), column.FloatVectorFlat("vector", s.set.Dim, vector)); err != nil {
			return nil, err
		}
		hits, err := part.Search(ctx, query.Nearest("vector", vector).Metric(s.set.Metric).Limit(1))
		took := time.Since(begin)
		if err != nil {
			return nil, err
		}
		if len(hits) != 1 || hits[0].Key.Int != key {
			return nil, fmt.Errorf("row %d was inserted and not found", key)
		}
		micros[i], total = float32(took.Nanoseconds())/1000, total+took
	}
	out = worker.Args{}
	out.Set("seconds", total.Seconds())
	out.Set("rows", float64(len(micros)))
	return out, writeAnswers(args["out"], nil, micros)
}

// fill makes the store that reopen, get and the others use, and leaves it open.
func (s *selkie) fill(ctx context.Context, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	n, err := numbers(args, "rows")
	if err != nil {
		return nil, err
	}
	if err := s.close(); err != nil {
		return nil, err
	}
	name := args["sync"]
	if name == "" {
		name = engine.SyncNone.String()
	}
	sync, err := policy(name)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(s.store, args["folder"])); err != nil {
		return nil, err
	}
	o := &engine.Options{Sync: sync, SegmentBytes: -1, GrowingBytes: -1, LogBytes: 64 << 30}
	if s.eng, s.coll, s.part, err = s.open(ctx, args["folder"], s.set.Dim, o); err != nil {
		return nil, err
	}
	begin := time.Now()
	batch := min(n["rows"], 10_000, max(s.set.Rows/2, 1))
	supply := newSupply(s.set, batch)
	for first := 0; first < n["rows"]; first += batch {
		cols, err := supply.take(first, min(batch, n["rows"]-first))
		if err != nil {
			return nil, err
		}
		if _, err := s.part.Insert(ctx, cols...); err != nil {
			return nil, err
		}
		progress(first, n["rows"])
	}
	if args["flush"] == "1" {
		if _, err := s.part.Flush(ctx); err != nil {
			return nil, err
		}
	}
	if args["index"] == "1" {
		if err := s.coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: s.set.Metric.String()}); err != nil {
			return nil, err
		}
		if err := s.coll.WaitIndexed(ctx); err != nil {
			return nil, err
		}
	}
	out := worker.Args{}
	out.Set("seconds", time.Since(begin).Seconds())
	out.Set("disk_mb", float64(machine.DiskBytes(s.eng.Dir()))/(1<<20))
	return out, nil
}

// stock makes a store whose keys are the set's row numbers.
func (s *selkie) stock(ctx context.Context, args worker.Args) (_ worker.Args, err error) {
	o := &engine.Options{SegmentBytes: -1, GrowingBytes: -1, Sync: engine.SyncNone, CompactBytes: -1}
	eng, coll, part, err := s.open(ctx, args["folder"], s.set.Dim, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, eng.Close()) }()
	if err := insertRange(ctx, part, s.set, nil, 0, s.set.Rows, 10_000, func(int, int) {}); err != nil {
		return nil, err
	}
	if _, err := part.Flush(ctx); err != nil {
		return nil, err
	}
	if err := coll.CreateIndex(ctx, schema.Index{Field: "vector", Metric: s.set.Metric.String()}); err != nil {
		return nil, err
	}
	return worker.Args{}, coll.WaitIndexed(ctx)
}

func (s *selkie) finish(context.Context, worker.Args) (worker.Args, error) {
	begin := time.Now()
	err := s.close()
	out := worker.Args{}
	out.Set("seconds", time.Since(begin).Seconds())
	return out, err
}

func (s *selkie) reopen(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "rows")
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	o := &engine.Options{MustExist: true, SegmentBytes: -1, GrowingBytes: -1, LogBytes: 64 << 30, MapIndexes: args["mapped"] == "1"}
	eng, err := engine.Open(filepath.Join(s.store, args["folder"]), o)
	if err != nil {
		return nil, err
	}
	opened := time.Since(begin)
	s.eng = eng
	if s.coll, s.part, err = s.collection(ctx, eng, s.set.Dim); err != nil {
		return nil, err
	}
	searched := time.Now()
	hits, err := s.part.Search(ctx, query.Nearest("vector", s.set.Query(0)).Metric(s.set.Metric).Limit(10))
	took := time.Since(searched)
	if err != nil {
		return nil, err
	}
	count, err := s.part.Count(ctx)
	if err == nil && args["wait"] == "1" {
		err = s.coll.WaitIndexed(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(hits) != 10 || count != int64(n["rows"]) {
		return nil, fmt.Errorf("after reopening there are %d hits and %d rows, not 10 and %d", len(hits), count, n["rows"])
	}
	out := worker.Args{}
	out.Set("seconds", opened.Seconds())
	out.Set("search_s", took.Seconds())
	out.Set("rows", float64(count))
	out.Set("disk_mb", float64(machine.DiskBytes(eng.Dir()))/(1<<20))
	return out, nil
}

// timed calls one operation many times, by one goroutine. What is to be done between them is not part of the single times.
func timed(args worker.Args, count int, operation func(i int) error, between ...func(i int) error) (worker.Args, error) {
	micros := make([]float32, count)
	begin := time.Now()
	for i := range micros {
		each := time.Now()
		if err := operation(i); err != nil {
			return nil, err
		}
		micros[i] = float32(time.Since(each).Nanoseconds()) / 1000
		for _, other := range between {
			if err := other(i); err != nil {
				return nil, err
			}
		}
	}
	out := worker.Args{}
	out.Set("seconds", time.Since(begin).Seconds())
	out.Set("rows", float64(count))
	return out, writeAnswers(args["out"], nil, micros)
}

func (s *selkie) get(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "count", "rows")
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(7, 7))
	return timed(args, n["count"], func(int) error {
		key := rng.Int64N(int64(n["rows"]))
		rows, err := s.part.Get(ctx, column.IntKeys(key), "vector")
		if err == nil && (rows.Len() != 1 || rows.At(0).Int64("id") != key) {
			err = fmt.Errorf("key %d: %d rows", key, rows.Len())
		}
		return err
	})
}

func (s *selkie) count(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "count", "rows")
	if err != nil {
		return nil, err
	}
	return timed(args, n["count"], func(int) error {
		count, err := s.part.Count(ctx)
		if err == nil && count != int64(n["rows"]) {
			err = fmt.Errorf("%d rows, not %d", count, n["rows"])
		}
		return err
	})
}

func (s *selkie) iterate(ctx context.Context, args worker.Args) (worker.Args, error) {
	rows, begin := 0, time.Now()
	for row, err := range s.part.All(ctx, "vector") {
		if err != nil {
			return nil, err
		}
		if len(row.FloatVector("vector")) != s.set.Dim {
			return nil, fmt.Errorf("row %d has no vector", row.Int64("id"))
		}
		rows++
	}
	out := worker.Args{}
	out.Set("seconds", time.Since(begin).Seconds())
	out.Set("rows", float64(rows))
	return out, writeAnswers(args["out"], nil, nil)
}

func (s *selkie) deleteRows(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "batch", "batches", "rows")
	if err != nil {
		return nil, err
	}
	keys := rand.New(rand.NewPCG(8, 8)).Perm(n["rows"])[:n["batch"]*n["batches"]]
	deleted := 0
	out, err := timed(args, n["batches"], func(i int) error {
		ids := make([]int64, n["batch"])
		for j, k := range keys[i*n["batch"] : (i+1)*n["batch"]] {
			ids[j] = int64(k)
		}
		res, err := s.part.Delete(ctx, column.IntKeys(ids...))
		deleted += res.Deleted
		return err
	})
	if err == nil && deleted != len(keys) {
		err = fmt.Errorf("%d rows deleted, not %d", deleted, len(keys))
	}
	if err != nil {
		return nil, err
	}
	out.Set("rows", float64(deleted))
	return out, nil
}

func (s *selkie) upsertRows(ctx context.Context, args worker.Args) (worker.Args, error) {
	n, err := numbers(args, "batch", "batches", "rows")
	if err != nil {
		return nil, err
	}
	keys := rand.New(rand.NewPCG(9, 9)).Perm(n["rows"])
	supply := newSupply(s.set, n["batch"])
	ids := make([]int64, n["batch"])
	out, err := timed(args, n["batches"], func(i int) error {
		cols, err := supply.take(i*n["batch"], n["batch"])
		if err != nil {
			return err
		}
		for j := range ids {
			ids[j] = int64(keys[(i*n["batch"]+j)%len(keys)])
		}
		_, err = s.part.Upsert(ctx, column.Int64("id", ids), cols[1])
		return err
	})
	if err != nil {
		return nil, err
	}
	out.Set("rows", float64(n["batch"]*n["batches"]))
	return out, nil
}

// plainFile writes the bytes of batches to a file and syncs it, as the limit that a disk sets to durable inserts.
type plainFile struct {
	store string
	set   *dataset.Set
}

func (p *plainFile) version() string { return "write, fdatasync" }

func (p *plainFile) load(_ context.Context, set *dataset.Set, _ worker.Args, _ func(done, of int)) (worker.Args, error) {
	p.set = set
	return nil, nil
}

func (p *plainFile) build(context.Context, worker.Args, func(done, of int)) (worker.Args, error) {
	return nil, worker.ErrUnsupported
}

func (p *plainFile) searcher(context.Context, int, worker.Args) (func(q []float32, out []int32) error, error) {
	return nil, worker.ErrUnsupported
}

func (p *plainFile) operate(_ context.Context, verb string, args worker.Args, _ func(done, of int)) (worker.Args, error) {
	if verb != "ingest" {
		return nil, worker.ErrUnsupported
	}
	n, err := numbers(args, "batch", "batches", "writers")
	if err != nil {
		return nil, err
	}
	if n["writers"] != 1 {
		return nil, fmt.Errorf("%w: one writer", worker.ErrUnsupported)
	}
	set, err := dataset.Open(args["dir"])
	if err != nil {
		return nil, err
	}
	defer set.Close()
	piece := slices.Repeat([]byte{7, 77, 177, 13}, n["batch"]*(set.Dim*4+8)/4)
	f, err := os.CreateTemp(p.store, "plain-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	out, err := timed(args, n["batches"], func(int) error {
		if _, err := f.Write(piece); err != nil || args["sync"] != engine.SyncAlways.String() {
			return err
		}
		return dataSync(f)
	})
	if err != nil {
		return nil, err
	}
	out.Set("rows", float64(n["batch"]*n["batches"]))
	return out, nil
}

func (p *plainFile) close() error { return nil }
