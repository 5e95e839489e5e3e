// Package index finds the rows of a segment by the value of a scalar field: the different values in order, and for each the rows that hold it.
//
//	ix, err := index.Build(ctx, src, index.Options{})
//	yes, ok := ix.Answer(term, nil)
//
// Bitmaps of the rows that hold one of the first values, at every 32nd part of all, make a wide range as quick as a narrow one: two of them tell
// what lies between, and few rows are set or cleared one by one.
//
// # Invariants
//
//  1. An index never changes, and says of a term exactly what evaluating it over the values would.
//  2. An opened file is believed after every checksum and every bound has been checked.
//
// # Concurrency
//
// All methods may be called by many goroutines at a time.
//
// The file is described in docs/format/scalar-index.md.
package index
