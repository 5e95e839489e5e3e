package sdk_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/milvus-io/milvus/client/v2/entity"
	"github.com/milvus-io/milvus/client/v2/index"
	"github.com/milvus-io/milvus/client/v2/milvusclient"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// serve serves a new store by a port, and returns the address.
func serve(t *testing.T) string {
	t.Helper()
	eng, err := engine.Open(t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	server, err := milvus.New(eng, &milvus.Options{Token: "root:Milvus"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := server.NewGRPC()
	done := make(chan error, 1)
	go func() { done <- g.Serve(listener) }()
	t.Cleanup(func() {
		g.Stop()
		require.NoError(t, <-done)
	})
	return listener.Addr().String()
}

type book struct {
	ID     int64     `milvus:"name:id"`
	Title  string    `milvus:"name:title"`
	Dense  []float32 `milvus:"name:dense"`
	Second []float32 `milvus:"name:second"`
}

// The Go SDK's quickstart, from the creation to the drop, by a port and with a token.
func TestGoQuickstart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := milvusclient.New(ctx, &milvusclient.ClientConfig{Address: serve(t), Username: "root", Password: "Milvus"})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close(ctx)) }()

	schema := entity.NewSchema().WithDynamicFieldEnabled(true).
		WithField(entity.NewField().WithName("id").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("title").WithDataType(entity.FieldTypeVarChar).WithMaxLength(64)).
		WithField(entity.NewField().WithName("dense").WithDataType(entity.FieldTypeFloatVector).WithDim(4)).
		WithField(entity.NewField().WithName("second").WithDataType(entity.FieldTypeFloatVector).WithDim(2))
	require.NoError(t, client.CreateCollection(ctx, milvusclient.NewCreateCollectionOption("books", schema)))
	has, err := client.HasCollection(ctx, milvusclient.NewHasCollectionOption("books"))
	require.NoError(t, err)
	require.True(t, has)
	has, err = client.HasCollection(ctx, milvusclient.NewHasCollectionOption("nothing"))
	require.NoError(t, err)
	require.False(t, has)

	// Columns, with a dynamic one, and rows.
	res, err := client.Insert(ctx, milvusclient.NewColumnBasedInsertOption("books").
		WithInt64Column("id", []int64{1, 2, 3}).
		WithVarcharColumn("title", []string{"a", "b", "c"}).
		WithVarcharColumn("color", []string{"red", "green", "blue"}).
		WithFloatVectorColumn("dense", 4, [][]float32{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}).
		WithFloatVectorColumn("second", 2, [][]float32{{1, 0}, {2, 0}, {3, 0}}))
	require.NoError(t, err)
	require.EqualValues(t, 3, res.InsertCount)
	res, err = client.Insert(ctx, milvusclient.NewRowBasedInsertOption("books", &book{4, "d", []float32{0, 0, 0, 1}, []float32{4, 0}}))
	require.NoError(t, err)
	require.EqualValues(t, 1, res.InsertCount)

	flush, err := client.Flush(ctx, milvusclient.NewFlushOption("books"))
	require.NoError(t, err)
	require.NoError(t, flush.Await(ctx))
	stats, err := client.GetCollectionStats(ctx, milvusclient.NewGetCollectionStatsOption("books"))
	require.NoError(t, err)
	require.Equal(t, "4", stats["row_count"])

	for field, idx := range map[string]index.Index{"dense": index.NewHNSWIndex(entity.COSINE, 16, 100), "second": index.NewAutoIndex(entity.L2)} {
		task, err := client.CreateIndex(ctx, milvusclient.NewCreateIndexOption("books", field, idx))
		require.NoError(t, err)
		require.NoError(t, task.Await(ctx))
	}
	described, err := client.DescribeIndex(ctx, milvusclient.NewDescribeIndexOption("books", "dense"))
	require.NoError(t, err)
	require.Equal(t, "HNSW", described.Params()["index_type"])
	load, err := client.LoadCollection(ctx, milvusclient.NewLoadCollectionOption("books"))
	require.NoError(t, err)
	require.NoError(t, load.Await(ctx))

	found, err := client.Search(ctx, milvusclient.NewSearchOption("books", 2, []entity.Vector{entity.FloatVector{0, 1, 0, .1}}).
		WithANNSField("dense").WithFilter(`title != "a"`).WithOutputFields("title", "color"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, 2, found[0].ResultCount)
	id, err := found[0].IDs.GetAsInt64(0)
	require.NoError(t, err)
	require.EqualValues(t, 2, id)
	title, err := found[0].GetColumn("title").GetAsString(0)
	require.NoError(t, err)
	require.Equal(t, "b", title)

	rows, err := client.Query(ctx, milvusclient.NewQueryOption("books").WithFilter("id in [1, 4]").WithOutputFields("title"))
	require.NoError(t, err)
	require.Equal(t, 2, rows.ResultCount)
	require.Equal(t, 2, rows.GetColumn("title").Len())
	none, err := client.Query(ctx, milvusclient.NewQueryOption("books").WithFilter("id == 99").WithOutputFields("title"))
	require.NoError(t, err)
	require.Zero(t, none.ResultCount)
	got, err := client.Get(ctx, milvusclient.NewQueryOption("books").WithIDs(rows.GetColumn("id")).WithOutputFields("*"))
	require.NoError(t, err)
	require.Equal(t, 2, got.ResultCount)

	hybrid, err := client.HybridSearch(ctx, milvusclient.NewHybridSearchOption("books", 3,
		milvusclient.NewAnnRequest("dense", 3, entity.FloatVector{0, 1, 0, 0}),
		milvusclient.NewAnnRequest("second", 3, entity.FloatVector{2, 0})).WithReranker(milvusclient.NewRRFReranker()))
	require.NoError(t, err)
	id, err = hybrid[0].IDs.GetAsInt64(0)
	require.NoError(t, err)
	require.EqualValues(t, 2, id)

	seen := 0
	it, err := client.SearchIterator(ctx, milvusclient.NewSearchIteratorOption("books", entity.FloatVector{0, 1, 0, 0}).WithANNSField("dense").WithBatchSize(3))
	require.NoError(t, err)
	for {
		batch, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		seen += batch.Len()
	}
	require.Equal(t, 4, seen)
	seen = 0
	qit, err := client.QueryIterator(ctx, milvusclient.NewQueryIteratorOption("books").WithBatchSize(3).WithOutputFields("title"))
	require.NoError(t, err)
	for {
		batch, err := qit.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		seen += batch.Len()
	}
	require.Equal(t, 4, seen)

	up, err := client.Upsert(ctx, milvusclient.NewRowBasedInsertOption("books", &book{4, "dd", []float32{0, 0, 0, 1}, []float32{4, 0}}))
	require.NoError(t, err)
	require.EqualValues(t, 1, up.UpsertCount)
	del, err := client.Delete(ctx, milvusclient.NewDeleteOption("books").WithExpr("id in [1, 2]"))
	require.NoError(t, err)
	require.EqualValues(t, 2, del.DeleteCount)
	count, err := client.Query(ctx, milvusclient.NewQueryOption("books").WithOutputFields("count(*)"))
	require.NoError(t, err)
	n, err := count.GetColumn("count(*)").GetAsInt64(0)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)

	require.NoError(t, client.CreatePartition(ctx, milvusclient.NewCreatePartitionOption("books", "p")))
	parts, err := client.ListPartitions(ctx, milvusclient.NewListPartitionOption("books"))
	require.NoError(t, err)
	require.Equal(t, []string{"_default", "p"}, parts)
	require.NoError(t, client.CreateAlias(ctx, milvusclient.NewCreateAliasOption("books", "b")))
	require.NoError(t, client.DropAlias(ctx, milvusclient.NewDropAliasOption("b")))
	require.NoError(t, client.ReleaseCollection(ctx, milvusclient.NewReleaseCollectionOption("books")))
	_, err = client.Query(ctx, milvusclient.NewQueryOption("books").WithOutputFields("count(*)"))
	require.ErrorContains(t, err, "not loaded")
	require.NoError(t, client.DropCollection(ctx, milvusclient.NewDropCollectionOption("books")))
	names, err := client.ListCollections(ctx, milvusclient.NewListCollectionOption())
	require.NoError(t, err)
	require.Empty(t, names)

	_, err = milvusclient.New(ctx, &milvusclient.ClientConfig{Address: serve(t), Username: "root", Password: "wrong"})
	require.ErrorContains(t, err, "auth check failure")
}

// The Node SDK's quickstart, by a port. It needs node and npm, and the registry once.
func TestNodeQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("downloads the Node SDK")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here", tool)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "quickstart.mjs"} {
		b, err := os.ReadFile(filepath.Join("node", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("the Node SDK cannot be downloaded: %v\n%s", err, out)
	}
	run := exec.CommandContext(ctx, "node", "quickstart.mjs", serve(t))
	run.Dir = dir
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "all of it went well")
}
