// Package bulk moves the rows of a collection to files and back: lines of JSON, Parquet and npy in the layouts of Milvus's bulk import, and vectors as
// fvecs. So data go between Selkie, Milvus's import and the tools of others without a server between.
//
//	n, err := bulk.ExportParquet(ctx, coll, "year > 2000", file)
//	n, err := bulk.ImportParquet(ctx, coll, file, size, bulk.Options{})
//
// # Invariants
//
//  1. An export writes rows in the order of their primary keys, as of one instant, and holds a batch of them in memory at a time.
//  2. An import upserts, a batch at a time, each whole or not at all; where the collection generates keys and the file has none, it inserts.
//  3. An import returns how many rows of the file are in the collection. Given as Options.Skip, with the same file, it goes on from there; rows that
//     are read twice change nothing, unless their keys are generated.
//  4. A row that is refused is named by its place in the file, from 0 (lines from 1), with its field. Nothing is allocated for lengths that a file claims
//     and does not have.
//
// # What the files hold
//
// Fields have their names; the dynamic field is $meta. Fields that functions make are left out.
//
//	            lines of JSON          Parquet                      npy, a file for each field
//	Bool        true                   boolean                      b1
//	integers    1                      int8 to int64                i1 to i8
//	floats      0.5                    float, double                f4, f8
//	VarChar     "text"                 string                       U
//	JSON, $meta as it is               string                       U
//	Array       [1, 2]                 list                         cannot be
//	FloatVector [0.5, 1]               list of float                f4, two dimensions
//	Float16Vector, BFloat16Vector [0.5, 1]  list of uint8, 2 for each element  u1, 2 for each element
//	BinaryVector base64                list of uint8                u1
//	Int8Vector  [1, -1]                list of int8                 i1
//	SparseFloatVector {"7": 0.5}       string, of the JSON          cannot be
//	null        null                   null                         cannot be
//
// An import takes some more: double for FloatVector, integers of any width that hold the value, floats for 16-bit vectors in npy.
//
// # Concurrency
//
// Calls may go on side by side; a file is one call's.
package bulk
