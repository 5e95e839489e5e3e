package hosted

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/worker"
	"github.com/selkiedb/selkie/engine"
)

// backup writes a backup of the filled store to a file and syncs it, or, with restore=1, makes a store of that file. Before and after it, as
// many bytes are written and synced in one plain file: mb_per_s, write_mb_per_s (of both together) and their ratio are of one disk at
// one time.
func (s *selkie) backup(ctx context.Context, args worker.Args) (_ worker.Args, err error) {
	n, err := numbers(args, "rows")
	if err != nil {
		return nil, err
	}
	name, dir := filepath.Join(s.store, "backup"), filepath.Join(s.store, "restored")
	defer func() { err = errors.Join(err, os.RemoveAll(name), os.RemoveAll(dir)) }()
	write := func() error {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if _, err = s.eng.Backup(ctx, f, engine.BackupOptions{}); err == nil {
			err = f.Sync()
		}
		return errors.Join(err, f.Close())
	}
	operation := write
	size := machine.DiskBytes(s.eng.Dir())
	if args["restore"] == "1" {
		if err := write(); err != nil {
			return nil, err
		}
		operation = func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			info, err := engine.Restore(ctx, dir, nil, f)
			if err == nil && info.LSN != s.eng.LSN() {
				err = fmt.Errorf("restored up to LSN %d, not %d", info.LSN, s.eng.LSN())
			}
			return err
		}
	}
	before, err := s.plainWrite(size)
	if err != nil {
		return nil, err
	}
	out, err := timed(args, 1, func(int) error { return operation() })
	if err != nil {
		return nil, err
	}
	after, err := s.plainWrite(size)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	seconds, _ := out.Float("seconds")
	ours, plain := float64(info.Size())/seconds, float64(2*size)/(before+after).Seconds()
	out.Set("rows", float64(n["rows"]))
	out.Set("mb_per_s", ours/1e6)
	out.Set("write_mb_per_s", plain/1e6)
	out.Set("share_of_write", ours/plain)
	return out, nil
}

// plainWrite writes and syncs a file of a size, 1 MiB at a time.
func (s *selkie) plainWrite(size int64) (took time.Duration, err error) {
	piece := make([]byte, 1<<20)
	for i := range piece {
		piece[i] = byte(i*7 + i>>8)
	}
	f, err := os.CreateTemp(s.store, "plain-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	begin := time.Now()
	for left := size; left > 0 && err == nil; left -= int64(len(piece)) {
		_, err = f.Write(piece[:min(left, int64(len(piece)))])
	}
	if err == nil {
		err = f.Sync()
	}
	return time.Since(begin), err
}

// checkpoint takes checkpoints of the filled store while another goroutine inserts batches as quickly as it can, and checks the number of rows in
// the last one.
func (s *selkie) checkpoint(ctx context.Context, args worker.Args) (_ worker.Args, err error) {
	n, err := numbers(args, "rows", "batch", "count")
	if err != nil {
		return nil, err
	}
	var stop atomic.Bool
	var inserted atomic.Int64
	failed := make(chan error, 1)
	go func() {
		supply := newSupply(s.set, n["batch"])
		for first := n["rows"]; !stop.Load(); first += n["batch"] {
			cols, err := supply.take(first, n["batch"])
			if err == nil {
				_, err = s.part.Insert(ctx, cols...)
			}
			if err != nil {
				failed <- err
				return
			}
			inserted.Add(int64(n["batch"]))
		}
		failed <- nil
	}()
	name := func(i int) string { return filepath.Join(s.store, fmt.Sprintf("checkpoint-%d", i)) }
	defer func() {
		for i := range n["count"] {
			err = errors.Join(err, os.RemoveAll(name(i)))
		}
	}()
	var least int64
	out, err := timed(args, n["count"], func(i int) error {
		least = inserted.Load()
		_, err := s.eng.Checkpoint(ctx, name(i))
		return err
	})
	most := inserted.Load() + int64(n["batch"]) // one call may not have told yet
	stop.Store(true)
	if err = errors.Join(err, <-failed); err != nil {
		return nil, err
	}
	eng, err := engine.Open(name(n["count"]-1), &engine.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	_, part, err := s.collection(ctx, eng, s.set.Dim)
	if err != nil {
		return nil, err
	}
	have, err := part.Count(ctx)
	if rows := int64(n["rows"]); err == nil && (have < rows+least || have > rows+most) {
		err = fmt.Errorf("a checkpoint holds %d rows, not %d to %d", have, rows+least, rows+most)
	}
	out.Set("inserted", float64(inserted.Load()))
	return out, err
}
