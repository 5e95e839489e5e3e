package text

import (
	"sync"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/english"
)

// stopWords are the words that English leaves out: Lucene's list.
var stopWords = map[string]bool{
	"a": true, "an": true, "and": true, "are": true, "as": true, "at": true, "be": true, "but": true, "by": true, "for": true, "if": true, "in": true,
	"into": true, "is": true, "it": true, "no": true, "not": true, "of": true, "on": true, "or": true, "such": true, "that": true, "the": true,
	"their": true, "then": true, "there": true, "these": true, "they": true, "this": true, "to": true, "was": true, "will": true, "with": true,
}

// stemmer finds stems, and remembers those of the words it met last. It is for one goroutine at a time.
type stemmer struct {
	env   *snowballstem.Env
	known map[string][]byte
}

// maxStems bounds what a stemmer remembers.
const maxStems = 1 << 14

var stemmers = sync.Pool{New: func() any {
	return &stemmer{env: snowballstem.NewEnv(""), known: map[string][]byte{}}
}}

func (s *stemmer) stem(word []byte) []byte {
	if stem, ok := s.known[string(word)]; ok {
		return stem
	}
	if len(s.known) >= maxStems {
		clear(s.known)
	}
	w := string(word)
	s.env.SetCurrent(w)
	english.Stem(s.env)
	stem := []byte(s.env.Current())
	s.known[w] = stem
	return stem
}
