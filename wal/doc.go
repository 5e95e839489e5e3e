// Package wal is a write-ahead log: it makes records durable in one order, many callers sharing each fdatasync, and
// gives them back after a crash, telling a torn tail apart from damage.
//
// A record is written in three steps, so that the order of records can be decided under a caller's lock without any
// I/O there:
//
//	r, err := log.Prepare(ctx, payload) // checksum; waits for room in the queue and on disk
//	lsn, err := log.Append(r)           // gets the next LSN; never blocks
//	...                                 // Options.Durable(n), n >= lsn: acknowledge
//
// A caller with a large record and the log for itself may write and sync it itself, and do other work while the disk is
// at it: AppendLeading and FinishLeading, in place of Append.
//
// # Invariants
//
//  1. LSNs are dense: each record has the LSN before it plus one. Only a new file may jump ahead, and its header says
//     so (Options.MinLSN).
//  2. Under SyncAlways, Durable(n) is called after fdatasync returned for every record <= n, and after a mark in the
//     log says so.
//  3. Nothing of a group is written before the sync of the group before returned. A frame's durable offset never
//     claims more than what was on disk when it was written.
//  4. A file bears its final name only with a synced header and its full size. Its header names the valid end and the
//     chain of the file before, which were durable by then.
//  5. A write or sync that failed is never tried again: the log is poisoned. Not so the preparation of a file, which
//     no record depends on.
//  6. Replay delivers a prefix of the records appended, which contains all that were acknowledged, or fails with
//     ErrCorrupt. It changes no byte of an old file's frames.
//  7. What Prepare granted can be appended without asking for disk space.
//
// # Concurrency
//
// One writer goroutine owns the current file, but for the group of a caller that leads; one preparer goroutine makes the next file ahead. Both are started by
// Open, labelled for pprof (selkie=wal-writer, wal-preparer) and joined by Close; a read-only log has none. Two locks:
// Log.truncMu before Log.mu. Neither callback (Durable, Failed) is called with a lock held.
//
// The file format, and which damage is told apart from what, is in docs/format/wal.md.
package wal
