// Package filter is the language in which callers say which rows they mean, such as
//
//	year > 1990 and genre in ["noir", "western"] and meta["director"]["name"] like "W%"
//
// It is Milvus's, with the differences that docs/filter.md lists, which is also where the language is described.
//
// Parse reads an expression and checks it against a schema. The Expr that it returns can be evaluated over blocks of columns
// (Eval), asked what it can find in a chunk of which only the bounds are known (CanMatch, MustMatch), and asked for the primary
// keys that it names (Keys). What indexes of fields could answer it tells by Terms, and takes their answers in place of values (Block.Answers);
// package index is such an index, package filtertest the table that whatever evaluates filters is held to.
//
// # From text to bits
//
// lexer.go cuts the text into tokens, parser.go builds a tree of nodes, check.go and check_*.go turn it into predicates (pred)
// and operands (operand) of known kinds, folding what is constant. Those are what is evaluated, printed and asked for outcomes.
//
// # Invariants
//
//  1. Nothing here panics, whatever the text, the templates and the rows.
//  2. Predicates are true, false or unknown. A null makes what looks at it unknown, a missing value (no such key or element,
//     or one of another type) makes a comparison false.
//  3. An Expr prints as a text that Parse turns into an Expr that prints the same and matches the same rows.
//  4. CanMatch is false, and MustMatch true, only if Eval would agree for every chunk with these statistics.
//  5. Time and memory are bounded by the limits in limits.go: parsing takes time linear in the text, and evaluation keeps
//     nothing of a block.
//
// # Concurrency
//
// An Expr never changes once it is made. Each Eval has a run of its own, from a pool.
package filter
