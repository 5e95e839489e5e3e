package schema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrInvalid is wrapped by every refusal of a schema, a batch or a value.
	ErrInvalid = errors.New("invalid input")
	// ErrTooLarge is wrapped, besides ErrInvalid, where a batch exceeds a size limit and a smaller one would pass.
	ErrTooLarge = errors.New("too large")
	// ErrCorrupt is wrapped by every refusal of stored bytes that cannot be what an encoder wrote.
	ErrCorrupt = errors.New("corrupt encoding")
)

// NoRow is the Row of a FieldError that concerns no single row.
const NoRow = -1

// FieldError says which field, row and value was refused, and which rule it broke. It wraps ErrInvalid, and Err if set.
type FieldError struct {
	Field  string // name of the field or column; empty when the refusal concerns the whole schema or batch
	Row    int    // position in the batch, from 0; NoRow when no row is concerned
	Value  any    // the offending value as the caller gave it; nil when there is none to show
	Reason string // the rule that was broken, with the bound
	Err    error  // a further sentinel, such as ErrTooLarge, or nil
}

// Invalid makes a FieldError that concerns no row.
func Invalid(field string, value any, format string, args ...any) *FieldError {
	return InvalidRow(field, NoRow, value, format, args...)
}

// InvalidRow makes a FieldError about one row of a batch.
func InvalidRow(field string, row int, value any, format string, args ...any) *FieldError {
	return &FieldError{Field: field, Row: row, Value: value, Reason: fmt.Sprintf(format, args...)}
}

func (e *FieldError) Error() string {
	var b strings.Builder
	if e.Field != "" {
		b.WriteString("field ")
		b.WriteString(strconv.Quote(e.Field))
	}
	if e.Row >= 0 {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("row ")
		b.WriteString(strconv.Itoa(e.Row))
	}
	if e.Value != nil {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString("value ")
		b.WriteString(shorten(e.Value))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	return b.String()
}

// Unwrap makes errors.Is find ErrInvalid and Err.
func (e *FieldError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrInvalid}
	}
	return []error{ErrInvalid, e.Err}
}

// shownBytes bounds how much of a value an error text repeats: enough to recognise it, too little to flood a log.
const shownBytes = 60

// shorten renders a value for an error text.
func shorten(v any) string {
	switch v := v.(type) {
	case string:
		return quoteShort(v)
	case []byte:
		if utf8.Valid(v) {
			return quoteShort(string(v[:min(len(v), 4*shownBytes)]))
		}
		if len(v) > shownBytes/4 {
			return fmt.Sprintf("% x… (%d bytes)", v[:shownBytes/4], len(v))
		}
		return fmt.Sprintf("% x", v)
	}
	s := fmt.Sprintf("%v", v)
	if len(s) > shownBytes {
		return cut(s) + "…"
	}
	return s
}

func quoteShort(s string) string {
	if len(s) <= shownBytes {
		return strconv.Quote(s)
	}
	return strconv.Quote(cut(s)) + "…"
}

// cut shortens s to shownBytes without splitting a character.
func cut(s string) string {
	n := shownBytes
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
