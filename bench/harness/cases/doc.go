// Package cases holds what is measured: each case asks systems the same things in turns, round by round, and makes
// records of the answers.
//
// # How it is measured
//
//   - Every system runs in a process of its own, bound to one core unless a case is about several.
//   - Rounds are interleaved: round 1 of all systems and settings, then round 2. A record holds the median.
//   - Queries are in two halves. Search parameters that reach a recall are looked for on the first; the second is what
//     recall, speed and times are reported for.
//   - Recall is measured against exact neighbours, ties tolerated, by the harness, for all systems alike.
//   - Vectors of COSINE sets are normalised before anyone gets them.
//
// # Interrupts
//
// A case whose context ends makes records of the whole rounds it finished, and returns the context's error.
package cases
