// Package schema describes collections: their fields, the types of these, and the rules that both must keep.
//
// A schema is made with New, With and the field constructors, and becomes usable through Finish, which checks it and
// gives each field its id:
//
//	s, err := schema.New("books").
//		With(schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", 128)).
//		Finish()
//
// Types, names and limits are Milvus's, with its numbers, so that a schema can move between the two.
//
// # Invariants
//
//  1. A finished schema has exactly one primary key and at least one vector field, and passes Validate.
//  2. A field id, once given, belongs to that field for ever: NextFieldID only grows. Stored data are keyed by id, never by
//     name or by position. Ids 0 and 1 stand for the row id and the timestamp; users' fields start at FirstFieldID.
//  3. The position of a field never changes: later fields are appended. With a dynamic field, "$meta" is among the fields.
//  4. Every refusal wraps ErrInvalid; Decode refuses damaged bytes with ErrCorrupt and never panics.
//
// # Concurrency
//
// A finished schema is not changed any more, so any number of goroutines may read it; change a Clone and Finish that.
// The builder methods are for one goroutine.
//
// The durable form is drawn in docs/format/schema.md.
package schema
