// Package result holds what a measurement is: the record that the harness prints, the statistics behind its figures,
// and the comparison of two runs.
//
// # Invariants
//
//  1. A Record has the same fields whatever was measured; what was not is null, never 0.
//  2. A record's figures are medians over its rounds. Min and Max are those of its main figure (Figure), in the same
//     unit.
//  3. No verdict is given where noise explains a difference: Compare says "can't tell".
//
// # Concurrency
//
// Values are for one goroutine at a time.
package result
