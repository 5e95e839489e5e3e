// Package segment holds the rows of one partition's shard: in memory while the segment grows, in Pebble tables once
// it is sealed, both behind one read interface.
//
// A Growing takes rows; Order and Build write its live rows as the files of a Sealed; Open opens those. A reader asks
// either for a View at an LSN. Which segments exist, and when one takes the other's place, is the business of package
// partition.
//
// # Invariants
//
//  1. A row offset never changes its row. Rows of a Growing lie in the order of insertion, those of a Sealed in the
//     order of the primary key, rows of one key in the order of insertion.
//  2. A View at an LSN holds the rows inserted up to it, less those deleted up to it, however long writers go on. Two
//     Views of one segment at one LSN are equal.
//  3. A Growing's rows are written before their number is published, and never changed after. The only thing that
//     changes in a published row is its tombstone, from none to an LSN, once.
//  4. A tombstone is never taken back. Tombstones of a Sealed carry their LSN until a reader at that LSN or a later
//     one has looked.
//  5. The files of a Sealed are written whole, synced and read back before anything names them, and never changed.
//  6. Open accepts a directory only if its files have the sizes, and its meta the checksum, that the manifest says,
//     and every table bears the manifest's segment number and token. A block is checked against its checksum when it
//     is read, a chunk against its own in Verify.
//  7. What is read from disk is checked before it is believed: no length is allocated from, and no offset followed,
//     unchecked. Damage is a *CorruptionError that names the file.
//  8. A field that a segment does not hold, because it was added to the schema later, reads as its default value or
//     null.
//  9. An index of a field is derived, and belongs to one build of the segment and one definition. It proposes rows; the vectors themselves give
//     their scores, to the bit as a scan would. An index of scalars says of a filter exactly what the values would. What is wrong with it costs speed, never rows.
//
// # Ownership
//
// A Sealed counts references: its opener holds one, each version of a partition that lists it one more. The last
// Unref closes the tables and, after Drop, removes the directory. A View holds nothing: it lives as long as the
// snapshot that gave it. An index counts the segment and each search that uses it: the last to let go unmaps its file. The vectors that indexes
// read are mapped, or copied, once for all of them, until the segment closes. A Cache lives until it is closed and the last table that uses it is.
//
// # Concurrency
//
// A Growing has one writer at a time, for Append, Delete, Live and Charge: the owner's shard lock sees to that.
// Readers take no lock and never wait for the writer. Tombstones.Add has one writer at a time, too, and its callers
// come in LSN order; Tombstones.mu is the innermost lock of the whole engine. Everything else may be used by any
// number of goroutines. Nothing here starts a goroutine, but for the build of an index, which joins them. A search of an index takes no lock;
// segmentIndexes.mu guards what indexes there are, and nothing is locked under it.
//
// Mapped files may fault, as reads may fail: whatever reads them catches that (catchFault), in the goroutine that reads.
//
// # Where things are
//
// table.go is the only file that knows Pebble's table types, tombstones_roaring.go the only one that knows roaring
// bitmaps, meta_codec.go the only one that knows flatbuffers. index*.go are the indexes of fields, vectors*.go the rows they score. The bytes on disk are drawn in docs/format/segment.md,
// those of a value in docs/format/batch.md.
package segment
