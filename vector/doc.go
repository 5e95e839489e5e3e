// Package vector compares vectors: metrics, the kernels that score blocks of
// rows against a query, and the selection of the k best.
//
// A search prepares a Query once, scores rows by the block with Query.Scan (or
// a list of them with Query.Gather) and pushes the scores into a TopK:
//
//	q, err := vector.NewQuery(vector.L2, vector.Float32, dim, raw)
//	q.Scan(rows, n, scores)
//	top.PushBlock(scores[:n], firstRow, dead)
//	hits := top.Sorted()
//
// # Invariants
//
//  1. Scores are the numbers Milvus returns: squared L2, the plain inner
//     product, cosine similarity, bit counts, Jaccard distance (see Metric).
//  2. The score of a finite row is finite. Where the float32 sums overflow, or
//     a norm is too small to divide by, the row is scored again in float64.
//  3. In one process a row's score is the same to the bit whichever call
//     computes it and wherever the row lies: search results do not depend on
//     whether a row is growing, sealed or merged.
//  4. Integer sums (Int8, Binary) are exact on every machine; float sums
//     agree between machines within the bound stated beside each kernel.
//  5. A TopK holds exactly the k best pairs in (score, tie order), whatever
//     the order they were pushed in.
//
// # Concurrency
//
// A Query is immutable and may be shared. A TopK belongs to one goroutine at a
// time. Nothing here starts a goroutine, blocks, or keeps what it was given.
package vector
