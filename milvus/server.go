package milvus

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"

	"github.com/selkiedb/selkie/engine"
)

// Version is what clients are told of the server: a version of Milvus whose protocol it speaks, as they choose by it what to ask for.
const Version = "v2.6.2-selkie"

// Options configure a Server. The zero value, and nil, mean the defaults.
type Options struct {
	// Token is what clients must show: "user:password", or any other text, an API key. Empty: nothing is asked for.
	Token string
	// Timeout bounds requests that bring no deadline, or a later one. 0: no bound.
	Timeout time.Duration
	// MaxRecvBytes bounds a request. Default 64 MiB, Milvus's.
	MaxRecvBytes int
	// MaxSendBytes bounds an answer. Default 256 MiB, Milvus's.
	MaxSendBytes int
	// MaxStreams bounds the requests of one connection that are worked on at a time. Default 1,024.
	MaxStreams uint32
	// Logger gets what goes wrong inside. Default: nothing.
	Logger *slog.Logger
	// Now is the clock for timestamps. Default: time.Now.
	Now func() time.Time
}

// Server answers Milvus's protocol from an engine. It is a milvuspb.MilvusServiceServer; NewGRPC gives a gRPC server that has it with
// the protocol's options.
//
// One Server serves an engine at a time. The program may use the engine itself meanwhile.
type Server struct {
	milvuspb.UnimplementedMilvusServiceServer

	eng   *engine.Engine
	opts  Options
	clock clock
	state *state
	views views
	ddl   sync.Mutex // one at a time creates, drops or renames a collection or changes what it depends on; taken before state.write
}

// New makes a server of an engine, which stays the caller's to close.
func New(eng *engine.Engine, o *Options) (*Server, error) {
	s := &Server{eng: eng}
	if o != nil {
		s.opts = *o
	}
	if s.opts.MaxRecvBytes <= 0 {
		s.opts.MaxRecvBytes = 64 << 20
	}
	if s.opts.MaxSendBytes <= 0 {
		s.opts.MaxSendBytes = 256 << 20
	}
	if s.opts.MaxStreams == 0 {
		s.opts.MaxStreams = 1024
	}
	if s.opts.Logger == nil {
		s.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	s.clock.now = s.opts.Now
	var err error
	s.state, err = loadState(context.Background(), eng)
	return s, err
}

// Connect answers the first call of every client.
func (s *Server) Connect(context.Context, *milvuspb.ConnectRequest) (*milvuspb.ConnectResponse, error) {
	return &milvuspb.ConnectResponse{
		Status: succeeded(),
		ServerInfo: &commonpb.ServerInfo{
			BuildTags: Version, GoVersion: runtime.Version(), DeployMode: "STANDALONE",
		},
		Identifier: int64(s.clock.next()), // never 0: a client takes that for a server that is too old
	}, nil
}

// GetVersion gives Version.
func (s *Server) GetVersion(context.Context, *milvuspb.GetVersionRequest) (*milvuspb.GetVersionResponse, error) {
	return &milvuspb.GetVersionResponse{Status: succeeded(), Version: Version}, nil
}

// CheckHealth tells whether writes are taken.
func (s *Server) CheckHealth(context.Context, *milvuspb.CheckHealthRequest) (*milvuspb.CheckHealthResponse, error) {
	r := &milvuspb.CheckHealthResponse{Status: succeeded(), IsHealthy: true}
	if _, err := s.eng.Collection(stateCollection); err != nil && !errors.Is(err, engine.ErrNotFound) {
		r.IsHealthy, r.Reasons = false, []string{err.Error()}
	}
	return r, nil
}

// AllocTimestamp gives a timestamp greater than all before.
func (s *Server) AllocTimestamp(context.Context, *milvuspb.AllocTimestampRequest) (*milvuspb.AllocTimestampResponse, error) {
	return &milvuspb.AllocTimestampResponse{Status: succeeded(), Timestamp: s.clock.next()}, nil
}

// GetComponentStates says that there is one component, and that it runs.
func (s *Server) GetComponentStates(context.Context, *milvuspb.GetComponentStatesRequest) (*milvuspb.ComponentStates, error) {
	return &milvuspb.ComponentStates{
		Status: succeeded(), State: &milvuspb.ComponentInfo{NodeID: 1, Role: "selkie", StateCode: commonpb.StateCode_Healthy},
	}, nil
}
