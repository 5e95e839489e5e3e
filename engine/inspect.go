package engine

import (
	"context"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/wal"
)

// LogRecord describes one write in a store's log.
type LogRecord struct {
	LSN        uint64 `json:"lsn"`
	Kind       string `json:"kind"`       // insert, upsert, delete, or note, which writes nothing
	Collection uint64 `json:"collection"` // its number in the catalogue; 0 for a note
	Bytes      int    `json:"bytes"`
}

// InspectLog calls fn for each whole record in the log of a store that nobody has open for writing, also of a log that is damaged. fs nil means the
// operating system's. The error is fn's, ctx's, or one of reading the directory.
func InspectLog(ctx context.Context, fs vfs.FS, dir string, fn func(LogRecord) error) error {
	if fs == nil {
		fs = vfs.Default
	}
	err := wal.Salvage(ctx, fs, fs.PathJoin(dir, logDir), func(lsn uint64, payload []byte) error {
		r := LogRecord{LSN: lsn, Bytes: len(payload)}
		if coll, _, err := partition.RecordHead(payload); err == nil {
			r.Kind, r.Collection = partition.Kind(payload[1]).String(), coll
		}
		return fn(r)
	}, func(wal.Lost) {})
	return wrap("inspect the log", err)
}
