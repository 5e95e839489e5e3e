// Package dataset makes and keeps the data that everything is measured on: rows, queries that are not among them, and
// the exact nearest rows of each query.
//
// A set is a folder of the cache:
//
//	meta.json      Meta: what it is, where it comes from, its licence, its SHA-256
//	base.f32       rows × dim little-endian float32, row after row
//	queries.f32    queries × dim, likewise
//	truth.i32      queries × depth little-endian int32: row numbers, the nearest first
//
// The names that can be prepared are glove100 (English words), fashion (pictures), made-ROWS (made data, for scale) and
// whatever the user gives files for.
//
// # Invariants
//
//  1. A set's folder appears whole or not at all: it is written under another name first.
//  2. Verify recomputes the SHA-256 of rows and queries; what was measured on is what the record names.
//  3. The same seed gives the same bytes on every machine of the same architecture, whatever its number of cores.
//  4. Rows of a COSINE set have length 1, so that every system can be given them as they are.
//
// # Concurrency
//
// A Set may be read by many goroutines.
package dataset
