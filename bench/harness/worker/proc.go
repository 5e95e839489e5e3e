package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// Proc is a worker that runs.
type Proc struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner

	// mu is held by the call under way.
	mu   sync.Mutex
	dead error
}

// Start starts a worker. It is killed when ctx ends. Its standard error goes to log.
func Start(ctx context.Context, name string, argv, env []string, log io.Writer) (*Proc, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = log
	separate(cmd) // an interrupt is the harness's to handle
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	return &Proc{name: name, cmd: cmd, in: in, lines: lines}, nil
}

// Pid is the process's number.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Call sends a request and waits for its answer. An error wraps ErrUnsupported where the system cannot do it. After an
// error of the process itself every later call fails.
func (p *Proc) Call(verb string, args Args, progress func(done, of int)) (Args, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead != nil {
		return nil, p.dead
	}
	answer, err := p.call(verb, args, progress)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", p.name, verb, err)
	}
	return answer, nil
}

func (p *Proc) call(verb string, args Args, progress func(done, of int)) (Args, error) {
	if _, err := fmt.Fprintln(p.in, Message{verb, args}); err != nil {
		return nil, p.ended(err)
	}
	for p.lines.Scan() {
		line := p.lines.Text()
		if !strings.Contains(line, "?") {
			continue // a library that prints
		}
		m, err := Parse(line)
		if err != nil {
			continue
		}
		switch m.Verb {
		case "ok":
			return m.Args, nil
		case "unsupported":
			return nil, fmt.Errorf("%w: %s", ErrUnsupported, m.Args["text"])
		case "error":
			return nil, errors.New(m.Args["text"])
		case "progress":
			done, err := m.Args.Int("done", 0)
			of, err2 := m.Args.Int("of", 0)
			if progress != nil && err == nil && err2 == nil {
				progress(done, of)
			}
		}
	}
	return nil, p.ended(p.lines.Err())
}

// ended waits for a process that no longer answers, and returns how it ended, with what was noticed of it.
// REQUIRES: mu is held.
func (p *Proc) ended(noticed error) error {
	p.dead = errors.New("the process ended")
	if errors.Is(noticed, bufio.ErrTooLong) {
		p.cmd.Process.Kill() // it lives, and says what nobody understands
	}
	if err := p.cmd.Wait(); err != nil {
		p.dead = fmt.Errorf("the process ended: %w", err)
	} else if noticed != nil {
		p.dead = fmt.Errorf("the process ended: %w", noticed)
	}
	return p.dead
}

// Kill ends the process at once, as kill -9 does.
func (p *Proc) Kill() error {
	err := p.cmd.Process.Kill()
	p.cmd.Wait() // its error is the signal
	return err
}

// Close ends the worker's input and waits until it is gone.
func (p *Proc) Close() error {
	p.in.Close() // the process may be gone already
	if p.cmd.ProcessState != nil {
		return nil
	}
	return p.cmd.Wait()
}
