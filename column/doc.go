// Package column holds values by column: what a caller hands over, what the log and the segments store, and what a search
// returns.
//
// A caller makes Columns from Go slices, or hands over rows (structs or maps); Build and BuildRows check them against a
// schema and make a Batch, the unit of an insert. FromData and NewRows make columns and rows of stored Data again.
//
// Data is the physical layout of one column's values, the same in a Batch, in the log, in growing and in sealed segments:
// little-endian, fixed-width values packed, others as offsets and bytes.
//
// # Invariants
//
//  1. A Batch has one Data for each field of its schema, in the schema's order, all equally long, and each value keeps the
//     field's rules. So nothing behind Build checks values again.
//  2. The value of a null is zero bytes (fixed width) or empty (variable). Valid is nil when a batch has no null.
//  3. Build is all or nothing, and refuses with a *schema.FieldError that names field, row, value and bound.
//  4. Hash values of keys and the encodings of Batch and Keys are on disk: they never change, see docs/format/batch.md.
//  5. Decoding never panics and never allocates from a length it has not checked. Its callers check a CRC first.
//
// # Ownership
//
// Columns, batches and decoded values share memory with what they were made of, wherever the layout allows: the flat slices
// of the caller, the buffer of the log. Whoever passes one on says how long it may be used; here nothing outlives the call
// except through the returned value.
//
// # Concurrency
//
// Everything here may be read by many goroutines at a time once it is made. Builder is for one goroutine.
package column
