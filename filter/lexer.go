package filter

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// tokenKind is what a token is. Operators and brackets are their own kinds.
type tokenKind uint8

const (
	tokEnd      tokenKind = iota
	tokName               // a field, a dynamic key or $meta
	tokWord               // a keyword; text holds it in lower case
	tokLiteral            // number or string, in value
	tokTemplate           // {name}; text holds the name
	tokSymbol             // operator, bracket or comma, in text
)

type token struct {
	kind  tokenKind
	at    span
	text  string
	value value
}

// is tells whether the token is a symbol or a keyword.
func (t token) is(text string) bool {
	return (t.kind == tokSymbol || t.kind == tokWord) && t.text == text
}

// describe names the token in an error.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the end"
	case tokLiteral:
		return t.value.String()
	case tokTemplate:
		return "{" + t.text + "}"
	}
	return strconv.Quote(t.text)
}

// lexer cuts an expression into tokens.
type lexer struct {
	src string
	at  int
}

// symbols by length, the longest first.
var symbols = [...]string{
	"==", "!=", "<=", ">=", "<<", ">>", "&&", "||", "**", "=~", "!~",
	"<", ">", "+", "-", "*", "/", "%", "&", "|", "^", "~", "!", "=",
}

func (l *lexer) next() (token, error) {
	for l.at < len(l.src) && isSpace(l.src[l.at]) {
		l.at++
	}
	start := l.at
	if start == len(l.src) {
		return token{at: span{start, start}}, nil
	}
	switch c := l.src[start]; {
	case isLetter(c):
		return l.name()
	case c == '$':
		return l.meta()
	case isDigit(c) || c == '.' && start+1 < len(l.src) && isDigit(l.src[start+1]):
		return l.number()
	case c == '"' || c == '\'':
		return l.quoted(start)
	case c == '{':
		return l.template()
	case c == ',' || c == '(' || c == ')' || c == '[' || c == ']':
		l.at++
		return token{kind: tokSymbol, at: span{start, l.at}, text: l.src[start:l.at]}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(l.src[start:], s) {
			l.at += len(s)
			t := token{kind: tokSymbol, at: span{start, l.at}, text: s}
			if s == "=" {
				return t, failf(t.at, `"=" is no operator here, "==" compares`)
			}
			return t, nil
		}
	}
	r, n := utf8.DecodeRuneInString(l.src[start:])
	at := span{start, start + n}
	switch r {
	case '“', '”', '‘', '’':
		return token{}, failf(at, "unexpected %q, strings stand between plain quotes", r)
	case '}':
		return token{}, failf(at, `unexpected "}" without "{"`)
	}
	return token{}, failf(at, "unexpected character %q", r)
}

func (l *lexer) name() (token, error) {
	start := l.at
	for l.at < len(l.src) && (isLetter(l.src[l.at]) || isDigit(l.src[l.at])) {
		l.at++
	}
	text := l.src[start:l.at]
	if l.at < len(l.src) && (l.src[l.at] == '"' || l.src[l.at] == '\'') {
		switch text {
		case "r", "R":
			return l.raw(start)
		case "u8", "u", "U", "L":
			return l.quoted(start)
		}
	}
	if schema.IsKeyword(text) {
		return token{kind: tokWord, at: span{start, l.at}, text: strings.ToLower(text)}, nil
	}
	return token{kind: tokName, at: span{start, l.at}, text: text}, nil
}

func (l *lexer) meta() (token, error) {
	start := l.at
	l.at++
	for l.at < len(l.src) && (isLetter(l.src[l.at]) || isDigit(l.src[l.at])) {
		l.at++
	}
	at := span{start, l.at}
	if text := l.src[start:l.at]; text != "$meta" {
		return token{}, failf(at, "unexpected %q, the only name with a dollar sign is $meta", text)
	}
	return token{kind: tokName, at: at, text: "$meta"}, nil
}

// template reads {name}.
func (l *lexer) template() (token, error) {
	start := l.at
	stop := strings.IndexByte(l.src[start:], '}')
	if stop < 0 {
		return token{}, failf(span{start, start + 1}, `"{" without "}"`)
	}
	l.at += stop + 1
	at := span{start, l.at}
	name := strings.Trim(l.src[start+1:l.at-1], " \t\r\n")
	for i := range len(name) {
		if !isLetter(name[i]) && (i == 0 || !isDigit(name[i])) {
			return token{}, failf(at, "a template is a name in braces: letters, digits and '_'")
		}
	}
	if name == "" {
		return token{}, failf(at, "the braces hold no name")
	}
	return token{kind: tokTemplate, at: at, text: name}, nil
}

// number reads decimal, octal (leading 0), hexadecimal and binary integers, and decimal and hexadecimal floats.
func (l *lexer) number() (token, error) {
	start := l.at
	digits := isDigit
	exponent := byte('e')
	base := 10
	if l.src[start] == '0' && start+1 < len(l.src) {
		switch l.src[start+1] | 0x20 {
		case 'x':
			digits, exponent, base = isHex, 'p', 16
			l.at += 2
		case 'b':
			base = 2
			l.at += 2
		}
	}
	float := false
	for l.at < len(l.src) {
		c := l.src[l.at]
		switch {
		case digits(c):
		case c == '.' && base != 2:
			float = true
		case c|0x20 == exponent && base != 2:
			float = true
			if l.at+1 < len(l.src) && (l.src[l.at+1] == '+' || l.src[l.at+1] == '-') {
				l.at++
			}
			digits = isDigit
		case isLetter(c) || isDigit(c):
			l.at++
			for l.at < len(l.src) && (isLetter(l.src[l.at]) || isDigit(l.src[l.at])) {
				l.at++
			}
			return token{}, failf(span{start, l.at}, "%q is no number", l.src[start:l.at])
		default:
			return l.numberOf(start, base, float)
		}
		l.at++
	}
	return l.numberOf(start, base, float)
}

func (l *lexer) numberOf(start, base int, float bool) (token, error) {
	at := span{start, l.at}
	text := l.src[start:l.at]
	t := token{kind: tokLiteral, at: at}
	if float {
		f, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil && math.IsInf(f, 0):
			return t, failf(at, "%s is too large for a Double", text)
		case err != nil:
			return t, failf(at, "%q is no number", text)
		}
		t.value = floatValue(f)
		return t, nil
	}
	digits := text
	switch {
	case base != 10:
		digits = text[2:]
	case len(text) > 1 && text[0] == '0':
		base = 8
	}
	u, err := strconv.ParseUint(digits, base, 64)
	switch {
	case err != nil && u == math.MaxUint64, err == nil && u > 1<<63:
		return t, failf(at, "%s is out of the range of Int64", text)
	case err != nil && base == 8:
		return t, failf(at, "%q is no octal number, which a leading 0 means", text)
	case err != nil:
		return t, failf(at, "%q is no number", text)
	case u == 1<<63:
		t.value = value{kind: kindBig, num: u}
	default:
		t.value = intValue(int64(u))
	}
	return t, nil
}

// raw reads r"…", where a backslash is a backslash and nothing else.
func (l *lexer) raw(start int) (token, error) {
	open := l.at
	stop := strings.IndexByte(l.src[open+1:], l.src[open])
	if stop < 0 {
		return token{}, failf(span{start, open + 1}, "the string has no end")
	}
	l.at = open + 1 + stop + 1
	return token{kind: tokLiteral, at: span{start, l.at}, value: stringValue(l.src[open+1 : l.at-1])}, nil
}

// quoted reads the string whose opening quote is at l.at; a prefix may begin before it, at start.
func (l *lexer) quoted(start int) (token, error) {
	quote := l.src[l.at]
	open := l.at
	body := open + 1
	var b []byte
	for l.at = body; l.at < len(l.src); {
		switch c := l.src[l.at]; {
		case c == quote:
			text := l.src[body:l.at]
			if b != nil {
				text = string(append(b, text...))
			}
			l.at++
			return token{kind: tokLiteral, at: span{start, l.at}, value: stringValue(text)}, nil
		case c == '\n':
			return token{}, failf(span{start, l.at}, "the string does not end on its line; a line feed in it is \\n")
		case c == '\\':
			b = append(b, l.src[body:l.at]...)
			var err error
			if b, err = l.escape(b); err != nil {
				return token{}, err
			}
			body = l.at
		default:
			l.at++
		}
	}
	return token{}, failf(span{start, open + 1}, "the string has no end")
}

// escape reads one escape sequence and appends what it stands for.
func (l *lexer) escape(b []byte) ([]byte, error) {
	start := l.at
	l.at++
	if l.at == len(l.src) {
		return b, failf(span{start, l.at}, "the string has no end")
	}
	c := l.src[l.at]
	l.at++
	switch c {
	case 'a':
		return append(b, '\a'), nil
	case 'b':
		return append(b, '\b'), nil
	case 'f':
		return append(b, '\f'), nil
	case 'n':
		return append(b, '\n'), nil
	case 'r':
		return append(b, '\r'), nil
	case 't':
		return append(b, '\t'), nil
	case 'v':
		return append(b, '\v'), nil
	case '\\', '\'', '"', '?', '/':
		return append(b, c), nil
	case '%', '_': // they mean something to like, which has escapes of its own
		return append(b, '\\', c), nil
	case 'x':
		u, err := l.hex(start, 2)
		return append(b, byte(u)), err
	case 'u', 'U':
		n := 4
		if c == 'U' {
			n = 8
		}
		u, err := l.hex(start, n)
		if err != nil {
			return b, err
		}
		r := rune(u)
		if utf16.IsSurrogate(r) && strings.HasPrefix(l.src[l.at:], `\u`) {
			l.at += 2
			low, err := l.hex(start, 4)
			if err != nil {
				return b, err
			}
			r = utf16.DecodeRune(r, rune(low))
			if r == utf8.RuneError {
				return b, failf(span{start, l.at}, "%s is no character", l.src[start:l.at])
			}
		}
		if u > utf8.MaxRune || !utf8.ValidRune(r) {
			return b, failf(span{start, l.at}, "%s is no character", l.src[start:l.at])
		}
		return utf8.AppendRune(b, r), nil
	}
	if c >= '0' && c <= '7' {
		u := uint(c - '0')
		for n := 1; n < 3 && l.at < len(l.src) && l.src[l.at] >= '0' && l.src[l.at] <= '7'; n++ {
			u = u<<3 | uint(l.src[l.at]-'0')
			l.at++
		}
		if u > 255 {
			return b, failf(span{start, l.at}, "%s is more than a byte", l.src[start:l.at])
		}
		return append(b, byte(u)), nil
	}
	_, n := utf8.DecodeRuneInString(l.src[l.at-1:])
	at := span{start, l.at - 1 + n}
	return b, failf(at, `%s is no escape sequence, a backslash is \\`, l.src[at.pos:at.end])
}

// hex reads n hexadecimal digits of the escape that began at start.
func (l *lexer) hex(start, n int) (uint32, error) {
	var u uint32
	for i := range n {
		if l.at == len(l.src) || !isHex(l.src[l.at]) {
			return 0, failf(span{start, l.at}, "%s needs %d hexadecimal digits, not %d", l.src[start:start+2], n, i)
		}
		d := l.src[l.at]
		switch {
		case isDigit(d):
			d -= '0'
		default:
			d = d | 0x20 - 'a' + 10
		}
		u = u<<4 | uint32(d)
		l.at++
	}
	return u, nil
}

func isSpace(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isHex(c byte) bool    { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
