package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrUnsupported is what a system returns for what it cannot do.
var ErrUnsupported = errors.New("not supported")

// Handler carries out one request. progress may be called while it is under way.
type Handler func(ctx context.Context, verb string, args Args, progress func(done, of int)) (Args, error)

// Serve answers requests until in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer, handle Handler) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	var mu sync.Mutex // guards out: a handler's goroutines may tell progress
	say := func(m Message) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Fprintln(out, m)
		return err
	}
	for lines.Scan() {
		request, err := Parse(lines.Text())
		if err != nil {
			return err
		}
		answer, err := handle(ctx, request.Verb, request.Args, func(done, of int) {
			say(Message{"progress", Args{"done": fmt.Sprint(done), "of": fmt.Sprint(of)}})
		})
		reply := Message{"ok", answer}
		switch {
		case errors.Is(err, ErrUnsupported):
			reply = Message{"unsupported", Args{"text": err.Error()}}
		case err != nil:
			reply = Message{"error", Args{"text": err.Error()}}
		}
		if err := say(reply); err != nil {
			return err
		}
	}
	return lines.Err()
}
