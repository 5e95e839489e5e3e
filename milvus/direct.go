package milvus

import (
	"context"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Direct gives a client whose calls are function calls: messages are copied, not written to a connection. It is the quickest way to speak
// the protocol within the process; Whoever wants a connection takes InProcess.Conn, an SDK
// that makes its own InProcess.Dialer.
func (s *Server) Direct() milvuspb.MilvusServiceClient {
	return milvuspb.NewMilvusServiceClient(newDirect(s))
}

func newDirect(s *Server) *direct {
	d := &direct{server: s, methods: map[string]grpc.MethodDesc{}}
	for _, m := range milvuspb.MilvusService_ServiceDesc.Methods {
		d.methods["/"+milvuspb.MilvusService_ServiceDesc.ServiceName+"/"+m.MethodName] = m
	}
	return d
}

// direct is a connection that is none. The limits of messages are not looked at, the token is.
type direct struct {
	server  *Server
	methods map[string]grpc.MethodDesc
}

// Invoke calls the handler of a method with a copy of the request, in the caller's goroutine. Options of the call have no meaning here.
func (d *direct) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	m, ok := d.methods[method]
	if !ok {
		return grpcstatus.Errorf(codes.Unimplemented, "unknown method %s", method[strings.LastIndex(method, "/")+1:])
	}
	md, _ := metadata.FromOutgoingContext(ctx)
	in := metadata.NewIncomingContext(ctx, md)
	a, err := m.Handler(d.server, in, func(to any) error {
		proto.Merge(to.(proto.Message), args.(proto.Message))
		return nil
	}, d.server.guard)
	if err != nil {
		return err
	}
	out := reply.(proto.Message)
	proto.Reset(out)
	proto.Merge(out, a.(proto.Message))
	return nil
}

// NewStream refuses: the protocol's calls that are answered have no streams.
func (d *direct) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, grpcstatus.Error(codes.Unimplemented, "no streams")
}
