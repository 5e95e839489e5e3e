package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus"
	"github.com/selkiedb/selkie/milvus/migrate"
)

// side is a store or a server to copy from or to.
type side struct {
	where, tokenFile string
	tls              bool
}

func (s *side) flags(set *flag.FlagSet, name, what string) {
	set.StringVar(&s.where, name, "", what+": a `directory`, or host:port of a server")
	set.StringVar(&s.tokenFile, name+"-token-file", "", "a `file` with the token that the server of -"+name+" wants")
	set.BoolVar(&s.tls, name+"-tls", false, "use TLS with the server of -"+name)
}

// open gives a client, and what closes it.
func (s *side) open(ctx context.Context, readOnly bool) (milvuspb.MilvusServiceClient, func() error, error) {
	if strings.Contains(s.where, ":") && !strings.ContainsAny(s.where, `/\`) {
		return s.dial(ctx)
	}
	eng, err := engine.Open(s.where, &engine.Options{ReadOnly: readOnly})
	if err != nil {
		return nil, nil, err
	}
	srv, err := milvus.New(eng, nil)
	if err != nil {
		return nil, nil, errors.Join(err, eng.Close())
	}
	inside := srv.ServeInProcess()
	conn, err := inside.Conn()
	if err != nil {
		return nil, nil, errors.Join(err, inside.Close(), srv.Close(), eng.Close())
	}
	return milvuspb.NewMilvusServiceClient(conn), func() error { return errors.Join(conn.Close(), inside.Close(), srv.Close(), eng.Close()) }, nil
}

func (s *side) dial(ctx context.Context) (milvuspb.MilvusServiceClient, func() error, error) {
	creds := insecure.NewCredentials()
	if s.tls {
		creds = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	o := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20), grpc.MaxCallSendMsgSize(256<<20), grpc.WaitForReady(false)),
	}
	if s.tokenFile != "" {
		b, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("token: %w", err)
		}
		token := base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(string(b))))
		o = append(o, grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, o ...grpc.CallOption) error {
			return next(metadata.AppendToOutgoingContext(ctx, "authorization", token), method, req, reply, cc, o...)
		}))
	}
	conn, err := grpc.NewClient(s.where, o...)
	if err != nil {
		return nil, nil, err
	}
	client := milvuspb.NewMilvusServiceClient(conn)
	if _, err := client.Connect(ctx, &milvuspb.ConnectRequest{}); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect to %s: %w", s.where, err), conn.Close())
	}
	return client, conn.Close, nil
}

// migration copies collections from one side to the other.
func migration(ctx context.Context, args []string, out io.Writer) (err error) {
	var from, to side
	var o migrate.Options
	var names string
	var passes int
	set := flag.NewFlagSet("migrate", flag.ContinueOnError)
	set.SetOutput(out)
	from.flags(set, "from", "the source")
	to.flags(set, "to", "the target")
	set.StringVar(&o.Database, "database", "", "the database, on both sides")
	set.StringVar(&names, "collections", "", "`names` with commas between; none: all")
	set.IntVar(&o.Batch, "batch", 1000, "rows of one request")
	set.IntVar(&o.Rate, "rate", 0, "rows written a second at most; 0: as many as can be")
	set.StringVar(&o.Position, "position", "selkie-migrate.position", "a `file` that keeps how far the copy is, so that it can be resumed")
	set.IntVar(&passes, "passes", 2, "a second pass carries over what was written during the first")
	verify := set.Bool("verify", true, "compare all rows at the end")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if from.where == "" || to.where == "" || set.NArg() > 0 {
		return errors.New("migrate takes -from and -to, and no more")
	}
	if names != "" {
		o.Collections = strings.Split(names, ",")
	}
	source, closeSource, err := from.open(ctx, true)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	target, closeTarget, err := to.open(ctx, false)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, closeTarget()) }()
	o.Progress = func(p migrate.Progress) { fmt.Fprint(out, "\r", bar(p)) }
	for i := range passes {
		r, err := migrate.Run(ctx, source, target, o)
		if err != nil {
			return fmt.Errorf("pass %d, which the same command resumes: %w", i+1, err)
		}
		fmt.Fprintf(out, "\npass %d: %d collections, %d rows read, %d written, %d deleted\n", i+1, r.Collections, r.Read, r.Upserted, r.Deleted)
	}
	if !*verify {
		return nil
	}
	o.Verify, o.Position = true, ""
	r, err := migrate.Run(ctx, source, target, o)
	if err != nil {
		return fmt.Errorf("verification: %w", err)
	}
	fmt.Fprintf(out, "\nverification: %d rows compared, %d missing or other, %d too many\n", r.Read, r.Upserted, r.Deleted)
	if r.Different() {
		return errors.New("the sides differ: the source is being written to, or another pass is wanted")
	}
	return nil
}

// bar draws how far a copy is.
func bar(p migrate.Progress) string {
	const width = 30
	done := 0
	if p.Total > 0 {
		done = int(min(p.Read*width/p.Total, width))
	}
	return fmt.Sprintf("%s [%s%s] %d of %d", p.Collection, strings.Repeat("#", done), strings.Repeat(".", width-done), p.Read, p.Total)
}
