// Package inverted finds the sparse vectors of a segment that have the greatest
// inner product with a query, without comparing all of them, and misses none.
//
// An Index is built once from the rows of a segment (Build) and never changes.
// It has a list of postings for each term, that is, each index that vectors
// use: the rows that use it, and their values there. A query reads only the
// lists of its own terms, and by bounds on what the rows can score only a part
// of those (MAXSCORE, see searcher.prune):
//
//	ix, err := inverted.Build(ctx, source, inverted.Options{})
//	hits, stats, err := ix.Search(nil, q, 10, nil)
//
// It is Milvus's SPARSE_INVERTED_INDEX for the metric IP. Milvus's algorithms
// for it differ in speed only; this one serves for all.
//
// # Invariants
//
//  1. A search returns the hits that an exact scan returns (vector.Query's
//     ScanSparse and a vector.TopK), to the bit of every score: postings hold
//     the values themselves, and a row's products are added in the same order.
//     Rows that share no index with the query score 0 and are hits where no
//     more rows have a positive score; so are rows of negative scores after
//     those.
//  2. No posting's bound is below what it adds to a score, whatever the
//     rounding; Open checks it. Bounds are integers, their sums exact.
//  3. The same rows give the same index to the bit, whatever the blocks that
//     they come in.
//  4. Rows that are absent (nulls) are never hits. Empty vectors may be: they
//     score 0.
//
// # Layout
//
// Rows go by windows of 16384. A chunk is the postings of one term in one
// window: its number of the window, its greatest weight, and for each posting
// the row in the window (16 bits), a weight (8 bits) and the value (32 bits),
// in sections of their own, so that bounding reads 3 bytes a posting. The file
// is docs/format/sparse-index.md; in memory an index is the same.
//
// # Concurrency
//
// An Index is immutable and safe for concurrent use. Nothing here starts a
// goroutine.
package inverted
