package milvus_test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

var long = flag.Bool("long", false, "run the tests of overhead and of bad bytes at full length; they print figures")

const (
	benchDim  = 96
	benchRows = 50_000
)

func benchSchema(name string) *schema.Schema {
	return schema.New(name).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", benchDim)).WithDuplicateKeys()
}

// benchStore has an index of some vectors around a hundred centres.
func benchStore(b testing.TB, rows int) (*fixture, *engine.Collection, func(n int) [][]float32) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, eng.Close()) })
	f := serve(b, eng, nil)
	draw := rand.New(rand.NewPCG(1, 2))
	centres := make([][]float32, 100)
	for i := range centres {
		centres[i] = make([]float32, benchDim)
		for j := range centres[i] {
			centres[i][j] = float32(draw.NormFloat64())
		}
	}
	points := func(n int) [][]float32 {
		out := make([][]float32, n)
		for i := range out {
			out[i] = make([]float32, benchDim)
			c := centres[draw.IntN(len(centres))]
			for j := range out[i] {
				out[i][j] = c[j] + float32(draw.NormFloat64())/2
			}
		}
		return out
	}
	c, err := eng.CreateCollection(b.Context(), benchSchema("bench"))
	require.NoError(b, err)
	ids := make([]int64, rows)
	for i := range ids {
		ids[i] = int64(i)
	}
	_, err = c.Insert(b.Context(), column.Int64("id", ids), column.FloatVector("v", benchDim, points(rows)))
	require.NoError(b, err)
	_, err = c.Flush(b.Context())
	require.NoError(b, err)
	require.NoError(b, c.CreateIndex(b.Context(), schema.Index{Field: "v", Metric: "L2"}))
	require.NoError(b, c.WaitIndexed(b.Context()))
	return f, c, points
}

// ratios runs several ways of doing the same in turns, and gives the median of the processor's time that each takes: what else the machine does is not in
// it.
func ratios(turns, each int, ways ...func()) []time.Duration {
	spent := make([][]time.Duration, len(ways))
	for range turns {
		for i, do := range ways {
			begun := processorTime()
			for range each {
				do()
			}
			spent[i] = append(spent[i], (processorTime()-begun)/time.Duration(each))
		}
	}
	out := make([]time.Duration, len(ways))
	for i, s := range spent {
		slices.Sort(s)
		out[i] = s[len(s)/2]
	}
	return out
}

// What the protocol costs: the same searches and inserts by the engine's own calls, by the connection within the process, and by one over memory.
// The bounds are those that the former is to keep; short of -long there are few turns of a small store, and only the answers are compared.
func TestOverhead(t *testing.T) {
	rows, turns := 2000, 1
	if *long {
		rows, turns = benchRows, 31
	}
	f, c, points := benchStore(t, rows)
	ctx := t.Context()
	for _, x := range []struct {
		nq    int
		bound float64
	}{{1, .5}, {100, .9}} {
		vectors := points(x.nq)
		raw := make([][]byte, x.nq)
		for i, v := range vectors {
			raw[i] = floats(v...)
		}
		req := nearest(t, "bench", kv("anns_field", "v", "topk", "10", "metric_type", "L2"), raw...)
		own := query.Nearest("v", vectors...).Metric(vector.L2).Limit(10)
		client := f.connected(t)
		direct := func() { _, _ = c.SearchMany(ctx, own) }
		connected, wire := func() { _, _ = client.Search(ctx, req) }, func() { _, _ = f.Search(ctx, req) }

		// All three answer the same, and find .95 of what there is.
		want, err := c.SearchMany(ctx, own)
		require.NoError(t, err)
		exact, err := c.SearchMany(ctx, query.Nearest("v", vectors...).Metric(vector.L2).Limit(10).Exact())
		require.NoError(t, err)
		found, all := 0, 0
		var ids []int64
		for i, hits := range want {
			for _, h := range hits {
				ids = append(ids, h.Key.Int)
				if slices.ContainsFunc(exact[i], func(e engine.Hit) bool { return e.Key == h.Key }) {
					found++
				}
				all++
			}
		}
		for _, by := range []milvuspb.MilvusServiceClient{client, f} {
			require.Equal(t, ids, fine[*milvuspb.SearchResults](t)(by.Search(ctx, req)).GetResults().GetIds().GetIntId().GetData())
		}
		recall := float64(found) / float64(all)
		each := 200 / x.nq
		d := ratios(turns, each, direct, connected, wire)
		t.Logf("nq=%d, recall %.3f: direct %v, connected %v (%.2f), over memory %v (%.2f)", x.nq, recall, d[0], d[1], ratio(d[0], d[1]), d[2], ratio(d[0], d[2]))
		if *long {
			require.GreaterOrEqual(t, ratio(d[0], d[1]), x.bound, "search through the connection within the process")
			if x.nq > 1 {
				require.GreaterOrEqual(t, recall, .95)
			}
		}
	}
	testInsertOverhead(t, turns)
}

// connected is a client by the connection within the process.
func (f *fixture) connected(t testing.TB) milvuspb.MilvusServiceClient {
	conn, err := f.inside.Conn()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return milvuspb.NewMilvusServiceClient(conn)
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func testInsertOverhead(t *testing.T, turns int) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	f := serve(t, eng, nil)
	const rows = 1000
	values, ids, next := make([]float32, rows*benchDim), make([]int64, rows), int64(0)
	draw := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = draw.Float32()
	}
	step := func() []int64 {
		for i := range ids {
			ids[i] = next
			next++
		}
		return ids
	}
	var colls []*engine.Collection
	for _, name := range []string{"direct", "connected", "wire"} {
		c, err := eng.CreateCollection(t.Context(), benchSchema(name))
		require.NoError(t, err)
		colls = append(colls, c)
	}
	by := func(client milvuspb.MilvusServiceClient, name string) func() {
		return func() {
			fine[*milvuspb.MutationResult](t)(client.Insert(t.Context(), &milvuspb.InsertRequest{
				CollectionName: name, NumRows: rows, FieldsData: []*schemapb.FieldData{int64s("id", step()...), floatVectors("v", benchDim, values...)},
			}))
		}
	}
	d := ratios(turns, 10, func() {
		_, err := colls[0].Insert(t.Context(), column.Int64("id", step()), column.FloatVectorFlat("v", benchDim, values))
		require.NoError(t, err)
	}, by(f.connected(t), "connected"), by(f, "wire"))
	for _, c := range colls {
		n, err := c.Count(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, turns*10*rows, n)
	}
	t.Logf("insert of %d rows: direct %v, connected %v (%.2f), over memory %v (%.2f)", rows, d[0], d[1], ratio(d[0], d[1]), d[2], ratio(d[0], d[2]))
	if *long {
		require.GreaterOrEqual(t, ratio(d[0], d[1]), .6, "insert through the connection within the process")
	}
}
