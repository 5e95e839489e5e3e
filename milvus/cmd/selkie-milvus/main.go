// Command selkie-milvus serves a store by Milvus's protocol, and copies stores to and from servers of it:
//
//	selkie-milvus serve DIR
//	selkie-milvus serve -addr 0.0.0.0:19530 -token-file token -cert cert.pem -key key.pem DIR
//	selkie-milvus serve -addr unix:/run/selkie.sock DIR
//	selkie-milvus migrate -from DIR -to milvus.example.org:19530 -to-token-file token
//	selkie-milvus migrate -from milvus.example.org:19530 -to DIR
//	selkie-milvus export -collection books -to books.parquet DIR
//	selkie-milvus import -collection books -from books.parquet DIR
//
// serve ends on an interrupt: requests under way are finished, for up to -grace, and the store is closed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "selkie-milvus:", err)
		stop()
		os.Exit(1)
	}
}

const usage = `usage: selkie-milvus serve [flags] DIR
       selkie-milvus migrate -from DIR|HOST:PORT -to DIR|HOST:PORT [flags]
       selkie-milvus export -collection NAME -to FILE [flags] DIR
       selkie-milvus import -collection NAME -from FILE [flags] DIR`

// run is the command. It ends when its work is done or ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("no command given\n%s", usage)
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], out)
	case "migrate":
		return migration(ctx, args[1:], out)
	case "export":
		return export(ctx, args[1:], out)
	case "import":
		return importFile(ctx, args[1:], out)
	}
	return fmt.Errorf("no command %q\n%s", args[0], usage)
}
