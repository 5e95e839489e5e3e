package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// screen shows progress: a bar on a terminal, lines elsewhere. It is safe for concurrent use.
type screen struct {
	out  *os.File
	live bool

	mu   sync.Mutex // guards what follows
	bar  *progressbar.ProgressBar
	text string
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, live: term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"}
}

// Work begins a bar; one of the same text goes on.
func (s *screen) Work(text string, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text == text && (s.bar != nil || !s.live) {
		return
	}
	if !s.live {
		s.text = text
		fmt.Fprintln(s.out, "  "+text)
		return
	}
	s.clear()
	if of <= 0 {
		of = -1
	}
	s.text = text
	s.bar = progressbar.NewOptions(of,
		progressbar.OptionSetWriter(s.out), progressbar.OptionSetDescription(text), progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100_000_000))
}

// Done moves the bar.
func (s *screen) Done(done, _ int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.Set(done)
	}
}

// Line prints a line that stays.
func (s *screen) Line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// clear removes the bar. REQUIRES: mu is held.
func (s *screen) clear() {
	if s.bar != nil {
		s.bar.Clear()
		s.bar = nil
	}
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}
