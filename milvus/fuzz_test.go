package milvus_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// No bytes that are a message make a handler panic, and every refusal has both codes.
func FuzzHandlers(f *testing.F) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem(), Sync: engine.SyncNone})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, eng.Close()) })
	srv, err := milvus.New(eng, nil)
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, srv.Close()) })
	s, data := everyType()
	ctx := f.Context()
	created, err := srv.CreateCollection(ctx, &milvuspb.CreateCollectionRequest{CollectionName: "all", Schema: marshal(f, s)})
	require.NoError(f, err)
	ok(f, created)

	seeds := []proto.Message{
		&milvuspb.CreateCollectionRequest{CollectionName: "x", Schema: marshal(f, s)},
		&milvuspb.InsertRequest{CollectionName: "all", NumRows: 2, FieldsData: data},
		&milvuspb.UpsertRequest{CollectionName: "all", NumRows: 2, FieldsData: data},
		&milvuspb.DeleteRequest{CollectionName: "all", Expr: "id in [1]"},
		nearest(f, "all", kv("anns_field", "fv", "topk", "3", "params", `{"ef": 10}`), floats(1, 2)),
		&milvuspb.HybridSearchRequest{
			CollectionName: "all", RankParams: kv("limit", "3"),
			Requests: []*milvuspb.SearchRequest{nearest(f, "all", kv("anns_field", "fv", "topk", "3"), floats(1, 2))},
		},
		&milvuspb.QueryRequest{CollectionName: "all", Expr: "id > 0", OutputFields: []string{"*"}, QueryParams: kv("limit", "3")},
		&milvuspb.CreateIndexRequest{CollectionName: "all", FieldName: "fv", ExtraParams: kv("index_type", "HNSW", "params", `{"M": 4}`)},
		&milvuspb.AlterCollectionRequest{CollectionName: "all", Properties: kv("a", "b")},
	}
	for i, m := range seeds {
		f.Add(uint8(i), marshal(f, m))
	}
	f.Fuzz(func(t *testing.T, call uint8, raw []byte) {
		m := proto.Clone(seeds[int(call)%len(seeds)])
		if proto.Unmarshal(raw, m) != nil {
			return
		}
		var a *commonpb.Status
		var err error
		switch r := m.(type) {
		case *milvuspb.CreateCollectionRequest:
			if a, err = srv.CreateCollection(ctx, r); a.GetCode() == 0 && r.GetCollectionName() != "all" {
				_, err = srv.DropCollection(ctx, &milvuspb.DropCollectionRequest{DbName: r.GetDbName(), CollectionName: r.GetCollectionName()})
			}
		case *milvuspb.InsertRequest:
			a, err = answered(srv.Insert(ctx, r))
		case *milvuspb.UpsertRequest:
			a, err = answered(srv.Upsert(ctx, r))
		case *milvuspb.DeleteRequest:
			a, err = answered(srv.Delete(ctx, r))
		case *milvuspb.SearchRequest:
			a, err = answered(srv.Search(ctx, r))
		case *milvuspb.HybridSearchRequest:
			a, err = answered(srv.HybridSearch(ctx, r))
		case *milvuspb.QueryRequest:
			a, err = answered(srv.Query(ctx, r))
		case *milvuspb.CreateIndexRequest:
			if a, err = srv.CreateIndex(ctx, r); a.GetCode() == 0 {
				_, err = srv.DropIndex(ctx, &milvuspb.DropIndexRequest{CollectionName: "all"})
			}
		case *milvuspb.AlterCollectionRequest:
			a, err = srv.AlterCollection(ctx, r)
		}
		require.NoError(t, err)
		require.NotNil(t, a)
		require.Equal(t, a.GetCode() == 0, a.GetErrorCode() == commonpb.ErrorCode_Success)
	})
}

func answered[A statusOf](a A, err error) (*commonpb.Status, error) { return a.GetStatus(), err }
