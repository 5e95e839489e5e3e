package filter

import (
	"strconv"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// analyzerOf is the analyzer of a field's texts.
func analyzerOf(f *schema.Field) *text.Analyzer {
	a, err := text.ByName(f.Analyzer)
	if err != nil { // not in a checked schema
		a, _ = text.ByName(text.Standard)
	}
	return a
}

// textMatch is true where a string has at least min of the different tokens of a query.
type textMatch struct {
	x     *columnOp
	query string
	words map[string]int // the query's different tokens, numbered
	min   int
}

func newTextMatch(x *columnOp, query string, min int) *textMatch {
	m := &textMatch{x: x, query: query, words: map[string]int{}, min: min}
	analyzerOf(x.field).Each([]byte(query), func(_ int, token []byte) {
		if _, ok := m.words[string(token)]; !ok {
			m.words[string(token)] = len(m.words)
		}
	})
	return m
}

func (m *textMatch) bind(b *binder)          { m.x.bind(b) }
func (m *textMatch) cost() int               { return costText }
func (m *textMatch) outcomes(*chunk) outcome { return nullable(m.x.field) }

func (m *textMatch) append(b []byte) []byte {
	b = append(m.x.append(append(b, "text_match("...)), ", "...)
	b = appendQuoted(b, m.query)
	if m.min != 1 {
		b = strconv.AppendInt(append(b, ", minimum_should_match="...), int64(m.min), 10)
	}
	return append(b, ')')
}

func (m *textMatch) eval(r *run, want, t, k []uint64) {
	d, ok := r.column(m.x.col)
	if !ok {
		fail(t, k)
		return
	}
	if m.min > len(m.words) {
		clear(t)
		known(d, t, k)
		return
	}
	a := analyzerOf(m.x.field)
	var buf []byte
	found := make([]bool, len(m.words))
	left := 0
	find := func(_ int, token []byte) {
		if n, ok := m.words[string(token)]; ok && !found[n] {
			found[n] = true
			left--
		}
	}
	eachString(want, t, d.Offs, d.Bytes, func(s []byte) bool {
		clear(found)
		left = m.min
		buf = a.EachIn(s, buf, find)
		return left <= 0
	})
	known(d, t, k)
}

// phrase is true where a string has all tokens of a query, in places that fit.
//
// A token's shift is its place in the string less its place in the query. In an exact phrase all shifts are equal; slop is how
// much they may differ. Two neighbours exchanged differ by 2. A token that the query has twice needs two places.
type phrase struct {
	x     *columnOp
	query string
	slop  int64
	words map[string]int // numbered
	order []phraseWord   // the query's tokens in order
}

type phraseWord struct {
	word int
	at   int // place in the query
}

func newPhrase(x *columnOp, query string, slop int64) *phrase {
	p := &phrase{x: x, query: query, slop: slop, words: map[string]int{}}
	analyzerOf(x.field).Each([]byte(query), func(at int, token []byte) {
		n, ok := p.words[string(token)]
		if !ok {
			n = len(p.words)
			p.words[string(token)] = n
		}
		p.order = append(p.order, phraseWord{n, at})
	})
	return p
}

func (p *phrase) bind(b *binder)          { p.x.bind(b) }
func (p *phrase) cost() int               { return costText }
func (p *phrase) outcomes(*chunk) outcome { return nullable(p.x.field) }

func (p *phrase) append(b []byte) []byte {
	b = append(p.x.append(append(b, "phrase_match("...)), ", "...)
	b = appendQuoted(b, p.query)
	if p.slop != 0 {
		b = strconv.AppendInt(append(b, ", "...), p.slop, 10)
	}
	return append(b, ')')
}

func (p *phrase) eval(r *run, want, t, k []uint64) {
	d, ok := r.column(p.x.col)
	if !ok {
		fail(t, k)
		return
	}
	a := analyzerOf(p.x.field)
	var buf []byte
	places := make([][]int, len(p.words)) // of each word in the string
	eachString(want, t, d.Offs, d.Bytes, func(s []byte) bool {
		for i := range places {
			places[i] = places[i][:0]
		}
		buf = a.EachIn(s, buf, func(at int, token []byte) {
			if n, ok := p.words[string(token)]; ok {
				places[n] = append(places[n], at)
			}
		})
		return p.fits(places)
	})
	known(d, t, k)
}

// fits tries each shift that a token can have as the least one. Within the range of shifts that this allows, each token takes its
// first free place, which is as good as any since a later token of the same kind may use whatever is behind.
func (p *phrase) fits(places [][]int) bool {
	if len(p.order) == 0 {
		return false
	}
	for _, at := range places {
		if len(at) == 0 {
			return false
		}
	}
	next := make([]int, len(places))
	for _, w := range p.order {
		for _, at := range places[w.word] {
			if p.fitsFrom(int64(at-w.at), places, next) {
				return true
			}
		}
		if p.slop == 0 {
			return false // all shifts are equal, so those of the first token are all
		}
	}
	return false
}

func (p *phrase) fitsFrom(least int64, places [][]int, next []int) bool {
	clear(next)
	for _, w := range p.order {
		lo, hi := least+int64(w.at), least+int64(w.at)+p.slop
		at := places[w.word]
		i := next[w.word]
		for i < len(at) && int64(at[i]) < lo {
			i++
		}
		if i == len(at) || int64(at[i]) > hi {
			return false
		}
		next[w.word] = i + 1
	}
	return true
}
