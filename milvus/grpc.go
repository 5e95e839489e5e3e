package milvus

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
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

const (
	pipeBytes   = 1 << 20 // the buffer of a connection in memory
	windowBytes = 8 << 20 // of such a connection and its streams: fixed, so that none is looked for by pings
)

// InProcess serves within the process: no port, no file. Conn makes connections whose calls are function calls; Dialer makes ones over memory, for SDKs
// that connect by themselves.
type InProcess struct {
	server   *grpc.Server
	listener *bufconn.Listener
	done     chan error
	opts     Options
	direct   *direct

	calls  sync.RWMutex // held for reading by each call of Conn; guards closed
	closed bool
}

// ServeInProcess starts to serve within the process.
func (s *Server) ServeInProcess() *InProcess {
	p := &InProcess{
		server:   s.NewGRPC(grpc.InitialWindowSize(windowBytes), grpc.InitialConnWindowSize(windowBytes)),
		listener: bufconn.Listen(pipeBytes), done: make(chan error, 1), opts: s.opts, direct: newDirect(s),
	}
	go func() { p.done <- p.server.Serve(p.listener) }()
	return p
}

// Dialer opens a connection in memory, whatever the address. Give it to grpc.WithContextDialer, and "passthrough:///selkie" as the
// address.
func (p *InProcess) Dialer(ctx context.Context, _ string) (net.Conn, error) {
	return p.listener.DialContext(ctx)
}

// Conn makes a client's connection. Its calls run in the caller's goroutine, behind whatever interceptors are given; messages are copied, and not
// written to any connection.
func (p *InProcess) Conn(more ...grpc.DialOption) (*grpc.ClientConn, error) {
	o := []grpc.DialOption{grpc.WithContextDialer(p.Dialer), grpc.WithTransportCredentials(insecure.NewCredentials())}
	return grpc.NewClient("passthrough:///selkie", append(append(o, more...), grpc.WithChainUnaryInterceptor(p.call))...)
}

// call stands in for the connection.
func (p *InProcess) call(ctx context.Context, method string, req, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker, _ ...grpc.CallOption) error {
	p.calls.RLock()
	defer p.calls.RUnlock()
	if p.closed {
		return grpcstatus.Error(codes.Unavailable, "the server is closed")
	}
	if n := proto.Size(req.(proto.Message)); n > p.opts.MaxRecvBytes {
		return grpcstatus.Errorf(codes.ResourceExhausted, "a request of %d bytes is larger than %d", n, p.opts.MaxRecvBytes)
	}
	return p.direct.Invoke(ctx, method, req, reply)
}

// Close lets calls come to their end and closes all connections.
func (p *InProcess) Close() error {
	p.calls.Lock()
	p.closed = true
	p.calls.Unlock()
	p.server.GracefulStop()
	if err := <-p.done; err != nil && !errors.Is(err, grpc.ErrServerStopped) { // it had not begun
		return fmt.Errorf("serving in memory: %w", err)
	}
	return nil
}
