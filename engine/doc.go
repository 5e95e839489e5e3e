// Package engine is Selkie's public face: it opens a store, keeps its catalogue, recovers it after a crash, and gives
// out collections and partitions to write, flush, search and read.
//
//	eng, err := engine.Open("data", nil)
//	coll, err := eng.CreateCollection(ctx, schema.New("books").
//		With(schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", 5)))
//	part, err := coll.CreatePartition(ctx, "english")
//	res, err := part.Insert(ctx, column.Int64("id", ids), column.FloatVector("vector", 5, vectors))
//	receipt, err := part.Flush(ctx)
//	hits, err := part.Search(ctx, query.Nearest("vector", v).Limit(10))
//
// # Caveats
//
//   - One process writes to a directory at a time; a second gets ErrLocked at once. A read-only open takes no lock: beside
//     a running writer it shows the store as of its opening, and Engine.Refresh moves it on.
//   - A search looks at every live row of growing segments, and of sealed ones that have no index of the field and
//     metric: it is exact there, and its time grows with the rows. A filter is evaluated over every row, but for
//     those that its primary keys and the bounds of chunks leave out.
//   - Each sealed segment costs an open file (two, from 1 MiB of vectors on) and 2 bytes of memory a row, and each
//     search visits each.
//   - A primary key is unique within a partition, not within a collection. Only with a partition key, which hides the
//     partitions, does Insert look through the whole collection. Upsert and Collection.Delete always do.
//   - Growing segments live in memory: Options.GrowingBytes bounds them, and writers wait at the bound. Indexes live in memory too, unless
//     Options.MemoryBudget or Options.MapIndexes says otherwise.
//   - The slice behind a flat column (column.Int64, column.FloatVectorFlat, ...) is read during the call and must not
//     be changed meanwhile.
//   - Copy a store's directory only while no engine has it open for writing; Engine.Checkpoint copies while it is in use.
//
// # Durability
//
// When a write returns nil, it is in the write-ahead log. What it survives is Options.Sync:
//
//	SyncAlways    the default: a killed process and a power cut; each write waits for an fdatasync, which writers share
//	SyncInterval  a killed process; a power cut loses at most the last Options.SyncInterval of writes (100 ms by default)
//	SyncNone      a killed process; a power cut loses what was neither flushed nor synced by a rotation of the log or Close
//
// Creating, renaming and dropping, and what Flush wrote, are synced under every policy. A sync that fails is never
// tried again: the engine refuses writes with ErrPoisoned until it is reopened, and goes on reading. A write that
// returned ErrPoisoned may be found after reopening, or not. A full disk is ErrDiskFull; the write was not made, and
// may be tried again when there is room.
//
// # Atomicity and snapshots
//
// A call of Insert, Upsert or Delete is carried out whole or not at all: one refused value refuses the batch, and
// after a crash all of its rows are there or none. It has one place in the commit order, its LSN. A read sees one
// prefix of that order, over growing and sealed segments and all partitions concerned, whatever goes on meanwhile; a
// read that begins after a write returned sees the write. All reads one snapshot from the beginning of its loop to
// the end. Engine.NewSnapshot fixes such a view of the whole store for several reads, until it is closed.
//
// # Indexes
//
// Collection.CreateIndex defines an index of a vector field. Every sealed segment gets it in the background: first
// codes of its rows, which are read instead of the vectors, then a graph over these codes, written to a file beside
// the segment's. Neither Flush nor any write waits for that; WaitIndexed does. An index is derived: what is missing,
// damaged or of another version is built again, and until then searches look at every row. The scores of hits are
// those of the full vectors, whichever way they were found. What an index may miss is set by query.Search.Ef;
// query.Search.Exact compares all rows.
//
// # Flush
//
// Partition.Flush seals every growing segment of the partition and returns when every entity acknowledged before the
// call is in a sealed segment on disk. Later inserts start a new growing segment. All its segments, and the
// tombstones of older ones, become durable in one catalogue edit. It waits for no index, is not throttled, and does
// nothing on an empty partition. The deadline of its context is the timeout: when it passes, Flush returns an error
// that wraps ctx.Err(), and the flush goes on in the background. The receipt tells what this flush wrote: segments
// that were sealed by a limit shortly before may have been written by an earlier one, and calls that waited for the
// same flush get the same receipt.
//
// Segments are sealed without being asked, too: by size, rows, age, idle time, the size of the log and want of memory
// (Options). A flush that went wrong, on a full disk say, is tried again at the next Options.Tick; until then its
// rows are in memory and in the log, and are found by reads.
//
// # Compaction
//
// Small sealed segments of a partition are merged in the background: as soon as there are enough of like size, or when
// no flush came for Options.CompactIdle. A segment of which more than a fifth is deleted is rewritten without the
// deleted entities. Compact does both now. Merging takes Options.CompactShare of a processor while there is other
// work. A merged segment has its indexes before it takes the place of the others; readers notice nothing.
//
// # Filters
//
// A search (query.Search.Filter), Query, Iterate, CountWhere and DeleteWhere take an expression of Milvus's filter
// language; docs/filter.md describes it. With m matching entities a search for k returns min(k, m).
//
// # Keys
//
// Insert refuses a primary key that the partition holds already, or that the call holds twice, with a
// *DuplicateKeyError that names the keys; nothing is inserted. A schema made with WithDuplicateKeys takes them, as
// Milvus does. Upsert replaces: it removes the rows of its keys from the whole collection and adds the new ones under
// one LSN. Delete of a key that is not there is no error; WriteResult.Deleted counts those that were.
//
// # Counts
//
// NumEntities is the number of live entities in sealed segments, Milvus's num_entities made exact: after inserts,
// upserts, deletes, flushes and crashes. Count is the number of entities that a read sees now, growing ones included.
// Stats tells growing, sealing, sealed and deleted rows apart. They look at each segment, and at no row but the
// deleted ones of growing segments.
//
// # Close
//
// Close lets calls that write come to their end, gives up flushes (their callers get ErrClosed; the log keeps the
// rows), ends the waits of writers for memory with ErrClosed, joins every goroutine, syncs log and catalogue, and
// unlocks the directory. It does not flush: the next Open replays the log. It does not wait for reads: those that are
// under way go on to their end. Snapshots of the whole store that are open are closed.
//
// # Contexts and errors
//
// A context that ends before a write got its LSN stops it, and nothing was written; from then on the call waits to
// learn the write's fate. Reads stop at the next chunk of rows. Errors are told apart with errors.Is (ErrNotFound,
// ErrExists, ErrClosed, ErrReadOnly, ErrLocked, ErrCorrupt, ErrDiskFull, ErrPoisoned, ErrInvalid, ErrTooLarge,
// ErrDuplicateKey) and read with errors.As (*CorruptionError, *schema.FieldError, *DuplicateKeyError, *LockedError,
// *PartialFlushError).
//
// # Invariants
//
//  1. What exists is what the catalogue names. A segment's directory that it does not name is garbage, removed by the
//     next open for writing; a file that it names and that is missing or of another size is ErrCorrupt.
//  2. Every change of what exists is one edit, durable when its frame is synced, and applied to memory after that.
//  3. The log is cut only up to what the catalogue's segments, cuts and tombstones make superfluous, and only after
//     the catalogue names the first log file still needed.
//  4. Open changes nothing that a crash in its midst would miss: the next Open does the same.
//  5. Identifiers of collections, partitions and sealed segments are never used twice.
//
// # Concurrency
//
// Everything exported is safe for concurrent use. Lock order, outermost first:
//
//	Engine.gate       for reading by each call that changes something, for writing by Close
//	Engine.ddl        create, rename, drop
//	Engine.truncate   cutting the log
//	shard locks       package partition has the order below them
//	Engine.mu         the registry of collections; then Collection.mu, its partitions
//	catalogue.mu      orders edits; nothing is locked under it
//
// Close takes Engine.mu and Collection.mu before shard locks; by then it is alone. Goroutines are started by
// Engine.start (schedule.go says which, how many and what goes first), labelled for pprof (selkie=...) and joined by Close: one ticker, one that merges segments, two that make indexes
// (one loads files and codes rows, one builds graphs), and a flush for each partition that has one to do, Options.Flushers of them at
// work. A build has Options.IndexWorkers of its own. The log has two more.
//
// # Glossary
//
//	engine        an open store
//	collection    a set of entities of one schema
//	partition     a part of a collection with segments of its own
//	schema        the fields of a collection and their rules
//	field         a named, typed value that each entity has
//	entity        a row
//	primary key   the field that names an entity
//	segment       a run of entities of one partition: growing, then sealing, then sealed, then dropped
//	row offset    the position of a row in its segment, a uint32
//	tombstone     the mark that a row is deleted; those of a sealed segment are kept as a roaring bitmap on disk
//	LSN           a place in the commit order
//	catalogue     the durable list of what exists
//	seal          to stop a segment growing
//	flush         to seal, and wait until it is durable
//	shard         the growing end of the keys of one hash value; a partition has Schema.Shards of them
//	cut           the LSN up to which a shard's operations are in sealed segments
//	snapshot      a fixed view to read
//	compaction    to merge sealed segments
//	checkpoint    a copy of a store made while it runs
//	backup        the same as a stream of bytes, whole or since an earlier one
//	index         a derived search structure of a segment
//
// The files are drawn in docs/format, the whole is described in ARCHITECTURE.md.
package engine
