package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	dir, addr, tokenFile, cert, key string
	readOnly                        bool
	timeout, grace                  time.Duration
	maxRequest                      int
	memory                          int64
}

func parseServe(args []string, out io.Writer) (serveFlags, error) {
	var f serveFlags
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	set.SetOutput(out)
	set.StringVar(&f.addr, "addr", "127.0.0.1:19530", "where to listen: `host:port`, or unix:path")
	set.StringVar(&f.tokenFile, "token-file", "", "a `file` with the token that clients must show, user:password or any text")
	set.StringVar(&f.cert, "cert", "", "a `file` with the certificate, for TLS")
	set.StringVar(&f.key, "key", "", "a `file` with the certificate's key")
	set.BoolVar(&f.readOnly, "read-only", false, "take no lock and change nothing")
	set.DurationVar(&f.timeout, "timeout", 0, "the longest a request may take; 0: as long as its client waits")
	set.DurationVar(&f.grace, "grace", 10*time.Second, "how long requests under way may take after an interrupt")
	set.IntVar(&f.maxRequest, "max-request", 64<<20, "the largest request, in `bytes`")
	set.Int64Var(&f.memory, "memory", 0, "a budget for the engine's memory, in `bytes`, at least 16777216; 0: none. See engine.Options.MemoryBudget")
	if err := set.Parse(args); err != nil {
		return f, err
	}
	if set.NArg() != 1 {
		return f, fmt.Errorf("serve takes one directory, %d are given", set.NArg())
	}
	f.dir = set.Arg(0)
	if (f.cert == "") != (f.key == "") {
		return f, errors.New("-cert and -key go together")
	}
	return f, nil
}

// serve opens a store and answers requests until ctx ends.
func serve(ctx context.Context, args []string, out io.Writer) (err error) {
	f, err := parseServe(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	o := &milvus.Options{Timeout: f.timeout, MaxRecvBytes: f.maxRequest, Logger: slog.New(slog.NewTextHandler(out, nil))}
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		if o.Token = strings.TrimSpace(string(b)); o.Token == "" {
			return fmt.Errorf("token: %s is empty", f.tokenFile)
		}
	}
	var more []grpc.ServerOption
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
		more = append(more, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})))
	}
	eng, err := engine.Open(f.dir, &engine.Options{ReadOnly: f.readOnly, MemoryBudget: f.memory, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	server, err := milvus.New(eng, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	network, addr := "tcp", f.addr
	if path, ok := strings.CutPrefix(f.addr, "unix:"); ok {
		network, addr = "unix", strings.TrimPrefix(path, "//")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, network, addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving %s at %s\n", f.dir, listener.Addr())
	if o.Token == "" && network == "tcp" && !loopback(listener.Addr()) {
		fmt.Fprintln(out, "whoever reaches this address can read and change the store: give -token-file")
	}
	return answer(ctx, server.NewGRPC(more...), listener, f.grace)
}

// answer serves until ctx ends, then waits for the requests under way, for as long as grace.
func answer(ctx context.Context, g *grpc.Server, listener net.Listener, grace time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- g.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	cut := time.AfterFunc(grace, g.Stop)
	defer cut.Stop()
	g.GracefulStop()
	return <-served
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
}
