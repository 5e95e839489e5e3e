// Package graph finds the vectors of a segment that are nearest to a query,
// without comparing all of them.
//
// An Index is built once from the rows of a segment (Build), or from the indexes
// of segments that were merged (Merge), and never changes. A search walks a graph of
// neighbours by 8-bit codes of the rows and lets its caller score the few best
// exactly:
//
//	ix, err := graph.Build(ctx, source, vector.Cosine, graph.Options{})
//	hits, stats, err := ix.Search(nil, q, 10, &graph.SearchOptions{Exact: score})
//
// # Invariants
//
//  1. The same rows, options and seed give the same index to the bit, whatever
//     the number of workers, the memory budget and the machine.
//  2. Every row of a graph can be reached from the first label, which is one
//     of the entries.
//  3. A search that may return m rows returns min(k, m) hits, no row twice.
//     A row without a vector (see Nullable) may never be returned.
//     Where the walk does not come by enough of them, all codes are scanned.
//  4. No list of neighbours names a row that does not exist, the row itself,
//     or a row twice.
//  5. An index holds no vectors, only codes: exact scores are its caller's.
//
// # Concurrency
//
// An Index is immutable and safe for concurrent use. Build starts goroutines
// and joins them before it returns.
package graph
