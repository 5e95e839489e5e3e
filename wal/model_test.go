package wal_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestModel drives a log and a list of records side by side through appends, syncs, truncations, crashes and reopens.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &logModel{t: t, fs: vfs.NewCrashableMem(), size: map[uint64]int{}}
		m.opts = wal.Options{
			Dir: "wal", InitialFileSize: 8 << 10, MaxFileSize: 16 << 10,
			Policy:       wal.SyncPolicy(rapid.IntRange(0, 2).Draw(t, "policy")),
			SyncInterval: time.Hour,
		}
		require.NoError(t, m.fs.MkdirAll("wal", 0o755))
		require.NoError(t, syncRoot(m.fs))
		m.open()
		m.opts.FirstSeq = m.log.FirstSeqFor(0)
		t.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"sync":     func(t *rapid.T) { m.sync() },
			"truncate": m.truncate,
			"crash":    m.crash,
			"reopen": func(t *rapid.T) {
				require.NoError(t, m.log.Close())
				m.onDisk = m.last
				m.open()
			},
		})
		require.NoError(t, m.log.Close())
	})
}

type logModel struct {
	t      *rapid.T
	fs     *vfs.MemFS
	opts   wal.Options
	log    *wal.Log
	acks   *acks
	size   map[uint64]int // payload length by LSN
	last   uint64         // LSN appended last
	onDisk uint64         // LSN that a crash cannot undo
	kept   uint64         // records <= kept may be truncated
}

// open opens the log and compares what it replays.
func (m *logModel) open() {
	m.acks = newAcks()
	opts := m.acks.with(m.opts)
	opts.FS = m.fs
	next := m.kept + 1
	l, err := wal.Open(opts, m.kept, func(lsn uint64, p []byte) error {
		if n, ok := m.size[lsn]; lsn != next || !ok || !bytes.Equal(p, payload(lsn, n)) {
			return fmt.Errorf("record %d with %d bytes instead of %d", lsn, len(p), next)
		}
		next++
		return nil
	})
	require.NoError(m.t, err)
	require.GreaterOrEqual(m.t, next-1, m.onDisk)
	require.LessOrEqual(m.t, next-1, m.last)
	for lsn := next; lsn <= m.last; lsn++ {
		delete(m.size, lsn)
	}
	m.last, m.onDisk = next-1, next-1 // what came back once must not be lost later
	m.log = l
	require.Equal(m.t, m.last, l.LastLSN())
	require.Equal(m.t, m.last, l.DurableLSN())
}

func (m *logModel) append(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "records") {
		n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 5000), rapid.IntRange(0, 70_000)).Draw(t, "size")
		m.last++
		m.size[m.last] = n
		lsn, err := appendOne(m.log, payload(m.last, n))
		require.NoError(t, err)
		require.Equal(t, m.last, lsn)
	}
	if rapid.Bool().Draw(t, "wait") {
		require.NoError(t, m.acks.wait(m.last))
		if m.opts.Policy == wal.SyncAlways {
			m.onDisk = m.last
		}
	}
}

func (m *logModel) sync() {
	require.NoError(m.t, m.log.Sync(context.Background()))
	m.onDisk = m.last
}

func (m *logModel) truncate(t *rapid.T) {
	m.sync()
	upTo := m.kept + uint64(rapid.IntRange(0, int(m.last-m.kept)).Draw(t, "up to"))
	m.kept, m.opts.FirstSeq = upTo, m.log.FirstSeqFor(upTo)
	if rapid.IntRange(0, 3).Draw(t, "skip removal") > 0 {
		require.NoError(t, m.log.Truncate(m.opts.FirstSeq))
	}
}

func (m *logModel) crash(t *rapid.T) {
	seed := rapid.Uint64().Draw(t, "seed")
	percent := rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(t, "unsynced")
	fs := m.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 0))})
	require.NoError(t, m.log.Close())
	m.fs = fs
	m.open()
}
