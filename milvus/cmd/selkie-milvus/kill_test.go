package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
)

var (
	long = flag.Bool("long", false, "kill the copy of a million rows")
	seed = flag.Uint64("seed", 0, "what is drawn at random; 0: anew")
)

// asCommand makes the test binary run the command, so that there is a process to kill.
const asCommand = "SELKIE_MILVUS_AS_COMMAND"

// fill makes a store of two collections with rows in several partitions and segments, nulls and dynamic keys.
func fill(t *testing.T, dir string, rows int, draw *rand.Rand) {
	t.Helper()
	ctx := t.Context()
	eng, err := engine.Open(dir, &engine.Options{Sync: engine.SyncNone})
	require.NoError(t, err)
	defer func() { require.NoError(t, eng.Close()) }()
	numbers, err := eng.CreateCollection(ctx, schema.New("numbers").EnableDynamicField().With(
		schema.Int64("id").PrimaryKey(), schema.VarChar("title", 40).Nullable(), schema.FloatVector("v", 8)))
	require.NoError(t, err)
	_, err = numbers.CreatePartition(ctx, "other")
	require.NoError(t, err)
	texts, err := eng.CreateCollection(ctx, schema.New("texts").With(
		schema.VarChar("key", 20).PrimaryKey(), schema.SparseFloatVector("s")))
	require.NoError(t, err)
	batch := min(5000, rows/20)
	order := draw.Perm(rows)
	for lo := 0; lo < rows; lo += batch {
		some := order[lo:min(lo+batch, rows)]
		ids, valid, keys := make([]int64, len(some)), make([]bool, len(some)), make([]string, len(some))
		titles, meta := make([]string, len(some)), make([][]byte, len(some))
		v, s := make([]float32, 8*len(some)), make([]column.Sparse, len(some))
		for i, n := range some {
			ids[i], keys[i] = int64(n)*7-int64(rows), "k"+strconv.Itoa(n)
			titles[i], valid[i] = "title "+strconv.Itoa(n), n%3 != 0
			meta[i] = []byte(`{"n":` + strconv.Itoa(n) + `}`)
			s[i] = column.Sparse{Indices: []uint32{uint32(n), uint32(n) + 9}, Values: []float32{1, draw.Float32()}}
		}
		for i := range v {
			v[i] = draw.Float32()
		}
		if lo/batch%10 < 9 {
			name := engine.DefaultPartition
			if lo/batch%4 == 1 {
				name = "other"
			}
			p, err := numbers.Partition(name)
			require.NoError(t, err)
			_, err = p.Insert(ctx, column.Int64("id", ids), column.VarChar("title", titles).WithValid(valid), column.FloatVectorFlat("v", 8, v), column.JSON(schema.MetaName, meta))
			require.NoError(t, err)
			continue
		}
		_, err = texts.Insert(ctx, column.VarChar("key", keys), column.SparseFloatVector("s", s))
		require.NoError(t, err)
	}
	_, err = numbers.Flush(ctx)
	require.NoError(t, err)
}

// A copy between two served stores is killed at ten random points, and resumed each time. In the end both stores hold the same rows.
func TestMigrateKilled(t *testing.T) {
	rows, batch := 20_000, "200"
	if *long {
		rows, batch = 1_000_000, "1000"
	}
	drawn := cmp.Or(*seed, rand.Uint64())
	t.Logf("seed %d", drawn)
	draw := rand.New(rand.NewPCG(drawn, 0))
	dir := t.TempDir()
	source, target, position := filepath.Join(dir, "source"), filepath.Join(dir, "target"), filepath.Join(dir, "position")
	fill(t, source, rows, draw)

	t.Run("copy", func(t *testing.T) {
		from, to := start(t, "-addr", "127.0.0.1:0", source), start(t, "-addr", "127.0.0.1:0", target)
		command := func(more ...string) *exec.Cmd {
			c := exec.CommandContext(t.Context(), os.Args[0], append([]string{"migrate", "-from", from, "-to", to, "-batch", batch, "-position", position}, more...)...)
			c.Env = append(os.Environ(), asCommand+"=1")
			return c
		}
		points := make([]int, 10)
		for i := range points {
			points[i] = draw.IntN(rows - rows/50)
		}
		slices.Sort(points)
		begun := time.Now()
		for i, point := range points {
			c := command("-passes", "1", "-verify=false")
			require.NoError(t, c.Start())
			waitCopied(t, position, point)
			time.Sleep(time.Duration(draw.IntN(30)) * time.Millisecond) // within a batch
			require.NoError(t, c.Process.Kill())
			err := c.Wait()
			require.Equal(t, -1, c.ProcessState.ExitCode(), "copy %d ended by itself: %v", i, err)
			t.Logf("killed at %d rows", copied(t, position))
		}
		before := copied(t, position)
		var out bytes.Buffer
		c := command()
		c.Stdout, c.Stderr = &out, &out
		require.NoError(t, c.Run(), out.String())
		require.Contains(t, out.String(), "verification: "+strconv.Itoa(rows)+" rows compared, 0 missing or other, 0 too many")
		t.Logf("%d rows in %v; the last copy began behind %d", rows, time.Since(begun).Round(time.Second), before)
		require.Positive(t, before)
	})
	require.Equal(t, rows, same(t, source, target))
}

// copied is the number of rows that a position file says are copied.
func copied(t *testing.T, position string) int {
	b, err := os.ReadFile(position)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	var places map[string]struct {
		Read int `json:"read"`
	}
	require.NoError(t, json.Unmarshal(b, &places))
	n := 0
	for _, p := range places {
		n += p.Read
	}
	return n
}

func waitCopied(t *testing.T, position string, rows int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Minute); copied(t, position) < rows; time.Sleep(2 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "the copy does not get to %d rows", rows)
	}
}

// same compares two stores row by row and gives the number of rows.
func same(t *testing.T, source, target string) int {
	t.Helper()
	o := &engine.Options{ReadOnly: true}
	a, err := engine.Open(source, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Close()) }()
	b, err := engine.Open(target, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	rows := 0
	for _, name := range []string{"numbers", "texts"} {
		x, err := a.Collection(name)
		require.NoError(t, err)
		y, err := b.Collection(name)
		require.NoError(t, err)
		require.Len(t, y.Partitions(), len(x.Partitions()))
		for _, p := range x.Partitions() {
			q, err := y.Partition(p.Name())
			require.NoError(t, err)
			rows += samePartition(t, p, q)
		}
	}
	return rows
}

func samePartition(t *testing.T, p, q *engine.Partition) int {
	t.Helper()
	ctx := context.Background()
	i, err := p.QueryIterator(ctx, query.Where("").Output("*"), 0)
	require.NoError(t, err)
	defer i.Close()
	j, err := q.QueryIterator(ctx, query.Where("").Output("*"), 0)
	require.NoError(t, err)
	defer j.Close()
	for rows := 0; ; {
		r, end := i.Next(ctx)
		s, otherEnd := j.Next(ctx)
		require.Equal(t, end, otherEnd)
		if end != nil {
			require.EqualError(t, end, "EOF")
			return rows
		}
		require.Equal(t, r.Len(), s.Len())
		for at := range r.Len() {
			for _, c := range r.Columns() {
				a, b := c.Data(), s.Column(c.Name()).Data()
				if a.IsNull(at) != b.IsNull(at) || !a.IsNull(at) && !bytes.Equal(a.Value(at), b.Value(at)) {
					require.Failf(t, "rows differ", "%s, row %d of %s", c.Name(), rows+at, p.Name())
				}
			}
		}
		rows += r.Len()
	}
}
