package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// The test binary runs itself as a child process that is told by the environment what to do.
const (
	childRole = "SELKIE_TEST_CHILD"
	childDir  = "SELKIE_TEST_DIR"
	childSeed = "SELKIE_TEST_SEED"
	childStep = "SELKIE_TEST_STEP"

	childFailed = 3 // exit code of a child that met an error
)

// runAsChild does what the environment asks of a child process, if it asks for anything.
func runAsChild() bool {
	switch os.Getenv(childRole) {
	case "":
		return false
	case "write":
		writeUntilKilled()
	case "follow":
		followWriter()
	case "hold":
		holdStore()
	case "limited":
		runLimited()
	}
	return true
}

func child(role, dir string, more ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childRole+"="+role, childDir+"="+dir), more...)
	cmd.Stderr = os.Stderr
	return cmd
}

const (
	killWriters = 6
	killParts   = 3
	killKeys    = 400 // of each writer; no two writers share a key
)

func killOptions() *engine.Options {
	return &engine.Options{LogFileBytes: 64 << 10, CatalogueBytes: 8 << 10, SegmentRows: 500, CacheBytes: 1 << 20, Tick: 10 * time.Millisecond}
}

// killLine is how the child tells of a step: "b" before it, "a" once it is acknowledged.
func killLine(mark string, writer int, st step) string {
	keys := make([]string, len(st.keys))
	for i, k := range st.keys {
		keys[i] = strconv.Itoa(k)
	}
	return fmt.Sprintf("%s|%d|%s|%s|%s|%d|%s\n", mark, writer, st.kind, st.coll, st.part, st.ver, strings.Join(keys, ","))
}

func parseKillLine(line string) (mark string, writer int, st step, err error) {
	f := strings.Split(line, "|")
	if len(f) != 7 {
		return "", 0, step{}, fmt.Errorf("line %q", line)
	}
	st = step{kind: stepKind(f[2]), coll: f[3], part: f[4]}
	writer, err = strconv.Atoi(f[1])
	if err == nil {
		st.ver, err = strconv.ParseInt(f[5], 10, 64)
	}
	for _, k := range strings.Split(f[6], ",") {
		if k != "" && err == nil {
			var n int
			n, err = strconv.Atoi(k)
			st.keys = append(st.keys, n)
		}
	}
	return f[0], writer, st, err
}

// killStore makes the collections that the child writes to, where a crash did not let it come to that.
func killStore(ctx context.Context, eng *engine.Engine) error {
	for _, st := range killSetUp() {
		s := &session{eng: eng}
		if err := s.run(ctx, st); err != nil && !errors.Is(err, engine.ErrExists) {
			return err
		}
	}
	return nil
}

func killSetUp() []step {
	out := []step{{kind: createColl, coll: "plain", collKind: plainColl}, {kind: createColl, coll: "keyed", collKind: keyedColl}}
	for i := range killParts {
		out = append(out, step{kind: createPart, coll: "plain", part: fmt.Sprintf("p%d", i)})
	}
	return out
}

// writeUntilKilled is the child: several goroutines write, and tell the parent of each step before and after it.
func writeUntilKilled() {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(childFailed)
	}
	ctx := context.Background()
	seed, _ := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
	first, _ := strconv.ParseInt(os.Getenv(childStep), 10, 64)
	eng, err := engine.Open(os.Getenv(childDir), killOptions())
	if err != nil {
		fail(err)
	}
	if err := killStore(ctx, eng); err != nil {
		fail(err)
	}
	o, err := observe(ctx, eng)
	if err != nil {
		fail(err)
	}
	for w := range killWriters {
		go func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			mine := ownRows(o.ledger, w)
			s := &session{eng: eng}
			for ver := first; ; ver++ {
				st := randomStep(rng, w, mine, ver)
				os.Stdout.WriteString(killLine("b", w, st))
				if err := s.run(ctx, st); err != nil {
					fail(fmt.Errorf("%v: %w", st, err))
				}
				if err := mine.apply(st); err != nil {
					fail(fmt.Errorf("%v: %w", st, err))
				}
				os.Stdout.WriteString(killLine("a", w, st))
			}
		}()
	}
	select {}
}

// writerColl is the collection of a writer.
func writerColl(w int) string {
	if w == killWriters-1 {
		return "keyed"
	}
	return "plain"
}

// ownRows is the part of a ledger that a writer answers for.
func ownRows(l *ledger, w int) *ledger {
	out := l.clone()
	for name, c := range out.colls {
		for _, p := range c.parts {
			for k := range p.rows {
				if k/killKeys != w || name != writerColl(w) {
					delete(p.rows, k)
				}
			}
		}
	}
	return out
}

// randomStep draws what a writer does next. Its inserts are of keys that it does not hold.
func randomStep(rng *rand.Rand, w int, mine *ledger, ver int64) step {
	st := step{coll: writerColl(w), ver: ver}
	c := mine.colls[st.coll]
	if st.coll == "plain" {
		st.part = fmt.Sprintf("p%d", rng.IntN(killParts))
	}
	held := map[int]bool{}
	for _, p := range c.parts {
		for k := range p.rows {
			held[k] = true
		}
	}
	var keys []int
	seen := map[int]bool{}
	for range 1 + rng.IntN(40) {
		if k := w*killKeys + rng.IntN(killKeys); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	switch n := rng.IntN(20); {
	case n < 8:
		st.kind = insert
		for _, k := range keys {
			if !held[k] {
				st.keys = append(st.keys, k)
			}
		}
		if len(st.keys) == 0 {
			st.kind, st.keys = upsert, keys
		}
	case n < 13:
		st.kind, st.keys = upsert, keys
	case n < 16:
		st.kind, st.keys = remove, keys
	case n < 18:
		st.kind, st.keys = removeAll, keys
	case n < 19:
		st.kind = flush
	default:
		st.kind = flushColl
	}
	return st
}

// killFigures are what the rounds of kills come to.
type killFigures struct{ rounds, acked, unfinished, applied int }

// TestKill kills a process that writes, at a random moment, again and again in one directory. What it saw acknowledged must be there,
// what it did not, whole or not at all, and nothing else.
func TestKill(t *testing.T) {
	rng := seeded(t)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	if *long {
		rounds = 200
	}
	dir := filepath.Join(t.TempDir(), "store")
	models := make([]*ledger, killWriters)
	for w := range models {
		models[w] = newLedger()
		for _, st := range killSetUp() {
			require.NoError(t, models[w].apply(st))
		}
	}
	var fig killFigures
	ver := int64(1)
	for round := range rounds {
		pending := make([]*step, killWriters)
		cmd := child("write", dir, fmt.Sprintf("%s=%d", childSeed, rng.Uint64()), fmt.Sprintf("%s=%d", childStep, ver))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// Some rounds die during recovery, the others at some moment after their first acknowledged step, however slow the machine.
		kill := func(within int) *time.Timer {
			return time.AfterFunc(time.Duration(rng.IntN(within))*time.Millisecond, func() { cmd.Process.Kill() })
		}
		var timer *time.Timer
		if round%8 == 7 {
			timer = kill(30)
		}
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if err != nil { // a line that was cut is one that was not told
				require.ErrorIs(t, err, io.EOF)
				break
			}
			mark, w, st, err := parseKillLine(strings.TrimSuffix(line, "\n"))
			require.NoError(t, err)
			ver = max(ver, st.ver+1)
			if mark == "b" {
				pending[w] = &st
				continue
			}
			pending[w] = nil
			require.NoError(t, models[w].apply(st), "round %d: %v", round, st)
			fig.acked++
			if timer == nil {
				timer = kill(150)
			}
		}
		err = cmd.Wait()
		if timer != nil {
			timer.Stop()
		}
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.NotEqual(t, childFailed, exit.ExitCode(), "the child must have been killed")
		fig.rounds++
		checkKilled(t, round, dir, models, pending, &fig)
		if t.Failed() {
			return
		}
	}
	require.Positive(t, fig.acked)
	figures(t, "%d rounds, %d steps acknowledged, %d unfinished of which %d were there whole; 0 lost, 0 halved, 0 doubled",
		fig.rounds, fig.acked, fig.unfinished, fig.applied)
}

// checkKilled opens the store that a killed process left and holds it against the writers' models, which it brings up to date.
func checkKilled(t *testing.T, round int, dir string, models []*ledger, pending []*step, fig *killFigures) {
	ctx := context.Background()
	eng, err := engine.Open(dir, killOptions())
	require.NoError(t, err, "round %d", round)
	defer func() { require.NoError(t, eng.Close()) }()
	require.NoError(t, killStore(ctx, eng))
	o, err := observe(ctx, eng)
	require.NoError(t, err, "round %d", round)
	for w := range models {
		found := ownRows(o.ledger, w).content()
		if p := pending[w]; p != nil {
			fig.unfinished++
			next := models[w].clone()
			require.NoError(t, next.apply(*p))
			if before := models[w].content(); next.content() == found && before != found {
				fig.applied++
				models[w] = next
			}
		}
		require.Equal(t, models[w].content(), found, "round %d, writer %d, unfinished %v", round, w, pending[w])
	}
	if round%5 != 4 {
		return
	}
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		require.NoError(t, err)
		_, err = c.Flush(ctx)
		require.NoError(t, err)
		n, err := c.Count(ctx)
		require.NoError(t, err)
		require.Equal(t, n, c.NumEntities())
	}
}
