// Package text turns texts into terms: what full-text search and the filters text_match and phrase_match compare.
//
//	standard, err := text.ByName("standard")
//	standard.Each([]byte("Two lions"), func(position int, term []byte) { … }) // two, lions
//
// # Invariants
//
//  1. What an analyzer makes of a text never changes: term vectors on disk were made by it. A better one gets another name.
//  2. A term's number is a hash of its bytes, see Number; docs/format/terms.md has the definition.
//
// # Concurrency
//
// An Analyzer may be used by any number of goroutines.
package text
