package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// keyCall is a call for one key: an insert, upsert or delete, or "get", by which way ever.
type keyCall struct {
	key int64
	do  stepKind
	n   int64
}

const get stepKind = "get"

// keyResult is what came of it: whether there was a row before the call, and for get, what n was in it.
type keyResult struct {
	held    bool
	n       int64
	unknown bool // the call was given up
}

// keyModel is a key: the number in its row, or none.
var keyModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) (out [][]porcupine.Operation) {
		at := map[int64]int{}
		for _, op := range history {
			key := op.Input.(keyCall).key
			if _, ok := at[key]; !ok {
				at[key] = len(out)
				out = append(out, nil)
			}
			out[at[key]] = append(out[at[key]], op)
		}
		return out
	},
	Init: func() any { return int64(-1) },
	Step: func(state, input, output any) (bool, any) {
		in, out, have := input.(keyCall), output.(keyResult), state.(int64)
		fits := out.unknown || out.held == (have >= 0)
		switch {
		case in.do == get:
			return fits && (have < 0 || out.n == have), have
		case in.do == remove:
			return fits, int64(-1)
		case in.do == insert && have >= 0: // refused
			return fits, have
		}
		return fits, in.n
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

// keyClient makes calls and notes them.
type keyClient struct {
	id      int
	c       *engine.Collection
	p       *engine.Partition
	rng     *rand.Rand
	clock   func() int64
	history []porcupine.Operation
}

// call makes a random call for a key.
func (k *keyClient) call(key, n int64) error {
	ctx := context.Background()
	in := keyCall{key: key, n: n}
	var out keyResult
	var err error
	start := k.clock()
	switch r := k.rng.IntN(20); {
	case r < 4:
		in.do = insert
		_, err = k.p.Insert(ctx, plainRows(n, key)...)
		if errors.Is(err, engine.ErrDuplicateKey) {
			out.held, err = true, nil
		}
	case r < 8:
		in.do = upsert
		var res engine.WriteResult
		res, err = k.p.Upsert(ctx, plainRows(n, key)...)
		out.held = res.Deleted == 1
	case r < 9:
		in.do = upsert
		short, cancel := context.WithTimeout(ctx, time.Duration(k.rng.IntN(300))*time.Microsecond)
		var res engine.WriteResult
		res, err = k.p.Upsert(short, plainRows(n, key)...)
		cancel()
		out.held = res.Deleted == 1
		if errors.Is(err, context.DeadlineExceeded) {
			out.unknown, err = true, nil
		}
	case r < 12:
		in.do = remove
		var res engine.WriteResult
		if r == 9 {
			res, err = k.c.DeleteWhere(ctx, query.Where(fmt.Sprintf("id == %d", key)))
		} else {
			res, err = k.c.Delete(ctx, column.IntKeys(key))
		}
		out.held = res.Deleted == 1
	case r < 15:
		in.do = get
		var rows *column.Rows
		if rows, err = k.c.Get(ctx, column.IntKeys(key), "n"); err == nil && rows.Len() > 0 {
			out = keyResult{held: true, n: rows.At(0).Int64("n")}
		}
	case r < 17:
		in.do = get
		var rows *column.Rows
		if rows, err = k.c.Query(ctx, query.Where(fmt.Sprintf("id == %d", key)).Output("n")); err == nil && rows.Len() > 0 {
			out = keyResult{held: true, n: rows.At(0).Int64("n")}
		}
	default:
		in.do = get
		var hits []engine.Hit
		hits, err = k.c.Search(ctx, query.Nearest("v", ownVector(key)).Metric(vector.L2).Limit(1).Output("n"))
		if err == nil && len(hits) > 0 && hits[0].Key.Int == key {
			out = keyResult{held: true, n: hits[0].Row.Int64("n")}
		}
	}
	end := k.clock()
	if out.unknown {
		end = math.MaxInt64 // it may still be made, or never
	}
	k.history = append(k.history, porcupine.Operation{ClientId: k.id, Input: in, Call: start, Output: out, Return: end})
	return err
}

// TestLinearizable: the calls of several goroutines for the same few keys come out as if they had been made one after the other, each at some
// moment between its begin and its end, whatever is sealed, flushed, merged and indexed meanwhile.
func TestLinearizable(t *testing.T) {
	const clients, keys, calls = 6, 5, 40
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	if *long {
		rounds = 2500
	}
	ctx := context.Background()
	rng := seeded(t)
	eng := openMem(t, engine.Options{SegmentRows: 25, LogFileBytes: 64 << 10, LogBytes: 256 << 10, Tick: time.Millisecond, CompactIdle: time.Millisecond})
	c, err := eng.CreateCollection(ctx, plainSchema("c").WithShards(2))
	require.NoError(t, err)
	p, err := c.CreatePartition(ctx, "p")
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "v", Metric: "L2"}))
	g := &crowd{t: t}
	var over atomic.Bool
	g.write(1, func(int) error {
		defer over.Store(true)
		start := time.Now()
		for round := range rounds {
			var wg sync.WaitGroup
			all := make([]*keyClient, clients)
			errs := make([]error, clients)
			for i := range all {
				k := &keyClient{
					id: i, c: c, p: p, rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(i))),
					clock: func() int64 { return int64(time.Since(start)) },
				}
				all[i] = k
				wg.Go(func() {
					for j := range calls {
						if errs[i] == nil {
							errs[i] = k.call(int64(round*keys+k.rng.IntN(keys)), int64(i*calls+j))
						}
					}
				})
			}
			wg.Wait()
			var history []porcupine.Operation
			for i, k := range all {
				if errs[i] != nil {
					return errs[i]
				}
				history = append(history, k.history...)
			}
			switch verdict := porcupine.CheckOperationsTimeout(keyModel, history, time.Minute); verdict {
			case porcupine.Ok:
			default:
				return fmt.Errorf("round %d: the history is %v: %s", round, verdict, worst(history))
			}
		}
		return nil
	})
	g.loop(func() error {
		_, err := p.Flush(ctx)
		return err
	})
	g.loop(func() error {
		_, err := c.Flush(ctx)
		time.Sleep(time.Millisecond)
		return err
	})
	g.loop(func() error {
		time.Sleep(5 * time.Millisecond)
		return c.Compact(ctx)
	})
	g.wait()
	require.True(t, over.Load())
	figures(t, "%d histories of %d calls for %d keys by %d goroutines: all linearizable; %d merges meanwhile", rounds, clients*calls, keys, clients, eng.Metrics().Compactions)
}

// worst describes the calls for the first key whose calls have no order.
func worst(history []porcupine.Operation) (text string) {
	for _, ops := range keyModel.Partition(history) {
		if porcupine.CheckOperationsTimeout(keyModel, ops, time.Minute) == porcupine.Ok {
			continue
		}
		for _, op := range ops {
			text += fmt.Sprintf("\n  %d..%d client %d: %s", op.Call, op.Return, op.ClientId, keyModel.DescribeOperation(op.Input, op.Output))
		}
		return text
	}
	return text
}
