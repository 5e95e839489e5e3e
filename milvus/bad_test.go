package milvus_test

import (
	"context"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// asBytes is a codec that sends bytes as they are.
type asBytes struct{}

func (asBytes) Name() string { return "proto" }

func (asBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (asBytes) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// Messages that are cut off at any byte are refused, or are other messages; the connection and the rows stay.
func TestTruncatedMessages(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	conn, err := grpc.NewClient("passthrough:///selkie", grpc.WithContextDialer(f.inside.Dialer), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	r := nearest(t, "books", kv("topk", "1"), floats(1, 1))
	r.Dsl, r.OutputFields = "id > 0", []string{"*"}
	whole := marshal(t, r)
	refused := 0
	for i := range whole {
		var out []byte
		err := conn.Invoke(ctx, "/milvus.proto.milvus.MilvusService/Search", whole[:i], &out, grpc.ForceCodecV2(asBytes{}))
		if err != nil {
			require.Equal(t, codes.Internal, status.Code(err), err)
			require.ErrorContains(t, err, "unmarshal")
			refused++
		}
	}
	require.Greater(t, refused, len(whole)/2)
	require.Equal(t, []string{"one", "two", "three"}, f.titles(t))
}

// A message of 300 MB is refused before it is read, on the wire and within the process, by a code that clients do not try again; the next call is answered.
func TestLargeMessage(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	books(t, f)
	large := &milvuspb.InsertRequest{CollectionName: "books", NumRows: 1, FieldsData: []*schemapb.FieldData{varChars("title", strings.Repeat("x", 300<<20))}}
	for _, c := range []milvuspb.MilvusServiceClient{f, f.connected(t)} {
		_, err := c.Insert(ctx, large)
		require.Equal(t, codes.ResourceExhausted, status.Code(err), "%.200v", err)
		require.Equal(t, []string{"one", "two", "three"}, f.titles(t))
	}
}

// What is refused of a write leaves nothing behind, and names what is wrong.
func TestBadWrites(t *testing.T) {
	f := open(t, nil)
	ctx := within(t)
	s := &schemapb.CollectionSchema{Name: "books", Fields: []*schemapb.FieldSchema{
		primary(field("id", schemapb.DataType_Int64)), field("title", schemapb.DataType_VarChar, "max_length", "8"), field("v", schemapb.DataType_FloatVector, "dim", "2"),
	}}
	f.create(t, s)
	id, title, v := int64s("id", 1), varChars("title", "x"), floatVectors("v", 2, 1, 2)
	for text, fields := range map[string][]*schemapb.FieldData{
		"more":                             {id, title, v, int64s("more", 1)},
		"title":                            {id, v},
		"dim":                              {id, title, floatVectors("v", 3, 1, 2, 3)},
		"invalid dimension":                {id, title, floatVectors("v", 0, 1, 2)},
		"is not equal to passed num_rows":  {id, title, floatVectors("v", 2, 1, 2, 3)},
		"doesn't match":                    {id, title, vectors("v", schemapb.DataType_BinaryVector, &schemapb.VectorField{Dim: 16, Data: &schemapb.VectorField_BinaryVector{BinaryVector: []byte{1, 2}}})},
		"UTF-8":                            {id, scalar("title", schemapb.DataType_VarChar, stringArray("\xff")), v},
		"$meta":                            {id, title, v, {Type: schemapb.DataType_JSON, IsDynamic: true, Field: jsons("", `{}`).GetField()}},
		"a column is missing":              {id, nil, v},
		"passed num_rows (1): invalid par": {id, {FieldName: "title", Type: schemapb.DataType_VarChar}, v},
	} {
		for _, write := range []func() (*milvuspb.MutationResult, error){
			func() (*milvuspb.MutationResult, error) {
				return f.srv.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "books", NumRows: 1, FieldsData: fields})
			},
			func() (*milvuspb.MutationResult, error) {
				return f.srv.Upsert(ctx, &milvuspb.UpsertRequest{CollectionName: "books", NumRows: 1, FieldsData: fields})
			},
		} {
			a, err := write()
			require.NoError(t, err)
			bad(t, a.GetStatus(), 1100, commonpb.ErrorCode_IllegalArgument, text)
			require.NotZero(t, a.GetTimestamp())
		}
	}
	a, err := f.Insert(ctx, &milvuspb.InsertRequest{CollectionName: "nothing", NumRows: 1, FieldsData: []*schemapb.FieldData{id, title, v}})
	require.NoError(t, err)
	bad(t, a.GetStatus(), 100, commonpb.ErrorCode_CollectionNotExists, "collection not found[database=default][collection=nothing]")
	require.Empty(t, f.titles(t))
}

// The connection within the process answers as one over memory does; after the end it refuses, and calls under way are waited for.
func TestConn(t *testing.T) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	srv, err := milvus.New(eng, &milvus.Options{MaxRecvBytes: 100})
	require.NoError(t, err)
	defer func() { require.NoError(t, srv.Close()) }()
	inside := srv.ServeInProcess()
	seen := 0
	conn, err := inside.Conn(grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption) error {
		seen++
		return next(ctx, method, req, reply, cc, o...)
	}))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	c := milvuspb.NewMilvusServiceClient(conn)
	a, err := c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.NoError(t, err)
	require.NotZero(t, a.GetIdentifier())
	require.Equal(t, 1, seen, "interceptors are asked")
	_, err = c.DropCollection(t.Context(), &milvuspb.DropCollectionRequest{CollectionName: strings.Repeat("x", 100)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = c.CreateRole(t.Context(), &milvuspb.CreateRoleRequest{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
	require.NoError(t, inside.Close())
	_, err = c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.Equal(t, codes.Unavailable, status.Code(err))
}
