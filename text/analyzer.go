package text

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// The names of the analyzers.
const (
	// Standard has the runs of letters and digits, with the marks that follow them, in lower case. Longer runs than 40 bytes are left out.
	Standard = "standard"
	// English is Standard without the commonest words, and with the stems of the others (Porter's English stemmer, Snowball).
	English = "english"
	// Whitespace has what stands between white space, as it is.
	Whitespace = "whitespace"
)

// maxTerm is the longest term that Standard and English keep, in bytes.
const maxTerm = 40

// Analyzer turns a text into terms.
type Analyzer struct {
	name  string
	split func(text, buf []byte, fn func(position int, term []byte)) []byte
	stems bool
}

var analyzers = []*Analyzer{
	{name: Standard, split: splitStandard},
	{name: English, split: splitStandard, stems: true},
	{name: Whitespace, split: splitWhitespace},
}

// ByName returns an analyzer; "" is Standard.
func ByName(name string) (*Analyzer, error) {
	if name == "" {
		name = Standard
	}
	var names []string
	for _, a := range analyzers {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	return nil, fmt.Errorf("no analyzer %q; there are %s", name, strings.Join(names, ", "))
}

// Name is the analyzer's name.
func (a *Analyzer) Name() string { return a.name }

// Each calls fn with the terms of a text in their order, each with its position: that of the word, words that are left out counted. A term is
// valid during the call. The text need not be valid UTF-8.
func (a *Analyzer) Each(text []byte, fn func(position int, term []byte)) { a.EachIn(text, nil, fn) }

// EachIn is Each that makes terms in the memory of buf, and returns it for the next text.
func (a *Analyzer) EachIn(text, buf []byte, fn func(position int, term []byte)) []byte {
	if !a.stems {
		return a.split(text, buf, fn)
	}
	s := stemmers.Get().(*stemmer)
	defer stemmers.Put(s)
	return a.split(text, buf, func(position int, term []byte) {
		if !stopWords[string(term)] {
			fn(position, s.stem(term))
		}
	})
}

// Count is a term's number, and how often it occurs.
type Count struct {
	Number uint32
	Times  uint32
}

// Counts appends the terms of a text by their numbers, ascending, to dst.
func (a *Analyzer) Counts(text []byte, dst []Count) []Count {
	from := len(dst)
	a.Each(text, func(_ int, term []byte) { dst = append(dst, Count{Number(term), 1}) })
	all := dst[from:]
	slices.SortFunc(all, func(x, y Count) int { return int(int64(x.Number) - int64(y.Number)) })
	n := 0
	for _, c := range all {
		if n > 0 && all[n-1].Number == c.Number {
			all[n-1].Times++
			continue
		}
		all[n] = c
		n++
	}
	return dst[:from+n]
}

// Number is the number by which a term is stored: the lower half of its xxhash64 with seed 0, less than 2^32-1. Two terms of one number, of which a vocabulary
// of a million has about a hundred pairs, are taken for the same.
func Number(term []byte) uint32 {
	return min(uint32(xxhash.Sum64(term)), math.MaxUint32-1)
}

// splitStandard calls fn with the words of a text.
func splitStandard(text, buf []byte, fn func(position int, term []byte)) []byte {
	position := 0
	for at := 0; at < len(text); {
		buf = buf[:0]
		start := at
		for at < len(text) {
			if c := text[at]; c < utf8.RuneSelf {
				low := lowerWord[c]
				if low == 0 {
					break
				}
				at++
				if len(buf) <= maxTerm {
					buf = append(buf, low)
				}
				continue
			}
			r, n := utf8.DecodeRune(text[at:])
			if !isWordRune(r) && !(at > start && unicode.Is(unicode.M, r)) {
				break
			}
			at += n
			if len(buf) <= maxTerm {
				buf = utf8.AppendRune(buf, unicode.ToLower(r))
			}
		}
		if at == start { // no part of a word
			_, n := utf8.DecodeRune(text[at:])
			at += n
			continue
		}
		if len(buf) <= maxTerm {
			fn(position, buf)
		}
		position++
	}
	return buf
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// lowerWord gives ASCII letters in lower case, and digits; 0 for what belongs to no word.
var lowerWord = func() (t [utf8.RuneSelf]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c >= '0' && c <= '9':
			t[c] = c
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			t[c] = c | 0x20
		}
	}
	return t
}()

// splitWhitespace calls fn with what stands between white space.
func splitWhitespace(text, buf []byte, fn func(position int, term []byte)) []byte {
	position, start := 0, -1
	for at := 0; at < len(text); {
		r, n := utf8.DecodeRune(text[at:])
		switch space := unicode.IsSpace(r); {
		case space && start >= 0:
			fn(position, text[start:at])
			position++
			start = -1
		case !space && start < 0:
			start = at
		}
		at += n
	}
	if start >= 0 {
		fn(position, text[start:])
	}
	return buf
}
