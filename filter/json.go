package filter

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/selkiedb/selkie/schema"
)

// docPlan is what an expression reads of one JSON field: a tree of the steps of all its paths, so that one pass over a row's
// text finds the values of all of them.
type docPlan struct {
	field *schema.Field
	col   int
	root  docNode
	paths int
}

// docNode is a place in a JSON document.
type docNode struct {
	slot  int // of the value here, -1 if none asks for it
	keys  []docKey
	items []docItem
}

type docKey struct {
	key  string
	node *docNode
}

type docItem struct {
	index int64
	node  *docNode
}

// step is one [key] or [index] of a path.
type step struct {
	key   string
	index int64 // -1: it is a key
}

// path numbers a path: the plan of its field among docs, and the slot in it.
func (b *binder) path(f *schema.Field, steps []step) (doc, slot int) {
	doc = slices.IndexFunc(b.docs, func(d docPlan) bool { return d.field == f })
	if doc < 0 {
		b.docs = append(b.docs, docPlan{field: f, col: b.column(f), root: docNode{slot: -1}})
		doc = len(b.docs) - 1
	}
	plan := &b.docs[doc]
	n := &plan.root
	for _, s := range steps {
		n = n.child(s)
	}
	if n.slot < 0 {
		n.slot = plan.paths
		plan.paths++
		b.paths++
	}
	return doc, n.slot
}

func (n *docNode) child(s step) *docNode {
	if s.index >= 0 {
		for _, c := range n.items {
			if c.index == s.index {
				return c.node
			}
		}
		c := &docNode{slot: -1}
		n.items = append(n.items, docItem{s.index, c})
		return c
	}
	for _, c := range n.keys {
		if c.key == s.key {
			return c.node
		}
	}
	c := &docNode{slot: -1}
	n.keys = append(n.keys, docKey{s.key, c})
	return c
}

// reset forgets what was found at n and below.
func (n *docNode) reset(out []jsonValue) {
	if n.slot >= 0 {
		out[n.slot] = jsonValue{}
	}
	for _, c := range n.keys {
		c.node.reset(out)
	}
	for _, c := range n.items {
		c.node.reset(out)
	}
}

// jsonValue is what a path leads to in one row. lo and hi are the place in the row's text: of a string its inside.
type jsonValue struct {
	kind   kind
	esc    bool
	lo, hi uint32
	num    uint64
}

// docTile holds what the paths of one field lead to in the rows of a tile, as far as they have been looked at.
type docTile struct {
	plan   *docPlan
	parsed []uint64
	slots  []jsonValue // rows × paths
}

func (d *docTile) start(p *docPlan, rows int) {
	d.plan = p
	d.parsed = slices.Grow(d.parsed[:0], (rows+63)/64)[:(rows+63)/64]
	clear(d.parsed)
	d.slots = slices.Grow(d.slots[:0], rows*p.paths)[:rows*p.paths]
}

// json returns what a path leads to in row i of the tile. Each row's text is read once for all paths.
func (r *run) json(doc, slot, i int) scalar {
	t := &r.docs[doc]
	d, ok := r.column(t.plan.col)
	switch {
	case !ok:
		return scalar{kind: kindNull}
	case d.IsNull(i) && t.plan.field.IsDynamic:
		return scalar{} // a row without dynamic keys
	case d.IsNull(i):
		return scalar{kind: kindNull}
	}
	raw := d.Value(i)
	return t.row(i, raw)[slot].scalar(raw)
}

// row returns what the paths lead to in row i of the tile, whose text is raw.
func (t *docTile) row(i int, raw []byte) []jsonValue {
	out := t.slots[i*t.plan.paths : (i+1)*t.plan.paths]
	if t.parsed[i/64]&(1<<(i%64)) == 0 {
		t.parsed[i/64] |= 1 << (i % 64)
		clear(out)
		if _, ok := t.plan.root.scan(raw, 0, out); !ok {
			clear(out) // not possible with checked values
		}
	}
	return out
}

func (v *jsonValue) scalar(raw []byte) scalar {
	if v.kind == kindNone {
		return scalar{}
	}
	return scalar{kind: v.kind, esc: v.esc, num: v.num, raw: raw[v.lo:v.hi]}
}

// scan reads the value at at, keeps what n asks for, and returns the position behind it.
func (n *docNode) scan(raw []byte, at int, out []jsonValue) (end int, ok bool) {
	at = skipSpace(raw, at)
	if at >= len(raw) {
		return at, false
	}
	switch {
	case raw[at] == '{' && len(n.keys) > 0:
		end, ok = n.scanObject(raw, at, out)
	case raw[at] == '[' && len(n.items) > 0:
		end, ok = n.scanArray(raw, at, out)
	case raw[at] == '"':
		end, esc := skipString(raw, at)
		if n.slot >= 0 && end > at+1 {
			out[n.slot] = jsonValue{kind: kindString, esc: esc, lo: uint32(at + 1), hi: uint32(end - 1)}
		}
		return end, end > at+1
	default:
		end = skipValue(raw, at)
		ok = end > at
	}
	if ok && n.slot >= 0 {
		s := decodeJSON(raw[at:end])
		out[n.slot] = jsonValue{kind: s.kind, num: s.num, lo: uint32(at), hi: uint32(end)}
	}
	return end, ok
}

func (n *docNode) scanObject(raw []byte, at int, out []jsonValue) (end int, ok bool) {
	for at++; ; {
		at = skipSpace(raw, at)
		if at < len(raw) && raw[at] == '}' {
			return at + 1, true
		}
		if at >= len(raw) || raw[at] != '"' {
			return at, false
		}
		stop, esc := skipString(raw, at)
		key := raw[at:stop]
		at = skipSpace(raw, stop)
		if at >= len(raw) || raw[at] != ':' || len(key) < 2 {
			return at, false
		}
		at = skipSpace(raw, at+1)
		if c := n.find(key[1:len(key)-1], esc); c != nil {
			c.reset(out) // of a key given more than once, the last one counts
			if at, ok = c.scan(raw, at, out); !ok {
				return at, false
			}
		} else {
			end := skipValue(raw, at)
			if end == at {
				return at, false
			}
			at = end
		}
		at = skipSpace(raw, at)
		if at < len(raw) && raw[at] == ',' {
			at++
		}
	}
}

// find returns the place of a key, which is the inside of a JSON string.
func (n *docNode) find(key []byte, esc bool) *docNode {
	if esc {
		key = unescape(nil, key)
	}
	for _, c := range n.keys {
		if c.key == string(key) {
			return c.node
		}
	}
	return nil
}

func (n *docNode) scanArray(raw []byte, at int, out []jsonValue) (end int, ok bool) {
	at++
	for index := int64(0); ; index++ {
		at = skipSpace(raw, at)
		if at >= len(raw) {
			return at, false
		}
		if raw[at] == ']' {
			return at + 1, true
		}
		var child *docNode
		for _, c := range n.items {
			if c.index == index {
				child = c.node
			}
		}
		if child != nil {
			if at, ok = child.scan(raw, at, out); !ok {
				return at, false
			}
		} else {
			end := skipValue(raw, at)
			if end == at {
				return at, false
			}
			at = end
		}
		at = skipSpace(raw, at)
		if at < len(raw) && raw[at] == ',' {
			at++
		}
	}
}

// items calls fn with the elements of a JSON array's text until it returns false.
func items(raw []byte, fn func(scalar) bool) {
	for at := 1; ; {
		at = skipSpace(raw, at)
		if at >= len(raw) || raw[at] == ']' {
			return
		}
		end := skipValue(raw, at)
		if end == at || !fn(decodeJSON(raw[at:end]).inside(raw[at:end])) {
			return
		}
		at = skipSpace(raw, end)
		if at < len(raw) && raw[at] == ',' {
			at++
		}
	}
}

// inside sets raw to what the scalar's text is about.
func (s scalar) inside(text []byte) scalar {
	s.raw = text
	if s.kind == kindString {
		s.raw = text[1 : len(text)-1]
	}
	return s
}

// decodeJSON returns the value of a JSON text without its raw bytes. JSON's null is a missing value. An integer that fits is an
// Int64, every other number a Double.
func decodeJSON(text []byte) scalar {
	if len(text) == 0 {
		return scalar{}
	}
	switch c := text[0]; {
	case c == '{':
		return scalar{kind: kindObject}
	case c == '[':
		return scalar{kind: kindItems}
	case c == '"':
		if len(text) < 2 {
			return scalar{}
		}
		return scalar{kind: kindString, esc: bytes.IndexByte(text, '\\') >= 0}
	case c == 't':
		return scalar{kind: kindBool, num: 1}
	case c == 'f':
		return scalar{kind: kindBool}
	case c == '-' || isDigit(c):
		return decodeNumber(text)
	}
	return scalar{}
}

func decodeNumber(text []byte) scalar {
	digits := text
	negative := text[0] == '-'
	if negative {
		digits = text[1:]
	}
	if len(digits) > 0 && len(digits) <= 18 {
		var u int64
		for i, c := range digits {
			if !isDigit(c) {
				break
			}
			u = u*10 + int64(c-'0')
			if i == len(digits)-1 {
				if negative {
					u = -u
				}
				return scalar{kind: kindInt, num: uint64(u)}
			}
		}
	}
	s := unsafe.String(unsafe.SliceData(text), len(text)) // strconv keeps it in errors only
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return scalar{kind: kindInt, num: uint64(i)}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return scalar{}
	}
	return scalar{kind: kindFloat, num: math.Float64bits(f)}
}

// text returns the bytes of a string, without escapes. buf may be used for them.
func (s scalar) text(buf []byte) []byte {
	if s.esc {
		return unescape(buf[:0], s.raw)
	}
	return s.raw
}

// unescape appends the string whose JSON text is s.
func unescape(b, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hexRune(s[i+1:])
			i += min(4, len(s)-1-i)
			if utf16.IsSurrogate(r) {
				low := utf8.RuneError
				if len(s) > i+6 && s[i+1] == '\\' && s[i+2] == 'u' {
					low = hexRune(s[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, s[i])
		}
	}
	return b
}

func hexRune(s []byte) (r rune) {
	for i := range 4 {
		if i >= len(s) || !isHex(s[i]) {
			return utf8.RuneError
		}
		d := rune(s[i] - '0')
		if !isDigit(s[i]) {
			d = rune(s[i]|0x20-'a') + 10
		}
		r = r<<4 | d
	}
	return r
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && raw[at] <= ' ' { // what else is below a space has no place in JSON
		at++
	}
	return at
}

// skipString returns the position behind the string that begins at at, and whether it has escapes.
func skipString(raw []byte, at int) (end int, esc bool) {
	at++
	// Eight bytes at a time as long as none is a quote or a backslash. A byte's highest bit comes up where it is, after the
	// exclusive or, zero; what is above such a byte does not count (H. Warren: Hacker's Delight, 6-1).
	for at+8 <= len(raw) {
		w := binary.LittleEndian.Uint64(raw[at:])
		q, b := w^'"'*ones, w^'\\'*ones
		hit := ((q-ones)&^q | (b-ones)&^b) & (ones << 7)
		if hit != 0 {
			at += bits.TrailingZeros64(hit) / 8
			break
		}
		at += 8
	}
	for ; at < len(raw); at++ {
		switch raw[at] {
		case '\\':
			at++
			esc = true
		case '"':
			return at + 1, esc
		}
	}
	return len(raw), esc
}

const ones = 0x0101010101010101

// What a byte means to skipValue.
const (
	plainByte = iota
	quoteByte
	openByte
	closeByte
	spaceByte // and commas: the end of a number or a word
)

var byteClass = [256]uint8{
	'"': quoteByte, '{': openByte, '[': openByte, '}': closeByte, ']': closeByte,
	',': spaceByte, ' ': spaceByte, '\t': spaceByte, '\n': spaceByte, '\r': spaceByte,
}

// skipValue returns the position behind the value that begins at at; at itself where none does.
func skipValue(raw []byte, at int) int {
	if at < len(raw) && byteClass[raw[at]] == plainByte {
		for at < len(raw) && byteClass[raw[at]] == plainByte {
			at++
		}
		return at
	}
	depth := 0
	for at < len(raw) {
		switch byteClass[raw[at]] {
		case plainByte:
		case quoteByte:
			at, _ = skipString(raw, at)
			if depth == 0 {
				return at
			}
			continue
		case openByte:
			depth++
		case closeByte:
			if depth == 0 {
				return at
			}
			depth--
			if depth == 0 {
				return at + 1
			}
		case spaceByte:
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return at
}

// path is a place in a JSON field.
type path struct {
	field     *schema.Field
	steps     []step
	doc, slot int
}

func (p *path) kind() kind     { return kindJSON }
func (p *path) bind(b *binder) { p.doc, p.slot = b.path(p.field, p.steps) }
func (p *path) cost() int      { return costJSON }

func (p *path) append(b []byte) []byte {
	b = append(b, p.field.Name...)
	for _, s := range p.steps {
		b = append(b, '[')
		if s.index >= 0 {
			b = strconv.AppendInt(b, s.index, 10)
		} else {
			b = appendQuoted(b, s.key)
		}
		b = append(b, ']')
	}
	return b
}

func (p *path) at(r *run, i int) scalar { return r.json(p.doc, p.slot, i) }
