package milvus_test

import (
	"context"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a store in memory with a client of its server, by a connection over memory.
type fixture struct {
	milvuspb.MilvusServiceClient
	eng    *engine.Engine
	srv    *milvus.Server
	inside *milvus.InProcess
}

func open(t testing.TB, o *milvus.Options) *fixture {
	t.Helper()
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	return serve(t, eng, o)
}

func serve(t testing.TB, eng *engine.Engine, o *milvus.Options) *fixture {
	t.Helper()
	srv, err := milvus.New(eng, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	inside := srv.ServeInProcess()
	t.Cleanup(func() { require.NoError(t, inside.Close()) })
	wire, err := grpc.NewClient("passthrough:///selkie", grpc.WithContextDialer(inside.Dialer), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20), grpc.MaxCallSendMsgSize(1<<30)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, wire.Close()) })
	return &fixture{milvuspb.NewMilvusServiceClient(wire), eng, srv, inside}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// statusOf is an answer with a status, or a status.
type statusOf interface{ GetStatus() *commonpb.Status }

// fine wants an answer that is success by both codes.
func fine[A statusOf](t testing.TB) func(A, error) A {
	return func(a A, err error) A {
		t.Helper()
		require.NoError(t, err)
		ok(t, a.GetStatus())
		return a
	}
}

func ok(t testing.TB, s *commonpb.Status) {
	t.Helper()
	require.NotNil(t, s)
	require.Zero(t, s.GetCode(), s.GetReason())
	require.Equal(t, commonpb.ErrorCode_Success, s.GetErrorCode())
}

// done wants a status that is success.
func done(t testing.TB) func(*commonpb.Status, error) {
	return func(s *commonpb.Status, err error) {
		t.Helper()
		require.NoError(t, err)
		ok(t, s)
	}
}

// bad wants both codes, and a text that has all the parts.
func bad(t testing.TB, s *commonpb.Status, code int32, legacy commonpb.ErrorCode, parts ...string) {
	t.Helper()
	require.Equal(t, code, s.GetCode(), s.GetReason())
	require.Equal(t, legacy, s.GetErrorCode(), s.GetReason())
	for _, p := range parts {
		require.Contains(t, s.GetReason(), p)
	}
}

func field(name string, t schemapb.DataType, params ...string) *schemapb.FieldSchema {
	f := &schemapb.FieldSchema{Name: name, DataType: t}
	for i := 0; i < len(params); i += 2 {
		f.TypeParams = append(f.TypeParams, &commonpb.KeyValuePair{Key: params[i], Value: params[i+1]})
	}
	return f
}

func primary(f *schemapb.FieldSchema) *schemapb.FieldSchema {
	f.IsPrimaryKey = true
	return f
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// create makes a collection.
func (f *fixture) create(t testing.TB, s *schemapb.CollectionSchema, change ...func(*milvuspb.CreateCollectionRequest)) {
	t.Helper()
	r := &milvuspb.CreateCollectionRequest{CollectionName: s.GetName(), Schema: marshal(t, s), ConsistencyLevel: commonpb.ConsistencyLevel_Bounded}
	for _, c := range change {
		c(r)
	}
	done(t)(f.CreateCollection(within(t), r))
}

func int64s(name string, values ...int64) *schemapb.FieldData {
	return &schemapb.FieldData{Type: schemapb.DataType_Int64, FieldName: name, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
		Data: &schemapb.ScalarField_LongData{LongData: &schemapb.LongArray{Data: values}},
	}}}
}

func varChars(name string, values ...string) *schemapb.FieldData {
	return &schemapb.FieldData{Type: schemapb.DataType_VarChar, FieldName: name, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
		Data: &schemapb.ScalarField_StringData{StringData: &schemapb.StringArray{Data: values}},
	}}}
}

func jsons(name string, values ...string) *schemapb.FieldData {
	data := make([][]byte, len(values))
	for i, v := range values {
		data[i] = []byte(v)
	}
	return &schemapb.FieldData{Type: schemapb.DataType_JSON, FieldName: name, Field: &schemapb.FieldData_Scalars{Scalars: &schemapb.ScalarField{
		Data: &schemapb.ScalarField_JsonData{JsonData: &schemapb.JSONArray{Data: data}},
	}}}
}

func floatVectors(name string, dim int, values ...float32) *schemapb.FieldData {
	return &schemapb.FieldData{Type: schemapb.DataType_FloatVector, FieldName: name, Field: &schemapb.FieldData_Vectors{Vectors: &schemapb.VectorField{
		Dim: int64(dim), Data: &schemapb.VectorField_FloatVector{FloatVector: &schemapb.FloatArray{Data: values}},
	}}}
}
