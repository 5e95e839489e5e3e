package dataset_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/sbinet/npyio/npy"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/vector"
)

func prepared(t *testing.T, name string, o dataset.Options) *dataset.Set {
	s, err := dataset.Cache(t.TempDir()).Prepare(context.Background(), name, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMadeSetsAreTheSameEverywhere(t *testing.T) {
	s := prepared(t, "made-10k-d8-l2", dataset.Options{})
	require.Equal(t, []int{10_000, 8, 2000, 100}, []int{s.Rows, s.Dim, s.Meta.Queries, s.Depth})
	require.NoError(t, s.Verify())
	again := prepared(t, "made-10k-d8-l2", dataset.Options{})
	require.Equal(t, s.SHA256, again.SHA256)
	require.NotEqual(t, s.SHA256, prepared(t, "made-10k-d8", dataset.Options{}).SHA256)
}

func TestTruthIsExact(t *testing.T) {
	for _, name := range []string{"made-700-d5", "made-700-d5-l2"} {
		s := prepared(t, name, dataset.Options{Depth: 20})
		rows, err := s.All()
		require.NoError(t, err)
		for q := range 10 {
			distance := func(i int32) (d float64) {
				for j, x := range rows[int(i)*s.Dim : (int(i)+1)*s.Dim] {
					d += (float64(x) - float64(s.Query(q)[j])) * (float64(x) - float64(s.Query(q)[j]))
				}
				return d
			}
			order := make([]int32, s.Rows)
			for i := range order {
				order[i] = int32(i)
			}
			slices.SortFunc(order, func(a, b int32) int { // rows of length 1: the order of COSINE is that of L2
				return int(math.Copysign(1, distance(a)-distance(b)))
			})
			for i, row := range s.Truth[q*s.Depth : (q+1)*s.Depth] {
				require.InDelta(t, distance(order[i]), distance(row), 1e-5, "%s: query %d, place %d", name, q, i)
			}
		}
	}
}

func TestCosineRowsHaveLengthOne(t *testing.T) {
	s := prepared(t, "made-300-d7", dataset.Options{})
	rows, err := s.All()
	require.NoError(t, err)
	for i := 0; i < len(rows); i += s.Dim {
		require.InDelta(t, 1, vector.Norm(vector.Float32, raw(rows[i:i+s.Dim])), 1e-5)
	}
}

// ownSet makes a set of files: rows 0..39 on a line, each twice; queries a little beside.
func ownSet(t *testing.T) *dataset.Set {
	dir := t.TempDir()
	var base, queries []float32
	for i := range 40 {
		base = append(base, float32(i/2), 0)
	}
	for i := range 10 {
		queries = append(queries, float32(i)+.1, 0)
	}
	write(t, filepath.Join(dir, "base.fvecs"), vecs(base, 2))
	write(t, filepath.Join(dir, "queries.fvecs"), vecs(queries, 2))
	return prepared(t, "line", dataset.Options{
		Base: filepath.Join(dir, "base.fvecs"), Queries: filepath.Join(dir, "queries.fvecs"), Metric: "L2", Depth: 4,
	})
}

func TestRecall(t *testing.T) {
	s := ownSet(t)
	require.Equal(t, []int32{2, 3, 4, 5}, s.Truth[4:8]) // of 1.1: the rows of 1, then those of 2
	for name, c := range map[string]struct {
		answer []int32
		k      int
		want   float64
	}{
		"all":              {[]int32{2, 3, 4, 5}, 4, 1},
		"another order":    {[]int32{5, 4, 3, 2}, 4, 1},
		"half":             {[]int32{2, 3, 9, 8}, 4, .5},
		"none found":       {[]int32{-1, -1, -1, -1}, 4, 0},
		"no such row":      {[]int32{2, 3, 4, 4000}, 4, .75},
		"a row twice":      {[]int32{2, 2, 2, 2}, 4, .25},
		"a tie of the 3rd": {[]int32{2, 3, 5}, 3, 1},
		"worse than a tie": {[]int32{2, 3, 6}, 3, 2. / 3},
	} {
		got, err := s.Recall(c.answer, 1, 2, c.k, nil)
		require.NoError(t, err)
		require.InDelta(t, c.want, got, 1e-9, name)
	}

	alive := func(row int32) bool { return row != 2 }
	got, err := s.Recall([]int32{2, 3, 4}, 1, 2, 3, alive)
	require.NoError(t, err)
	require.InDelta(t, 2./3, got, 1e-9, "a dead row is no hit, and is not asked for")
	got, err = s.Recall([]int32{5, 4, 3}, 1, 2, 3, alive)
	require.NoError(t, err)
	require.InDelta(t, 1, got, 1e-9)
	_, err = s.Recall([]int32{5, 4, 3, 2}, 1, 2, 4, alive)
	require.ErrorContains(t, err, "3 are alive, not 4")

	deleted := 0
	for row := range int32(100_000) {
		if dataset.Deleted(row, 30) {
			deleted++
		}
	}
	require.InDelta(t, 30_000, deleted, 600)
}

func TestDamageIsNoticed(t *testing.T) {
	s := ownSet(t)
	name := filepath.Join(s.Dir, dataset.BaseFile)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	b[5] ^= 1
	write(t, name, b)
	require.ErrorContains(t, s.Verify(), "changed")
	write(t, name, b[:8])
	_, err = dataset.Open(s.Dir)
	require.ErrorContains(t, err, "prepare it again")
}

func TestUnknownAndMissing(t *testing.T) {
	c := dataset.Cache(t.TempDir())
	for _, name := range []string{"nothing", "made-", "made-12", "made-1m-d1", "made-10k-d8-cosine"} {
		_, err := c.Prepare(context.Background(), name, dataset.Options{})
		require.Error(t, err, name)
	}
	_, err := c.Open("glove100")
	require.ErrorContains(t, err, "prepare glove100")
	_, err = c.Prepare(context.Background(), "glove100", dataset.Options{From: "/nowhere"})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, c.Names())
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = c.Prepare(ended, "made-1m", dataset.Options{})
	require.ErrorIs(t, err, context.Canceled)
	entries, err := os.ReadDir(filepath.Join(string(c), "data"))
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left of a set that was not finished")
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	want := []float32{1, 2, 3, 4, 5, 6}
	type item struct {
		ID        int64     `parquet:"id"`
		Embedding []float32 `parquet:"embedding,list"`
	}
	var table, array, doubles bytes.Buffer
	require.NoError(t, parquet.Write(&table, []item{{1, []float32{1, 2, 3}}, {2, []float32{4, 5, 6}}}))
	require.NoError(t, npy.Write(&array, [][3]float32{{1, 2, 3}, {4, 5, 6}}))
	require.NoError(t, npy.Write(&doubles, [][3]float64{{1, 2, 3}, {4, 5, 6}}))
	var bytesFile, ints []byte
	for i := range 2 {
		bytesFile = binary.LittleEndian.AppendUint32(bytesFile, 3)
		ints = binary.LittleEndian.AppendUint32(ints, 3)
		for j := range 3 {
			bytesFile = append(bytesFile, byte(3*i+j+1))
			ints = binary.LittleEndian.AppendUint32(ints, uint32(3*i+j+1))
		}
	}
	for name, content := range map[string][]byte{
		"a.fvecs": vecs(want, 3), "a.bvecs": bytesFile, "a.ivecs": ints, "a.npy": array.Bytes(), "b.npy": doubles.Bytes(),
		"a.jsonl": []byte("[1,2,3]\n[4,5,6]\n"), "b.jsonl": []byte(`{"id":7,"v":[1,2,3],"text":"x"}` + "\n" + `{"v":[4,5,6]}`),
		"a.parquet": table.Bytes(),
	} {
		write(t, filepath.Join(dir, name), content)
		rows, dim, err := dataset.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err, name)
		require.Equal(t, 3, dim, name)
		require.Equal(t, want, rows, name)
	}
	for name, content := range map[string][]byte{
		"c.fvecs": vecs(want, 3)[:20], "d.fvecs": append(vecs(want, 3), vecs(want, 2)...), "e.fvecs": {0, 0, 0, 0}, "f.fvecs": nil,
		"c.jsonl": []byte("[1,2]\n[1]\n"), "d.jsonl": []byte(`{"a":"b"}`), "e.jsonl": []byte(`{"a":[1],"b":[2]}`),
		"c.npy": []byte("nothing"), "c.parquet": []byte("nothing"), "c.csv": []byte("1,2"),
		"g.fvecs": vecs([]float32{1, float32(math.NaN())}, 2),
	} {
		write(t, filepath.Join(dir, name), content)
		_, _, err := dataset.ReadFile(filepath.Join(dir, name))
		require.ErrorContains(t, err, name)
	}
}

func write(t *testing.T, name string, b []byte) { require.NoError(t, os.WriteFile(name, b, 0o644)) }

func raw(v []float32) (b []byte) {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func vecs(rows []float32, dim int) (b []byte) {
	for i := 0; i+dim <= len(rows); i += dim {
		b = binary.LittleEndian.AppendUint32(b, uint32(dim))
		b = append(b, raw(rows[i:i+dim])...)
	}
	return b
}
