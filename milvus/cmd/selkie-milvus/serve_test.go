package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// start runs the command until the test ends, which wants it to end well. It returns the address that is printed.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, append([]string{"serve"}, args...), w)
		w.Close()
	}()
	lines := bufio.NewReader(r)
	first, err := lines.ReadString('\n')
	if err != nil {
		cancel()
		require.NoError(t, <-done)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(io.Discard, lines)
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		<-copied
	})
	return strings.TrimSpace(first[strings.LastIndex(first, " at ")+4:])
}

func dial(t *testing.T, addr string, o grpc.DialOption) milvuspb.MilvusServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, o, grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(1<<30)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return milvuspb.NewMilvusServiceClient(conn)
}

func plain() grpc.DialOption { return grpc.WithTransportCredentials(insecure.NewCredentials()) }

func TestServeByPortAndRequestLimit(t *testing.T) {
	dir := t.TempDir()
	c := dial(t, start(t, "-addr", "127.0.0.1:0", "-max-request", "1000000", dir), plain())
	a, err := c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.NoError(t, err)
	require.NotZero(t, a.GetIdentifier())
	_, err = c.CreateCollection(t.Context(), &milvuspb.CreateCollectionRequest{Schema: make([]byte, 1<<20)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.NoError(t, err)
}

func TestServeByUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "selkie") // t.TempDir may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	start(t, "-addr", "unix:"+path, filepath.Join(dir, "data"))
	_, err = dial(t, "unix:"+path, plain()).Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.NoError(t, err)
}

func TestServeWithTokenAndTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "selkie"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	cert := write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	keyPath := write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}))
	token := write("token", []byte("root:Milvus\n"))
	addr := start(t, "-addr", "127.0.0.1:0", "-cert", cert, "-key", keyPath, "-token-file", token, filepath.Join(dir, "data"))
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	c := dial(t, addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})))
	call := func(token string) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", base64.StdEncoding.EncodeToString([]byte(token)))
		_, err := c.Connect(ctx, &milvuspb.ConnectRequest{})
		return err
	}
	require.NoError(t, call("root:Milvus"))
	for _, wrong := range []string{"", "root:milvus", "root:Milvus2", "root"} {
		require.Equal(t, codes.Unauthenticated, status.Code(call(wrong)), wrong)
	}
	_, err = c.Connect(t.Context(), &milvuspb.ConnectRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}

func TestBadCommands(t *testing.T) {
	for want, args := range map[string][]string{
		"no command given": nil,
		`no command "x"`:   {"x"},
		"one directory":    {"serve"},
		"go together":      {"serve", "-cert", "x", "dir"},
		"token":            {"serve", "-token-file", "/nothing", "dir"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
}
