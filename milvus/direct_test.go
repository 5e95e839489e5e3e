package milvus_test

import (
	"encoding/base64"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// The direct client answers as the connection does, copies what it is given, and asks for the token.
func TestDirect(t *testing.T) {
	eng, err := engine.Open("data", &engine.Options{FS: vfs.NewMem()})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	srv, err := milvus.New(eng, &milvus.Options{Token: "key"})
	require.NoError(t, err)
	defer func() { require.NoError(t, srv.Close()) }()
	c := srv.Direct()
	_, err = c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", base64.StdEncoding.EncodeToString([]byte("key")), "dbname", "nothing")
	a, err := c.Connect(ctx, &milvuspb.ConnectRequest{})
	require.NoError(t, err)
	require.NotZero(t, a.GetIdentifier())
	list, err := c.ShowCollections(ctx, &milvuspb.ShowCollectionsRequest{})
	require.NoError(t, err)
	require.EqualValues(t, 800, list.GetStatus().GetCode())
	_, err = c.CreateRole(ctx, &milvuspb.CreateRoleRequest{})
	require.Equal(t, codes.Unimplemented, status.Code(err))
}
