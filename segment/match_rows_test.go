package segment_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
	"github.com/selkiedb/selkie/segment/segmenttest"
)

// matchInput is rows whose fields lie in chunks of different lengths.
func matchInput(t testing.TB, n int) (in segmenttest.Input, numbers []int64, texts []string) {
	rng := rand.New(rand.NewPCG(21, 22))
	ids, small := make([]int64, n), make([]int8, n)
	numbers, texts = make([]int64, n), make([]string, n)
	valid := make([]bool, n)
	for i := range n {
		ids[i], numbers[i], small[i] = int64(i), rng.Int64N(1000), int8(rng.IntN(100))
		texts[i], valid[i] = strings.Repeat("ab", rng.IntN(30))+fmt.Sprint(small[i]), numbers[i]%7 != 0
	}
	s := segmenttest.Finish(t, schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.Int64("number"), schema.Int8("small"),
		schema.VarChar("text", 100).Nullable(), schema.FloatVector("v", 2)))
	b, err := column.Build(s, []*column.Column{
		column.Int64("id", ids), column.Int64("number", numbers), column.Int8("small", small), column.VarChar("text", texts).WithValid(valid),
		column.FloatVectorFlat("v", 2, make([]float32, 2*n)),
	}, column.BuildOptions{MaxBytes: -1})
	require.NoError(t, err)
	return segmenttest.Input{Schema: s, Batches: []*column.Batch{b}}, numbers, texts
}

// Rows are matched alike wherever the chunks of the fields end.
func TestMatchAcrossChunks(t *testing.T) {
	ctx := context.Background()
	const n = 50_001
	in, numbers, texts := matchInput(t, n)
	g, lsn := grow(t, in)
	growing := g.At(lsn)
	s := build(t, vfs.NewMem(), in, growing)
	sealed, ok := s.At(0)
	require.True(t, ok)
	for expr, means := range map[string]func(i int) bool{
		"number < 500":               func(i int) bool { return numbers[i] < 500 },
		"text like '%7'":             func(i int) bool { return numbers[i]%7 != 0 && strings.HasSuffix(texts[i], "7") },
		"text is null or small == 3": func(i int) bool { return numbers[i]%7 == 0 || strings.TrimLeft(texts[i], "ab") == "3" },
		"number >= 990 and text like 'abab%' or id == 9": func(i int) bool {
			return numbers[i] >= 990 && numbers[i]%7 != 0 && strings.HasPrefix(texts[i], "abab") || i == 9
		},
		"number in [3, 5, 1] and small < 50 and text != ''": func(i int) bool {
			var k int
			_, err := fmt.Sscan(strings.TrimLeft(texts[i], "ab"), &k)
			return err == nil && k < 50 && (numbers[i] == 3 || numbers[i] == 5 || numbers[i] == 1)
		},
	} {
		e, err := filter.Parse(expr, in.Schema, nil)
		require.NoError(t, err)
		for _, v := range []segment.View{growing, sealed} {
			set, by, err := segment.Match(ctx, v, e, e.String())
			require.NoError(t, err)
			require.Equal(t, "values", by.Way)
			require.EqualValues(t, n, by.Compared)
			count := 0
			for i := range n {
				if means(i) {
					count++
				}
				require.Equal(t, means(i), set.Has(uint32(i)), "%s, row %d", expr, i)
			}
			require.Equal(t, count, set.Count)
		}
	}
}

// BenchmarkMatch evaluates comparisons over a sealed segment whose blocks are in the cache, of values in no order, so that none is skipped.
func BenchmarkMatch(b *testing.B) {
	ctx := context.Background()
	const n = 2_000_000
	in, _, _ := matchInput(b, n)
	g, lsn := grow(b, in)
	fs := vfs.NewMem()
	view := g.At(lsn)
	order, err := segment.Order(ctx, in.Schema, []segment.View{view})
	require.NoError(b, err)
	require.NoError(b, fs.MkdirAll("seg", 0o755))
	man, err := segment.Build(ctx, segment.BuildSpec{FS: fs, Dir: "seg", ID: 7, Schema: in.Schema, MinLSN: 1, MaxLSN: 9, Now: created}, []segment.View{view}, order)
	require.NoError(b, err)
	c := segment.NewCache(256 << 20)
	defer c.Close()
	s, err := segment.Open(fs, "seg", man, in.Schema, c, nil, 0)
	require.NoError(b, err)
	defer s.Unref()
	v, _ := s.At(0)
	for _, expr := range []string{"number < 500", "100 < number <= 110", "small >= 50", "number < 500 and small >= 50", "number % 7 == 3", "text == 'abab17'"} {
		e, err := filter.Parse(expr, in.Schema, nil)
		require.NoError(b, err)
		b.Run(expr, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := segment.Match(ctx, v, e, "random_sample: not to be kept"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}
