// Package backup writes and reads the file that a backup of a store is: a stream of records, each under a checksum, that
// holds files and ends with a list of all files that the store consists of. It knows nothing of what is in the files.
//
// # Invariants
//
//  1. Nothing is believed before its checksum was checked, and no length is asked of memory beyond maxPayload.
//  2. A backup counts when its end was read, and nothing follows it. What was read before is the caller's to throw away.
//  3. Every error of reading names the offset of the record that is not as it was written.
//  4. A Writer and a Reader hold one record in memory, and the list of files.
//
// A Writer and a Reader belong to one goroutine each. The format is drawn in docs/format/backup.md.
package backup
