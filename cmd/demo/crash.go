package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/selkiedb/selkie/cmd/demo/data"
	"github.com/selkiedb/selkie/engine"
)

const (
	// victimDir is the environment variable that makes the demo the process that
	// will be killed. Its value is the store's folder.
	victimDir = "SELKIE_DEMO_VICTIM"

	victimBatch = 20        // rows of one insert
	sealVictim  = 256 << 10 // so that it dies with sealed segments as well as a growing one
	killAfter   = 2_000     // rows acknowledged, and up to as many more by chance
	victimEnd   = 200_000   // rows at which a victim gives up waiting for its end
)

// crashChapter has another process insert into the store, kills it, and looks
// for every row that it acknowledged.
func crashChapter(ctx context.Context, s *screen, dir string, w *data.Words) error {
	s.heading(3, "A kill in the middle of inserting")
	acknowledged, err := killVictim(ctx, s, dir)
	if err != nil {
		return err
	}
	s.printf("killed it; it had acknowledged %d rows, %d at a time", acknowledged, victimBatch)

	start := time.Now()
	return withEngine(dir, sealVictim, func(eng *engine.Engine) error {
		s.printf("opened the store again in %v", time.Since(start).Round(100*time.Microsecond))
		coll, err := eng.Collection("survivors")
		if err != nil {
			return err
		}
		part, err := coll.Partition("victim")
		if err != nil {
			return err
		}
		found, err := verifyRows(ctx, part, w)
		if err != nil {
			return err
		}
		s.printf("%s", strings.TrimSuffix(drawSegments(s, part.Segments(), sealVictim), "\n"))
		s.printf("found %d rows: %d acknowledged, %d of the insert that was under way", found, acknowledged, found-acknowledged)
		switch {
		case found < acknowledged:
			return fmt.Errorf("%d acknowledged rows are lost", acknowledged-found)
		case found%victimBatch != 0:
			return fmt.Errorf("%d rows: an insert of %d is there in part", found, victimBatch)
		case found > acknowledged+victimBatch:
			return fmt.Errorf("%d rows, but only one insert was under way", found)
		}
		return nil
	})
}

// verifyRows returns how many rows the victim left. It holds each against what
// the victim was to insert.
func verifyRows(ctx context.Context, part *engine.Partition, w *data.Words) (int, error) {
	n := 0
	for row, err := range part.All(ctx, "word", "vector") {
		if err != nil {
			return 0, err
		}
		word := n % len(w.Text)
		switch {
		case row.Int64("id") != int64(n):
			return 0, fmt.Errorf("row %d is missing, the next one is %d", n, row.Int64("id"))
		case row.String("word") != w.Text[word] || !slices.Equal(row.FloatVector("vector"), w.Vector(word)):
			return 0, fmt.Errorf("row %d is not what was inserted: %q", n, row.String("word"))
		}
		n++
	}
	count, err := part.Count(ctx)
	if err == nil && count != int64(n) {
		err = fmt.Errorf("there are %d rows, but Count says %d", n, count)
	}
	return n, err
}

// killVictim starts the demo as a victim, kills it when it has acknowledged
// enough, and returns how many rows it acknowledged in all.
func killVictim(ctx context.Context, s *screen, dir string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	cmd.Stderr = &stderr
	acks, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.printf("process %d inserts", cmd.Process.Pid)

	// What it acknowledged just before its end is still in the pipe: read on.
	acknowledged, killed := 0, false
	enough := killAfter + rand.IntN(killAfter)
	lines := bufio.NewScanner(acks)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			break // a line that it did not end
		}
		acknowledged = n
		if !killed && acknowledged >= enough {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				return 0, errors.Join(err, cmd.Wait())
			}
		}
	}
	err = cmd.Wait()
	if !killed {
		return 0, fmt.Errorf("the process ended before it was killed, after %d rows: %w\n%s", acknowledged, err, &stderr)
	}
	return acknowledged, nil
}

// victim inserts rows until it is killed. It writes the number of rows to acks,
// one line each time that an insert has returned.
func victim(ctx context.Context, dir string, acks io.Writer) error {
	w, err := data.Load()
	if err != nil {
		return err
	}
	return withEngine(dir, sealVictim, func(eng *engine.Engine) error {
		coll, err := eng.CreateCollection(ctx, wordSchema("survivors", w.Dim))
		if err != nil {
			return err
		}
		part, err := coll.CreatePartition(ctx, "victim")
		if err != nil {
			return err
		}
		for n := 0; n < victimEnd; n += victimBatch {
			if err := insertWords(ctx, part, w, n, n+victimBatch); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(acks, n+victimBatch); err != nil {
				return err
			}
		}
		return errors.New("nobody killed the process")
	})
}
