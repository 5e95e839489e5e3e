// Package guard holds Selkie's costs against those that were written down: what
// a search visits and finds, what calls allocate, what writes bring to the disk,
// and how many instructions a search runs where the machine counts them. Its
// tests are the guard; there is nothing to import.
//
//	go test ./bench/guard             compare; part of .ci/run
//	go test ./bench/guard -v          print all figures, too
//	go test ./bench/guard -update     write down what is measured now
//
// # What is compared
//
// limits.txt has a line for each figure: its name, its value, and by how many
// percent it may be worse before the guard fails. Whoever changes a figure on
// purpose changes its line in the same commit, and a figure that is clearly
// better than its line is told of, so that the line can follow.
//
// Nothing here is a time. The data are the demo's words, all seeds are fixed, the
// files lie in memory, and what the background would do waits: the same code
// gives the same figures on a busy machine and a quiet one, on few cores and on
// many. Allocations are the fewest of several runs, because the collector
// takes pooled scratch space away now and then.
//
// # Concurrency
//
// One test runs after the other: allocations are counted for the whole process.
package guard
