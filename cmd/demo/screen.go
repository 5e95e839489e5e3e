package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is where the demo writes to. On a terminal it can draw over what it
// drew before; elsewhere it writes plain lines, without control codes.
type screen struct {
	out   io.Writer
	live  bool // frames may be redrawn, and progress shown
	color bool
	drawn int // lines of the last frame, which the next one replaces
}

// newScreen respects NO_COLOR (https://no-color.org) and TERM=dumb.
func newScreen(out *os.File, noColor bool) *screen {
	live := term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb" && enableControlCodes(out)
	return &screen{out: out, live: live, color: live && !noColor && os.Getenv("NO_COLOR") == ""}
}

func (s *screen) printf(format string, args ...any) {
	s.drawn = 0
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) heading(number int, text string) {
	s.printf("\n%s", s.paint(bold, fmt.Sprintf("%d  %s", number, text)))
}

// frame draws text, of whole lines narrower than the terminal, over the last
// frame. Without a terminal it draws nothing: only the end of a story is worth
// printing there, and that's what printf is for.
func (s *screen) frame(text string) {
	if !s.live {
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up
	}
	for line := range strings.Lines(text) {
		b.WriteString("\x1b[2K") // clear the line
		b.WriteString(line)
	}
	b.WriteString("\x1b[J") // and all below
	s.drawn = strings.Count(text, "\n")
	io.WriteString(s.out, b.String())
}

// style is the parameter of an "select graphic rendition" code.
type style string

const (
	bold   style = "1"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (s *screen) paint(as style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + string(as) + "m" + text + "\x1b[0m"
}
