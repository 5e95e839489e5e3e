// Package partition keeps the segments of one partition: it logs and applies writes, seals and flushes growing
// segments, and gives readers one consistent view of them all.
//
// An engine makes an Env, shared by all its partitions, and a Partition for each that its catalogue names. Env.Apply
// carries out a write, which may concern several partitions of a collection; Acquire takes a Snapshot of any number
// of them.
//
// # Invariants
//
//  1. A write has one LSN and is visible at it, whole. Readers see visible = min(durable, applied) and never more:
//     what a crash could still undo is not shown.
//  2. Every LSN that the log gives is applied exactly once, be it to nothing. The Clock relies on it.
//  3. A partition's segments are listed by a version, which is immutable. Every change (a first growing segment, a
//     seal, a flush, a drop) swaps in a new version in one step. A row is in exactly one segment of each version.
//  4. A Snapshot sees each of its partitions in one version, all at one LSN. Versions are swapped under Clock.swap,
//     and a snapshot is taken under it.
//  5. A key's rows lie in the shard that the key's hash says: hash mod number of shards. So a write locks only the
//     shards of its keys.
//  6. Within a shard, LSNs ascend: an LSN is taken from the log under the shard's lock, and the write is applied
//     under it.
//  7. A shard's cut is an LSN up to which every operation on it is in sealed segments. Replay skips a shard's part of
//     a write at or below its cut, so that a write is never applied twice.
//  8. A flush commits all its segments, cuts and tombstones in one catalogue edit. Before the edit is synced nothing
//     names the files; after it, nothing needs the log's records up to the cuts.
//  9. One flush of a partition runs at a time; who asks while one runs waits for the next.
//  10. Nothing is refused after the log gave an LSN: keys are checked and room is made before.
//
// # Concurrency
//
// All exported methods are safe for concurrent use, but Replay and FlushFull, which recovery calls while it is alone.
// Lock order, outermost first:
//
//	shard.mu      by (partition number, shard number), ascending
//	Partition.changing  held from reading a version to swapping in a changed one
//	changing      one change of a partition's version at a time
//	Clock.swap    held for reading while versions are pinned, for writing while one is swapped
//	Clock.mu      and segment.Tombstones.mu, flushQueue.mu, Budget.mu: leaves, held for a few instructions
//
// Under a shard's lock a write looks up its keys in memory and asks the log for an LSN, which does not wait for the disk; a large
// record of a lone writer is handed to the operating system there. It may
// read a sealed segment there in one case: a segment that was flushed after the write looked through the sealed ones
// without a lock. The log's sync is waited for outside of all locks. Env.Sealed is called under shard locks,
// Env.Commit and Env.Flushed under none.
//
// The package starts no goroutine but those that Env.Apply joins: Env.Go does, and whoever made the Env joins them. A write heeds its context until
// the log gave it an LSN; from then on its fate is the log's.
//
// The payload of a log record is drawn in docs/format/record.md. The steps of a write are numbered above Env.Apply,
// those of a flush above Partition.flushOnce, both with what a crash leaves behind.
package partition
