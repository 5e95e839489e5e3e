package milvus

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// NewGRPC makes a gRPC server that answers the protocol, with the limits of the server's options. Further options may add credentials,
// say.
func (s *Server) NewGRPC(more ...grpc.ServerOption) *grpc.Server {
	g := grpc.NewServer(append([]grpc.ServerOption{
		grpc.MaxRecvMsgSize(s.opts.MaxRecvBytes),
		grpc.MaxSendMsgSize(s.opts.MaxSendBytes),
		grpc.MaxConcurrentStreams(s.opts.MaxStreams),
		// Clients ping every 10 s, call or not; the library's own bound of 5 min would cut them off.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(s.guard),
	}, more...)...)
	milvuspb.RegisterMilvusServiceServer(g, s)
	return g
}

// guard stands before every call: it asks for the token, sets the deadline, and turns a panic into an error.
func (s *Server) guard(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.opts.Logger.Error("panic in a handler", "method", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
			resp, err = nil, grpcstatus.Errorf(codes.Internal, "internal error in %s", info.FullMethod)
		}
	}()
	if err := s.authenticate(ctx); err != nil {
		return nil, err
	}
	if s.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
	}
	return next(ctx, req)
}

// authenticate compares the token of a call with the server's, in a time that does not depend on either.
func (s *Server) authenticate(ctx context.Context) error {
	if s.opts.Token == "" {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	given := ""
	if v := md.Get("authorization"); len(v) > 0 {
		given = v[0]
	}
	given = strings.TrimPrefix(given, "Bearer ")
	plain, err := base64.StdEncoding.DecodeString(given)
	if err != nil {
		plain = []byte(given)
	}
	got, want := sha256.Sum256(plain), sha256.Sum256([]byte(s.opts.Token))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return grpcstatus.Error(codes.Unauthenticated, "auth check failure, please check api key is correct")
	}
	return nil
}

// pipeBytes is the buffer of a connection in memory.
const pipeBytes = 1 << 20

// InProcess serves within the process, over connections in memory: no port, no file. Dial it with Dialer, or get a connection of Conn.
type InProcess struct {
	server   *grpc.Server
	listener *bufconn.Listener
	done     chan error
	opts     Options
}

// ServeInProcess starts to serve within the process.
func (s *Server) ServeInProcess() *InProcess {
	p := &InProcess{server: s.NewGRPC(), listener: bufconn.Listen(pipeBytes), done: make(chan error, 1), opts: s.opts}
	go func() { p.done <- p.server.Serve(p.listener) }()
	return p
}

// Dialer opens a connection in memory, whatever the address. Give it to grpc.WithContextDialer, and "passthrough:///selkie" as the
// address.
func (p *InProcess) Dialer(ctx context.Context, _ string) (net.Conn, error) {
	return p.listener.DialContext(ctx)
}

// Conn makes a client's connection.
func (p *InProcess) Conn(more ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///selkie", append([]grpc.DialOption{
		grpc.WithContextDialer(p.Dialer), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(p.opts.MaxSendBytes), grpc.MaxCallSendMsgSize(p.opts.MaxRecvBytes)),
	}, more...)...)
}

// Close lets calls come to their end and closes all connections.
func (p *InProcess) Close() error {
	p.server.GracefulStop()
	if err := <-p.done; err != nil {
		return fmt.Errorf("serving in memory: %w", err)
	}
	return nil
}
