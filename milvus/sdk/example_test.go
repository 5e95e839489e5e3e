package sdk_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus/client/v2/entity"
	"github.com/milvus-io/milvus/client/v2/index"
	"github.com/milvus-io/milvus/client/v2/milvusclient"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// program is written with Milvus's SDK alone. What it runs on is in the configuration.
func program(ctx context.Context, config *milvusclient.ClientConfig) error {
	client, err := milvusclient.New(ctx, config)
	if err != nil {
		return err
	}
	defer client.Close(ctx)

	schema := entity.NewSchema().
		WithField(entity.NewField().WithName("id").WithDataType(entity.FieldTypeInt64).WithIsPrimaryKey(true)).
		WithField(entity.NewField().WithName("title").WithDataType(entity.FieldTypeVarChar).WithMaxLength(64)).
		WithField(entity.NewField().WithName("vector").WithDataType(entity.FieldTypeFloatVector).WithDim(2))
	err = client.CreateCollection(ctx, milvusclient.NewCreateCollectionOption("books", schema).
		WithIndexOptions(milvusclient.NewCreateIndexOption("books", "vector", index.NewAutoIndex(entity.L2))))
	if err != nil {
		return err
	}
	_, err = client.Insert(ctx, milvusclient.NewColumnBasedInsertOption("books").
		WithInt64Column("id", []int64{1, 2, 3}).
		WithVarcharColumn("title", []string{"Walden", "Emma", "Ulysses"}).
		WithFloatVectorColumn("vector", 2, [][]float32{{0, 0}, {1, 0}, {5, 5}}))
	if err != nil {
		return err
	}
	found, err := client.Search(ctx, milvusclient.NewSearchOption("books", 2, []entity.Vector{entity.FloatVector{0.9, 0}}).
		WithConsistencyLevel(entity.ClStrong).WithOutputFields("title"))
	if err != nil {
		return err
	}
	for i := range found[0].ResultCount {
		title, err := found[0].GetColumn("title").GetAsString(i)
		if err != nil {
			return err
		}
		fmt.Printf("%s %.2f\n", title, found[0].Scores[i])
	}
	return nil
}

// The same program runs on a store within the process and on a Milvus cluster: the address is the difference.
func Example() {
	eng, err := engine.Open("books", &engine.Options{FS: vfs.NewMem()}) // in memory, for the example's sake
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	server, err := milvus.New(eng, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	inside := server.ServeInProcess()
	defer inside.Close()

	embedded := &milvusclient.ClientConfig{
		Address: "selkie", // of no meaning: the dialer has no network
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(inside.Dialer), grpc.WithTransportCredentials(insecure.NewCredentials()),
		},
	}
	// cluster := &milvusclient.ClientConfig{Address: "milvus.example.org:19530"}
	if err := program(context.Background(), embedded); err != nil {
		log.Fatal(err)
	}
	// Output:
	// Emma 0.01
	// Walden 0.81
}
