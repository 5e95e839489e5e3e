package milvus_test

import (
	"math/rand/v2"
	"testing"

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

const (
	benchDim  = 96
	benchRows = 50_000
)

// benchStore has an index of benchRows vectors around some hundred centres.
func benchStore(b *testing.B) (*fixture, *engine.Collection, func(n int) [][]float32) {
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
	c, err := eng.CreateCollection(b.Context(), schema.New("bench").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", benchDim)))
	require.NoError(b, err)
	ids := make([]int64, benchRows)
	for i := range ids {
		ids[i] = int64(i)
	}
	_, err = c.Insert(b.Context(), column.Int64("id", ids), column.FloatVector("v", benchDim, points(benchRows)))
	require.NoError(b, err)
	_, err = c.Flush(b.Context())
	require.NoError(b, err)
	require.NoError(b, c.CreateIndex(b.Context(), schema.Index{Field: "v", Metric: "L2"}))
	require.NoError(b, c.WaitIndexed(b.Context()))
	return f, c, points
}

// What the protocol costs: the same searches by the engine's own calls, by the protocol's, and by the connection in memory.
func BenchmarkSearch(b *testing.B) {
	f, c, points := benchStore(b)
	for _, nq := range []int{1, 100} {
		vectors := points(nq)
		raw := make([][]byte, nq)
		for i, v := range vectors {
			raw[i] = floats(v...)
		}
		name := map[int]string{1: "nq=1", 100: "nq=100"}[nq]
		b.Run(name+"/direct", func(b *testing.B) {
			for b.Loop() {
				_, err := c.SearchMany(b.Context(), query.Nearest("v", vectors...).Metric(vector.L2).Limit(10))
				require.NoError(b, err)
			}
		})
		req := nearest(b, "bench", kv("anns_field", "v", "topk", "10", "metric_type", "L2"), raw...)
		b.Run(name+"/called", func(b *testing.B) {
			client := f.srv.Direct()
			for b.Loop() {
				a, err := client.Search(b.Context(), req)
				require.NoError(b, err)
				require.Zero(b, a.GetStatus().GetCode())
			}
		})
		b.Run(name+"/connected", func(b *testing.B) {
			for b.Loop() {
				a, err := f.Search(b.Context(), req)
				require.NoError(b, err)
				require.Zero(b, a.GetStatus().GetCode())
			}
		})
	}
}

// The same inserts of 1,000 rows by the engine's own calls, by the protocol's, and by the connection in memory.
func BenchmarkInsert(b *testing.B) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, eng.Close()) })
	f := serve(b, eng, nil)
	const rows = 1000
	values, ids, next := make([]float32, rows*benchDim), make([]int64, rows), int64(0)
	step := func() {
		for i := range ids {
			ids[i] = next
			next++
		}
	}
	for _, name := range []string{"direct", "called", "connected"} {
		c, err := eng.CreateCollection(b.Context(), schema.New(name).With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", benchDim)).WithDuplicateKeys())
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				step()
				if name == "direct" {
					_, err := c.Insert(b.Context(), column.Int64("id", ids), column.FloatVectorFlat("v", benchDim, values))
					require.NoError(b, err)
					continue
				}
				client := f.MilvusServiceClient
				if name == "called" {
					client = f.srv.Direct()
				}
				a, err := client.Insert(b.Context(), &milvuspb.InsertRequest{
					CollectionName: name, NumRows: rows, FieldsData: []*schemapb.FieldData{int64s("id", ids...), floatVectors("v", benchDim, values...)},
				})
				require.NoError(b, err)
				require.Zero(b, a.GetStatus().GetCode())
			}
		})
	}
}
