package filter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// Error says what is wrong with an expression, and where. It wraps schema.ErrInvalid.
type Error struct {
	Expr     string // the whole expression
	Pos, End int    // the bytes of Expr that are to blame; equal at the end of the text
	Field    string // the field concerned, "" if none is
	Reason   string // what is wrong, with names and types
	Err      error  // schema.ErrTooLarge where a limit was passed, else nil
}

// Error returns the reason, the place, and the line of the expression with the place underlined:
//
//	filter, column 8: cannot compare field "age" (Int64) with "x" (VarChar)
//	    age == "x"
//	           ^~~
func (e *Error) Error() string {
	before := e.Expr[:e.Pos]
	line := strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	stop := len(e.Expr)
	if i := strings.IndexByte(e.Expr[start:], '\n'); i >= 0 {
		stop = start + i
	}
	column := utf8.RuneCountInString(e.Expr[start:e.Pos]) + 1

	var b strings.Builder
	b.WriteString("filter, ")
	if line > 0 {
		b.WriteString("line " + strconv.Itoa(line+1) + ", ")
	}
	b.WriteString("column " + strconv.Itoa(column) + ": " + e.Reason)
	if e.Expr == "" {
		return b.String()
	}
	text, left := clip(e.Expr[start:stop], e.Pos-start)
	b.WriteString("\n    " + text + "\n    " + strings.Repeat(" ", left) + "^")
	marked := utf8.RuneCountInString(e.Expr[e.Pos:max(e.Pos, min(e.End, stop))])
	if tail := min(marked, utf8.RuneCountInString(text)-left); tail > 1 {
		b.WriteString(strings.Repeat("~", tail-1))
	}
	return b.String()
}

// Unwrap makes errors.Is find schema.ErrInvalid and Err.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{schema.ErrInvalid}
	}
	return []error{schema.ErrInvalid, e.Err}
}

const shownAround = 48 // characters of a line shown on each side of an error

// clip returns what is shown of a line, one character a rune, and how many of them are before byte at.
func clip(line string, at int) (text string, left int) {
	from, to := at, at
	for ; left < shownAround && from > 0; left++ {
		_, n := utf8.DecodeLastRuneInString(line[:from])
		from -= n
	}
	for n := 0; n < shownAround && to < len(line); n++ {
		_, size := utf8.DecodeRuneInString(line[to:])
		to += size
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, line[from:to])
	if from > 0 {
		text = "…" + text
		left++
	}
	if to < len(line) {
		text += "…"
	}
	return text, left
}

// fault is an error on its way to where the text is known.
type fault struct {
	at     span
	field  string
	reason string
	large  bool
}

func (f *fault) Error() string { return f.reason }

func failf(at span, format string, args ...any) error {
	return &fault{at: at, reason: fmt.Sprintf(format, args...)}
}

func failField(at span, f *schema.Field, format string, args ...any) error {
	return &fault{at: at, field: f.Name, reason: fmt.Sprintf(format, args...)}
}

func tooLarge(at span, format string, args ...any) error {
	return &fault{at: at, reason: fmt.Sprintf(format, args...), large: true}
}

// locate turns a fault into the Error that a caller sees.
func locate(err error, text string) error {
	var f *fault
	if !errors.As(err, &f) {
		return err
	}
	e := &Error{Expr: text, Pos: min(f.at.pos, len(text)), End: min(f.at.end, len(text)), Field: f.field, Reason: f.reason}
	e.End = max(e.Pos, e.End)
	if f.large {
		e.Err = schema.ErrTooLarge
	}
	return e
}

// span is a piece of an expression's text, in bytes.
type span struct{ pos, end int }

func (s span) to(o span) span { return span{s.pos, o.end} }
