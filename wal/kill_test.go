//go:build unix

package wal_test

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/selkiedb/selkie/wal"
	"github.com/stretchr/testify/require"
)

// killDir tells the child process of TestProcessKill where to write.
const killDir = "SELKIE_WAL_KILL_DIR"

// TestProcessKill runs itself as a child that appends on the real file system and prints what is acknowledged, kills
// it, and checks that everything printed comes back. The same log goes through several such lives.
func TestProcessKill(t *testing.T) {
	if dir := os.Getenv(killDir); dir != "" {
		appendUntilKilled(dir)
		return
	}
	if testing.Short() {
		t.Skip("starts and kills processes, which the short run under the race detector leaves out: they share no memory")
	}
	for _, policy := range []wal.SyncPolicy{wal.SyncAlways, wal.SyncNone} {
		dir := t.TempDir()
		total := uint64(0)
		for round := range 4 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestProcessKill$")
			cmd.Env = append(os.Environ(), killDir+"="+dir, "SELKIE_WAL_KILL_POLICY="+strconv.Itoa(int(policy)))
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			timer := time.AfterFunc(time.Duration(60+30*round)*time.Millisecond, func() { cmd.Process.Kill() })
			acked := uint64(0)
			for sc := bufio.NewScanner(out); sc.Scan(); {
				if lsn, err := strconv.ParseUint(sc.Text(), 10, 64); err == nil {
					acked = max(acked, lsn)
				}
			}
			require.Error(t, cmd.Wait(), "the child must have been killed")
			timer.Stop()
			if acked == 0 { // killed before its log was there, on a busy machine
				continue
			}
			got, err := collect(wal.Options{Dir: dir, FirstSeq: 1}, 0)
			require.NoError(t, err)
			require.GreaterOrEqual(t, uint64(len(got)), acked)
			require.GreaterOrEqual(t, uint64(len(got)), total)
			for i, r := range got {
				require.Equal(t, uint64(i+1), r.lsn)
				require.Equal(t, payload(r.lsn, int(r.lsn%2000)), r.payload)
			}
			total = uint64(len(got))
		}
		require.Positive(t, total)
	}
}

func appendUntilKilled(dir string) {
	policy, _ := strconv.Atoi(os.Getenv("SELKIE_WAL_KILL_POLICY"))
	opts := wal.Options{
		Dir: dir, Policy: wal.SyncPolicy(policy), InitialFileSize: 64 << 10, MaxFileSize: 256 << 10,
		Durable: func(lsn uint64) { os.Stdout.WriteString(strconv.FormatUint(lsn, 10) + "\n") },
	}
	if _, err := os.Stat(dir + "/000001.wal"); err == nil {
		opts.FirstSeq = 1
	}
	l, err := wal.Open(opts, 0, nil)
	if err != nil {
		panic(err)
	}
	for {
		lsn := l.LastLSN() + 1
		if _, err := appendOne(l, payload(lsn, int(lsn%2000))); err != nil {
			panic(err)
		}
	}
}
