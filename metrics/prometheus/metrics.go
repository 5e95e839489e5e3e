package prometheus

import prom "github.com/prometheus/client_golang/prometheus"

const (
	counter = prom.CounterValue
	gauge   = prom.GaugeValue
)

// metrics are the known fields of engine.Metrics.
var metrics = map[string]metric{
	"Collections":          {"collections", gauge, "Collections."},
	"Partitions":           {"partitions", gauge, "Partitions."},
	"Segments.Growing":     {"growing_rows", gauge, "Live rows in growing segments."},
	"Segments.Sealing":     {"sealing_rows", gauge, "Live rows in segments that wait to be written."},
	"Segments.Sealed":      {"sealed_rows", gauge, "Live rows in sealed segments."},
	"Segments.Deleted":     {"dead_rows", gauge, "Deleted rows that still take room."},
	"Segments.Physical":    {"physical_rows", gauge, "Rows, dead or alive."},
	"Segments.Segments":    {"sealed_segments", gauge, "Sealed segments."},
	"Segments.Unflushed":   {"unflushed_segments", gauge, "Growing and sealing segments."},
	"Segments.DiskBytes":   {"segment_disk_bytes", gauge, "Files of sealed segments, without those of indexes."},
	"Segments.MemoryBytes": {"segment_memory_bytes", gauge, "Memory of growing and sealing segments, key filters and indexes."},
	"Segments.Indexed":     {"segment_indexes_ready", gauge, "Indexes of segments that are as they are meant to be."},
	"Segments.IndexCodes":  {"segment_indexes_coded", gauge, "Indexes of segments that are searched by codes until their graph is there."},
	"Segments.IndexBytes":  {"index_disk_bytes", gauge, "Files of indexes."},

	"InsertedRows":    {"inserted_rows_total", counter, "Rows inserted."},
	"DeletedRows":     {"deleted_rows_total", counter, "Rows deleted."},
	"Searches":        {"searches_total", counter, "Vectors searched for."},
	"Seals":           {"seals_total", counter, "Segments that stopped growing."},
	"Flushes":         {"flushes_total", counter, "Flushes that made something durable."},
	"FlushErrors":     {"flush_errors_total", counter, "Flushes that went wrong; each is tried again."},
	"Stalls":          {"writer_stalls_total", counter, "Times that writers had to wait for memory."},
	"FlushedRows":     {"flushed_rows_total", counter, "Rows that flushes wrote."},
	"FlushedBytes":    {"flushed_bytes_total", counter, "Bytes of segments that flushes wrote."},
	"ReplayedRecords": {"replayed_records_total", counter, "Records of the log that were replayed at opening."},
	"Refreshes":       {"refreshes_total", counter, "Refreshes of a read-only engine."},

	"Compactions":         {"compactions_total", counter, "Merges of segments."},
	"CompactErrors":       {"compaction_errors_total", counter, "Merges that went wrong; each is tried again."},
	"CompactReadBytes":    {"compaction_read_bytes_total", counter, "Bytes of segments that were merged."},
	"CompactWrittenBytes": {"compaction_written_bytes_total", counter, "Bytes of segments that merges wrote."},
	"DroppedRows":         {"compaction_dropped_rows_total", counter, "Dead rows that merges removed."},

	"IndexBuilds":   {"index_builds_total", counter, "Indexes of segments that were built."},
	"IndexLoads":    {"index_loads_total", counter, "Indexes of segments that were read from their files."},
	"IndexMerges":   {"index_merges_total", counter, "Indexes that were made of those of merged segments."},
	"IndexErrors":   {"index_errors_total", counter, "Indexes that could not be built; each is tried again."},
	"IndexRejected": {"index_rejected_total", counter, "Index files that could not be used."},
	"IndexBytes":    {"index_memory_bytes", gauge, "Memory of indexes."},

	"IndexUnloads": {"index_unloads_total", counter, "Indexes that were mapped to give back their memory."},
	"DiskFull":     {"disk_full_total", counter, "Writes, flushes, merges and builds that found no room on the disk."},

	"Memory.Limit":   {"memory_limit_bytes", gauge, "The memory budget."},
	"Memory.Peak":    {"memory_peak_bytes", gauge, "The most that was in use."},
	"Memory.Waits":   {"memory_waits_total", counter, "Times that something waited for memory."},
	"Memory.Growing": {"memory_growing_bytes", gauge, "Memory of growing and sealing segments, of the budget."},
	"Memory.Writes":  {"memory_writes_bytes", gauge, "Memory of writes under way."},
	"Memory.Rows":    {"memory_rows_bytes", gauge, "Memory of rows of sealed segments."},
	"Memory.Indexes": {"memory_indexes_bytes", gauge, "Memory of indexes, of the budget."},
	"Memory.Cache":   {"memory_cache_bytes", gauge, "Memory of the block cache, of the budget."},
	"Memory.Builds":  {"memory_builds_bytes", gauge, "Memory of what is being built and merged."},
	"Memory.Queries": {"memory_queries_bytes", gauge, "Memory of searches under way."},

	"Snapshots":           {"snapshots", gauge, "Open snapshots."},
	"OldestSnapshot":      {"oldest_snapshot_seconds", gauge, "Age of the oldest open snapshot."},
	"SnapshotSegments":    {"snapshot_segments", gauge, "Segments that ended and are held by snapshots."},
	"SnapshotDiskBytes":   {"snapshot_disk_bytes", gauge, "Files of segments that ended and are held by snapshots."},
	"SnapshotMemoryBytes": {"snapshot_memory_bytes", gauge, "Memory of growing segments that are on disk and held by snapshots."},

	"GrowingBytes":    {"growing_bytes", gauge, "Memory of growing and sealing segments."},
	"GrowingLimit":    {"growing_limit_bytes", gauge, "What growing and sealing segments may take; writers wait at it. 0: no limit."},
	"CacheBytes":      {"cache_bytes", gauge, "Block cache."},
	"LogBytes":        {"log_bytes", gauge, "Records in the write-ahead log."},
	"LogSyncs":        {"log_syncs_total", counter, "Syncs of the write-ahead log."},
	"LogWrittenBytes": {"log_written_bytes_total", counter, "Bytes written to the write-ahead log."},
	"VisibleLSN":      {"visible_lsn", gauge, "Newest place in the commit order that readers see."},
}
