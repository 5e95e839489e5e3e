package worker_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/worker"
)

func TestMain(m *testing.M) {
	if os.Getenv("WORKER") == "1" { // the worker of TestProc
		os.Stdout.WriteString("a library prints this\n")
		if worker.Serve(context.Background(), os.Stdin, os.Stdout, handle) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func handle(_ context.Context, verb string, args worker.Args, progress func(done, of int)) (worker.Args, error) {
	switch verb {
	case "echo":
		progress(1, 2)
		return args, nil
	case "die":
		os.Exit(3)
	case "refuse":
		return nil, worker.ErrUnsupported
	}
	return nil, errors.New("no verb " + verb)
}

func TestMessages(t *testing.T) {
	m := worker.Message{Verb: "search", Args: worker.Args{"out": "/a b/c&d=e?%", "ef": "64", "empty": ""}}
	require.Equal(t, "search?ef=64&empty=&out=%2Fa+b%2Fc%26d%3De%3F%25", m.String())
	back, err := worker.Parse(m.String() + "\n")
	require.NoError(t, err)
	require.Equal(t, m, back)
	for _, text := range []string{"", "?a=b", "ok?%zz"} {
		_, err := worker.Parse(text)
		require.Error(t, err, text)
	}
}

func TestArgs(t *testing.T) {
	a := worker.Args{"n": "7", "x": "oops"}
	a.Set("s", 1.5)
	n, err := a.Int("n", 1)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	n, err = a.Int("missing", 3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = a.Int("x", 1)
	require.ErrorContains(t, err, `x="oops"`)
	s, ok := a.Float("s")
	require.True(t, ok)
	require.InDelta(t, 1.5, s, 0)
	_, ok = a.Float("missing")
	require.False(t, ok)
}

func start(t *testing.T) *worker.Proc {
	p, err := worker.Start(t.Context(), "echo", []string{os.Args[0]}, []string{"WORKER=1"}, &bytes.Buffer{})
	require.NoError(t, err)
	return p
}

func TestProc(t *testing.T) {
	p := start(t)
	var told []int
	answer, err := p.Call("echo", worker.Args{"a": "b c"}, func(done, of int) { told = append(told, done, of) })
	require.NoError(t, err)
	require.Equal(t, worker.Args{"a": "b c"}, answer)
	require.Equal(t, []int{1, 2}, told)
	_, err = p.Call("refuse", nil, nil)
	require.ErrorIs(t, err, worker.ErrUnsupported)
	_, err = p.Call("sing", nil, nil)
	require.ErrorContains(t, err, "echo: sing: no verb sing")
	_, err = p.Call("echo", nil, nil)
	require.NoError(t, err, "an error of a request leaves the worker alive")
	require.NoError(t, p.Close())
}

func TestProcThatEnds(t *testing.T) {
	p := start(t)
	_, err := p.Call("die", nil, nil)
	require.ErrorContains(t, err, "the process ended: exit status 3")
	_, err = p.Call("echo", nil, nil)
	require.ErrorContains(t, err, "the process ended")
	require.NoError(t, p.Close())

	p = start(t)
	require.NoError(t, p.Kill())
	_, err = p.Call("echo", nil, nil)
	require.Error(t, err)

	_, err = worker.Start(t.Context(), "nothing", []string{"/no/such/program"}, nil, &bytes.Buffer{})
	require.ErrorContains(t, err, "nothing")
}

func TestServeStopsAtNonsense(t *testing.T) {
	var out strings.Builder
	require.Error(t, worker.Serve(t.Context(), strings.NewReader("echo?a=b\n?\n"), &out, handle))
	require.Contains(t, out.String(), "ok?a=b\n")
}
