package filter

import (
	"bytes"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// glob is a pattern of like: pieces between the percent signs, which stand for any run of characters, also of none.
type glob struct {
	pieces   []piece
	openHead bool // begins with %
	openTail bool // ends with %
}

// piece is a run of literal bytes and underscores, each of which stands for one character.
type piece []part

type part struct {
	text string
	any  bool // one character, whichever
}

// parseGlob reads a pattern. A backslash takes the special meaning from what follows it; ok is false where nothing does.
func parseGlob(pattern string) (g glob, ok bool) {
	var p piece
	var text []byte
	endText := func() {
		if len(text) > 0 {
			p = append(p, part{text: string(text)})
			text = nil
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '\\':
			i++
			if i == len(pattern) {
				return g, false
			}
			text = append(text, pattern[i])
		case '_':
			endText()
			p = append(p, part{any: true})
		case '%':
			endText()
			if len(p) > 0 {
				g.pieces = append(g.pieces, p)
			} else if len(g.pieces) == 0 {
				g.openHead = true
			}
			p = nil
			g.openTail = true
			continue
		default:
			text = append(text, c)
		}
		g.openTail = false
	}
	endText()
	if len(p) > 0 {
		g.pieces = append(g.pieces, p)
	}
	return g, true
}

// matcher returns a function that tells whether a string fits, in the simplest form that the pattern allows.
func (g glob) matcher() func([]byte) bool {
	plain := func(i int) (string, bool) {
		if p := g.pieces[i]; len(p) == 1 && !p[0].any {
			return p[0].text, true
		}
		return "", false
	}
	switch len(g.pieces) {
	case 0:
		all := g.openHead || g.openTail
		return func(s []byte) bool { return all || len(s) == 0 }
	case 1:
		text, ok := plain(0)
		switch lit := []byte(text); {
		case !ok:
		case g.openHead && g.openTail:
			return func(s []byte) bool { return bytes.Contains(s, lit) }
		case g.openHead:
			return func(s []byte) bool { return bytes.HasSuffix(s, lit) }
		case g.openTail:
			return func(s []byte) bool { return len(s) >= len(text) && string(s[:len(text)]) == text }
		default:
			return func(s []byte) bool { return string(s) == text }
		}
	case 2:
		head, ok1 := plain(0)
		tail, ok2 := plain(1)
		if ok1 && ok2 && !g.openHead && !g.openTail {
			a, z := []byte(head), []byte(tail)
			return func(s []byte) bool {
				return len(s) >= len(a)+len(z) && bytes.HasPrefix(s, a) && bytes.HasSuffix(s, z)
			}
		}
	}
	return g.match
}

// prefix returns what every string that fits begins with, and whether every string that begins so fits.
func (g glob) prefix() (text string, only bool) {
	switch {
	case len(g.pieces) == 0:
		return "", g.openHead
	case g.openHead || g.pieces[0][0].any:
		return "", false
	}
	first := g.pieces[0]
	return first[0].text, len(g.pieces) == 1 && len(first) == 1 && g.openTail
}

// simple returns the text of the patterns text, text% and %text%; kind is ' ', '%' and 'i', or 0 for other patterns.
func (g glob) simple() (text string, kind byte) {
	switch {
	case len(g.pieces) != 1 || len(g.pieces[0]) != 1 || g.pieces[0][0].any:
		return "", 0
	case g.openHead && g.openTail:
		kind = 'i'
	case g.openTail:
		kind = '%'
	case !g.openHead:
		kind = ' '
	}
	return g.pieces[0][0].text, kind
}

// match takes time in proportion to the string's length times the pattern's.
func (g glob) match(s []byte) bool {
	pieces := g.pieces
	if !g.openHead {
		n, ok := pieces[0].ahead(s)
		if !ok {
			return false
		}
		s, pieces = s[n:], pieces[1:]
		if len(pieces) == 0 {
			return g.openTail || len(s) == 0
		}
	}
	if !g.openTail {
		last := pieces[len(pieces)-1]
		n, ok := last.behind(s)
		if !ok {
			return false
		}
		s, pieces = s[:n], pieces[:len(pieces)-1]
	}
	// What is between two runs of any length may as well be the first that fits.
	for _, p := range pieces {
		n, ok := p.find(s)
		if !ok {
			return false
		}
		s = s[n:]
	}
	return true
}

// ahead returns how many bytes of the head of s the piece takes.
func (p piece) ahead(s []byte) (n int, ok bool) {
	for _, q := range p {
		if q.any {
			if n == len(s) {
				return 0, false
			}
			_, size := utf8.DecodeRune(s[n:])
			n += size
			continue
		}
		if len(s)-n < len(q.text) || string(s[n:n+len(q.text)]) != q.text {
			return 0, false
		}
		n += len(q.text)
	}
	return n, true
}

// behind returns what is left of s before the piece at its tail.
func (p piece) behind(s []byte) (left int, ok bool) {
	left = len(s)
	for i := len(p) - 1; i >= 0; i-- {
		q := p[i]
		if q.any {
			if left == 0 {
				return 0, false
			}
			_, size := utf8.DecodeLastRune(s[:left])
			left -= size
			continue
		}
		if left < len(q.text) || string(s[left-len(q.text):left]) != q.text {
			return 0, false
		}
		left -= len(q.text)
	}
	return left, true
}

// find returns the end of the first place in s where the piece fits.
func (p piece) find(s []byte) (end int, ok bool) {
	for at := 0; at <= len(s); {
		if !p[0].any {
			i := bytes.Index(s[at:], []byte(p[0].text))
			if i < 0 {
				return 0, false
			}
			at += i
		}
		if n, ok := p.ahead(s[at:]); ok {
			return at + n, true
		}
		if at == len(s) {
			break
		}
		_, size := utf8.DecodeRune(s[at:])
		at += size
	}
	return 0, false
}

// pattern is true where a string fits a pattern of like, or holds a match of a regular expression.
type pattern struct {
	x    operand
	op   op // opLike, opMatch, opNotMatch
	text string
	fits func([]byte) bool
	head string // what begins every string that fits a pattern of like
	only bool   // every string that begins with head fits

	begins *head  // what there is to look at, if it is just the head
	holds  []byte // the text of a pattern %text%
}

func (p *pattern) bind(b *binder) { p.x.bind(b) }

func (p *pattern) cost() int { return max(costPattern, p.x.cost()) }

func (p *pattern) append(b []byte) []byte { return p.write(b, p.op.String()) }

func (p *pattern) appendNot(b []byte) []byte {
	if p.op == opLike {
		return p.write(b, "not like")
	}
	return append(p.append(append(b, "not ("...)), ')')
}

func (p *pattern) write(b []byte, by string) []byte {
	b = append(appendSide(b, p.x), ' ')
	b = append(append(b, by...), ' ')
	return appendQuoted(b, p.text)
}

func (p *pattern) eval(r *run, want, t, k []uint64) {
	if c, ok := p.x.(*columnOp); ok {
		d, ok := r.column(c.col)
		if !ok {
			fail(t, k)
			return
		}
		switch {
		case p.begins != nil:
			p.begins.find(want, t, d.Offs, d.Bytes)
		case p.holds != nil && mostly(want):
			findInfix(t, d.Offs, d.Bytes, p.holds)
		default:
			eachString(want, t, d.Offs, d.Bytes, p.fits)
		}
		if p.op == opNotMatch {
			invert(t)
		}
		known(d, t, k)
		return
	}
	var buf []byte
	eachRow(want, t, k, func(i int) tri {
		s := p.x.at(r, i)
		switch s.kind {
		case kindNull:
			return isUnknown
		case kindString:
			text := s.text(buf)
			if s.esc {
				buf = text
			}
			return triOf(p.fits(text) != (p.op == opNotMatch))
		}
		return isFalse
	})
}

// mostly tells whether so many rows are wanted that all may as well be looked at.
func mostly(want []uint64) bool {
	n := 0
	for _, w := range want {
		n += bits.OnesCount64(w)
	}
	return n > len(want)*16
}

func (p *pattern) outcomes(s *chunk) outcome {
	c, ok := p.x.(*columnOp)
	if !ok || p.op != opLike {
		return canBe
	}
	lo, hi, nulls, empty, ok := s.bounds(c.field)
	switch {
	case !ok:
		return nullable(c.field)
	case empty:
		return canUnknown
	}
	// Strings with the head lie from the head up to the last that begins with it.
	inside := (hi.kind == kindNone || hi.str >= p.head) && (lo.str <= p.head || strings.HasPrefix(lo.str, p.head))
	allInside := p.head == "" || hi.kind != kindNone && strings.HasPrefix(lo.str, p.head) && strings.HasPrefix(hi.str, p.head)
	return outcomeOf(inside, !(allInside && p.only), nulls)
}
