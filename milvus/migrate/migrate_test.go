package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
	"github.com/selkiedb/selkie/milvus/migrate"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a store in memory behind a server.
func served(t *testing.T, o ...grpc.DialOption) (*engine.Engine, milvuspb.MilvusServiceClient) {
	t.Helper()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNone})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	srv, err := milvus.New(eng, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	inside := srv.ServeInProcess()
	t.Cleanup(func() { require.NoError(t, inside.Close()) })
	conn, err := inside.Conn(o...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return eng, milvuspb.NewMilvusServiceClient(conn)
}

// fill makes two collections, one with partitions, nulls and sparse vectors and rows sealed and growing, one with keys that are text.
func fill(t *testing.T, eng *engine.Engine, n int) {
	t.Helper()
	ctx := t.Context()
	coll, err := eng.CreateCollection(ctx, schema.New("numbers").EnableDynamicField().With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("title", 40).Nullable(), schema.JSON("meta"),
		schema.FloatVector("v", 4), schema.SparseFloatVector("s")))
	require.NoError(t, err)
	require.NoError(t, coll.CreateIndex(ctx, schema.Index{Field: "v", Kind: "HNSW", Metric: "L2", Params: map[string]string{"M": "8"}}))
	other, err := coll.CreatePartition(ctx, "other")
	require.NoError(t, err)
	def, err := coll.Partition("_default")
	require.NoError(t, err)
	for i := range n {
		row := map[string]any{
			"id": int64(i * 3), "meta": map[string]any{"n": i}, "v": []float32{float32(i), 1, 2, 3}, "s": map[uint32]float32{uint32(i): 1, 7777: 2}, "extra": i % 5,
		}
		if i%4 != 0 {
			row["title"] = fmt.Sprint("title ", i)
		}
		part := def
		if i%3 == 0 {
			part = other
		}
		_, err := part.InsertRows(ctx, []map[string]any{row})
		require.NoError(t, err)
		if i == n/2 {
			_, err = coll.Flush(ctx)
			require.NoError(t, err)
		}
	}
	texts, err := eng.CreateCollection(ctx, schema.New("texts").With(
		schema.VarChar("key", 40).PrimaryKey(), schema.Int64("tenant").PartitionKey(), schema.BinaryVector("v", 16)).WithPartitions(4))
	require.NoError(t, err)
	for i := range n {
		_, err := texts.Insert(ctx, column.VarChar("key", []string{fmt.Sprintf(`k"%d\`, i)}), column.Int64("tenant", []int64{int64(i)}),
			column.BinaryVectorFlat("v", 16, []byte{byte(i), byte(i >> 8)}))
		require.NoError(t, err)
	}
}

// equal wants both sides to be equal row by row.
func equal(t *testing.T, from, to milvuspb.MilvusServiceClient, rows int64) {
	t.Helper()
	r, err := migrate.Run(t.Context(), from, to, migrate.Options{Verify: true, Batch: 64})
	require.NoError(t, err)
	require.False(t, r.Different(), "%+v", r)
	require.Equal(t, rows, r.Read)
	back, err := migrate.Run(t.Context(), to, from, migrate.Options{Verify: true, Batch: 100})
	require.NoError(t, err)
	require.False(t, back.Different(), "%+v", back)
	require.Equal(t, rows, back.Read)
}

func TestCopyAndCarryOver(t *testing.T) {
	ctx := t.Context()
	eng, from := served(t)
	target, to := served(t)
	fill(t, eng, 300)
	var last migrate.Progress
	r, err := migrate.Run(ctx, from, to, migrate.Options{Batch: 50, Progress: func(p migrate.Progress) { last = p }})
	require.NoError(t, err)
	require.Equal(t, migrate.Report{Collections: 2, Read: 600, Upserted: 600}, r)
	require.Equal(t, migrate.Progress{Collection: "texts", Read: 300, Total: 300}, last)
	equal(t, from, to, 600)
	copied, err := target.Collection("numbers")
	require.NoError(t, err)
	require.True(t, copied.HasPartition("other"))
	require.EqualValues(t, "HNSW", copied.Indexes()[0].Kind)
	require.Equal(t, "8", copied.Indexes()[0].Params["M"])

	// The source is written to; the second pass does just that again.
	coll, err := eng.Collection("texts")
	require.NoError(t, err)
	_, err = coll.Delete(ctx, column.StringKeys(`k"0\`, `k"299\`))
	require.NoError(t, err)
	_, err = coll.Upsert(ctx, column.VarChar("key", []string{`k"5\`, "new"}), column.Int64("tenant", []int64{1, 2}), column.BinaryVectorFlat("v", 16, []byte{1, 2, 3, 4}))
	require.NoError(t, err)
	seen, err := migrate.Run(ctx, from, to, migrate.Options{Verify: true})
	require.NoError(t, err)
	require.True(t, seen.Different())
	r, err = migrate.Run(ctx, from, to, migrate.Options{Batch: 50})
	require.NoError(t, err)
	require.Equal(t, migrate.Report{Collections: 2, Read: 599, Upserted: 2, Deleted: 2}, r)
	equal(t, from, to, 599)
}

// Fields that functions make are made anew, and entities go on expiring.
func TestCopyFunctionsAndExpiry(t *testing.T) {
	ctx := t.Context()
	eng, from := served(t)
	target, to := served(t)
	c, err := eng.CreateCollection(ctx, schema.New("c").With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("body", 40).Analyze("english"), schema.SparseFloatVector("words"), schema.FloatVector("v", 2),
	).WithFunction(schema.BM25("body", "words")).ExpireAfter(time.Hour))
	require.NoError(t, err)
	require.NoError(t, c.CreateIndex(ctx, schema.Index{Field: "words"}))
	_, err = c.InsertRows(ctx, []map[string]any{{"id": 1, "body": "two lions", "v": []float32{1, 2}}, {"id": 2, "body": "a fox", "v": []float32{3, 4}}})
	require.NoError(t, err)
	r, err := migrate.Run(ctx, from, to, migrate.Options{})
	require.NoError(t, err)
	require.Equal(t, migrate.Report{Collections: 1, Read: 2, Upserted: 2}, r)
	equal(t, from, to, 2)
	copied, err := target.Collection("c")
	require.NoError(t, err)
	require.Equal(t, time.Hour, copied.Schema().TTLAfter)
	require.Equal(t, c.Indexes()[0].Metric, copied.Indexes()[0].Metric)
	hits, err := copied.Search(ctx, query.Nearest("words", "lion"))
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.EqualValues(t, 1, hits[0].Key.Int)
}

// A copy that is cut off ten times, each time at another write, ends with equal sides, and does not begin anew.
func TestCutOffAndResumed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	left := 0 // writes until the connection fails; -1: never
	cut := errors.New("cut off")
	eng, from := served(t)
	_, to := served(t, grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption) error {
		if method != "/milvus.proto.milvus.MilvusService/Upsert" || left < 0 {
			return next(ctx, method, req, reply, cc, o...)
		}
		if left == 0 {
			if draw.IntN(2) == 0 { // the write was made, and the answer is lost
				_ = next(ctx, method, req, reply, cc, o...)
			}
			return cut
		}
		left--
		return next(ctx, method, req, reply, cc, o...)
	}))
	fill(t, eng, 300)
	o := migrate.Options{Batch: 10, Position: filepath.Join(t.TempDir(), "position")}
	var read int64
	for range 10 {
		left = 1 + draw.IntN(4)
		r, err := migrate.Run(t.Context(), from, to, o)
		require.ErrorIs(t, err, cut)
		require.FileExists(t, o.Position)
		read += r.Read
	}
	left = -1
	r, err := migrate.Run(t.Context(), from, to, o)
	require.NoError(t, err)
	require.NoFileExists(t, o.Position)
	require.LessOrEqual(t, read+r.Read, int64(600+10*10))
	equal(t, from, to, 600)
}

// A rate is kept: it takes the time that it must. It ends at once when the context does.
func TestRate(t *testing.T) {
	eng, from := served(t)
	_, to := served(t)
	fill(t, eng, 20)
	start := time.Now()
	_, err := migrate.Run(t.Context(), from, to, migrate.Options{Batch: 10, Rate: 200})
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 190*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, third := served(t)
	_, err = migrate.Run(ctx, from, third, migrate.Options{Batch: 10, Rate: 1})
	require.Error(t, err)
}
