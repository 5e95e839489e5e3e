package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/partition"
)

// counters count since Open.
type counters struct {
	inserted, deleted, searches         atomic.Int64
	seals, flushes, flushErrors, stalls atomic.Int64
	flushedRows, flushedBytes, replayed atomic.Int64
	refreshes                           atomic.Int64

	indexUnloads, diskFull atomic.Int64

	indexBuilds, indexLoads, indexMerges, indexErrors, indexRejected        atomic.Int64
	compactions, compactErrors, compactRead, compactWritten, compactDropped atomic.Int64
}

func (c *counters) flushed(r partition.Receipt, err error) {
	if err != nil {
		c.flushErrors.Add(1)
		return
	}
	c.flushes.Add(1)
	c.flushedRows.Add(r.Rows)
	c.flushedBytes.Add(r.Bytes)
}

// Metrics are counts since Open and sizes of the moment.
type Metrics struct {
	Collections, Partitions int
	Segments                Stats

	InsertedRows, DeletedRows, Searches int64
	Seals, Flushes, FlushErrors, Stalls int64
	FlushedRows, FlushedBytes           int64
	ReplayedRecords                     int64
	Refreshes                           int64

	Compactions, CompactErrors       int64
	CompactReadBytes                 int64
	CompactWrittenBytes, DroppedRows int64 // dropped: dead rows that compactions removed

	IndexBuilds, IndexLoads    int64 // indexes of segments that were built, and read from their files
	IndexMerges                int64 // indexes that were made of those of merged segments
	IndexErrors, IndexRejected int64 // builds that went wrong, and files that could not be used
	IndexUnloads               int64 // indexes that were mapped to give back their memory
	IndexBytes                 int64 // memory of indexes
	DiskFull                   int64 // writes, flushes, merges and builds that found no room on the disk

	Memory MemoryUse

	Snapshots           int           // open
	OldestSnapshot      time.Duration // age of the oldest one
	SnapshotSegments    int           // that ended and are held by snapshots; one is counted for each
	SnapshotDiskBytes   int64         // of these
	SnapshotMemoryBytes int64         // of growing segments that are on disk by now

	GrowingBytes, GrowingLimit int64 // memory of growing and sealing segments
	CacheBytes                 int64
	LogBytes                   int64
	LogSyncs, LogWrittenBytes  int64
	VisibleLSN                 uint64
}

// Metrics returns the engine's figures.
func (e *Engine) Metrics() Metrics {
	m := Metrics{
		InsertedRows: e.counters.inserted.Load(), DeletedRows: e.counters.deleted.Load(), Searches: e.counters.searches.Load(),
		Seals: e.counters.seals.Load(), Flushes: e.counters.flushes.Load(), FlushErrors: e.counters.flushErrors.Load(),
		Stalls: e.counters.stalls.Load(), FlushedRows: e.counters.flushedRows.Load(), FlushedBytes: e.counters.flushedBytes.Load(),
		ReplayedRecords: e.counters.replayed.Load(), Refreshes: e.counters.refreshes.Load(), VisibleLSN: e.LSN(), CacheBytes: e.env.Cache.Bytes(),
	}
	m.IndexBuilds, m.IndexLoads = e.counters.indexBuilds.Load(), e.counters.indexLoads.Load()
	m.IndexMerges = e.counters.indexMerges.Load()
	m.Compactions, m.CompactErrors = e.counters.compactions.Load(), e.counters.compactErrors.Load()
	m.CompactReadBytes, m.CompactWrittenBytes = e.counters.compactRead.Load(), e.counters.compactWritten.Load()
	m.DroppedRows = e.counters.compactDropped.Load()
	m.IndexErrors, m.IndexRejected = e.counters.indexErrors.Load(), e.counters.indexRejected.Load()
	m.IndexUnloads, m.DiskFull = e.counters.indexUnloads.Load(), e.counters.diskFull.Load()
	m.Memory = e.memoryUse()
	m.GrowingBytes, m.GrowingLimit = e.env.Budget.Used()
	e.mu.RLock()
	m.Collections = len(e.collections)
	e.mu.RUnlock()
	for _, c := range e.collectionList() {
		for _, x := range c.indexList() {
			m.IndexBytes += c.describe(x).MemoryBytes
		}
	}
	for _, p := range e.partitions() {
		m.Partitions++
		m.Segments = m.Segments.Add(p.Stats())
	}
	e.snapshotMetrics(&m)
	if e.log != nil {
		s := e.log.Stats()
		m.LogBytes, m.LogSyncs, m.LogWrittenBytes = e.log.Size(), int64(s.Syncs), int64(s.BytesWritten)
	}
	return m
}

// WriteAmplification is how many bytes of segments were written for each byte that a flush wrote; 0 before the first flush.
func (m Metrics) WriteAmplification() float64 {
	if m.FlushedBytes == 0 {
		return 0
	}
	return float64(m.FlushedBytes+m.CompactWrittenBytes) / float64(m.FlushedBytes)
}

// String gives the figures as lines of name and value.
func (m Metrics) String() string {
	var b strings.Builder
	line := func(name string, v any) { fmt.Fprintf(&b, "%-20s %v\n", name, v) }
	line("collections", m.Collections)
	line("partitions", m.Partitions)
	line("rows growing", m.Segments.Growing)
	line("rows sealing", m.Segments.Sealing)
	line("rows sealed", m.Segments.Sealed)
	line("rows deleted", m.Segments.Deleted)
	line("rows physical", m.Segments.Physical)
	line("sealed segments", m.Segments.Segments)
	line("unflushed segments", m.Segments.Unflushed)
	line("segment memory", m.Segments.MemoryBytes)
	line("disk bytes", m.Segments.DiskBytes)
	line("inserted rows", m.InsertedRows)
	line("deleted rows", m.DeletedRows)
	line("searches", m.Searches)
	line("seals", m.Seals)
	line("flushes", m.Flushes)
	line("flush errors", m.FlushErrors)
	line("flushed rows", m.FlushedRows)
	line("flushed bytes", m.FlushedBytes)
	line("replayed records", m.ReplayedRecords)
	line("refreshes", m.Refreshes)
	line("writer stalls", m.Stalls)
	line("indexes unloaded", m.IndexUnloads)
	line("disk full", m.DiskFull)
	line("memory", fmt.Sprintf("%d, %d at most, of %d", m.Memory.Total(), m.Memory.Peak, m.Memory.Limit))
	line("memory waits", m.Memory.Waits)
	line("memory by component", fmt.Sprintf("growing %d, writes %d, rows %d, indexes %d, cache %d, builds %d, queries %d",
		m.Memory.Growing, m.Memory.Writes, m.Memory.Rows, m.Memory.Indexes, m.Memory.Cache, m.Memory.Builds, m.Memory.Queries))
	line("compactions", m.Compactions)
	line("compaction errors", m.CompactErrors)
	line("compacted bytes", fmt.Sprintf("%d read, %d written", m.CompactReadBytes, m.CompactWrittenBytes))
	line("dropped rows", m.DroppedRows)
	line("write amplification", fmt.Sprintf("%.2f", m.WriteAmplification()))
	line("indexes built", m.IndexBuilds)
	line("indexes merged", m.IndexMerges)
	line("indexes loaded", m.IndexLoads)
	line("index errors", m.IndexErrors)
	line("indexes rejected", m.IndexRejected)
	line("index bytes", fmt.Sprintf("%d in memory, %d on disk", m.IndexBytes, m.Segments.IndexBytes))
	line("segments indexed", fmt.Sprintf("%d, %d by codes", m.Segments.Indexed, m.Segments.IndexCodes))
	line("snapshots", m.Snapshots)
	line("oldest snapshot", m.OldestSnapshot)
	line("snapshot segments", m.SnapshotSegments)
	line("snapshot bytes", fmt.Sprintf("%d on disk, %d in memory", m.SnapshotDiskBytes, m.SnapshotMemoryBytes))
	line("growing bytes", fmt.Sprintf("%d of %d", m.GrowingBytes, m.GrowingLimit))
	line("cache bytes", m.CacheBytes)
	line("log bytes", m.LogBytes)
	line("log written bytes", m.LogWrittenBytes)
	line("log syncs", m.LogSyncs)
	line("visible LSN", m.VisibleLSN)
	return b.String()
}
