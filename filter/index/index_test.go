package index_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/schema"
)

// source gives the rows of a column in runs, as a segment's chunks are.
type source struct {
	f   *schema.Field
	d   column.Data
	run int
}

func (s source) Field() *schema.Field { return s.f }
func (s source) Rows() int            { return s.d.Rows }

func (s source) Path() (*filter.Path, filter.Cast) { return nil, 0 }

func (s source) Each(ctx context.Context, visit func(uint32, column.Data) error) error {
	for lo := 0; lo < s.d.Rows; lo += s.run {
		if err := visit(uint32(lo), s.d.Slice(lo, min(lo+s.run, s.d.Rows))); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// sources are columns of every type, of n rows, a tenth of them null.
func sources(t testing.TB, n int) (*schema.Schema, map[string]source) {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	ids, numbers, small, prices := make([]int64, n), make([]int64, n), make([]int8, n), make([]float64, n)
	flags, texts, tags, valid := make([]bool, n), make([]string, n), make([][]int32, n), make([]bool, n)
	for i := range n {
		ids[i], numbers[i], small[i], prices[i] = int64(i), rng.Int64N(1000)-500, int8(rng.IntN(7)), math.Round(rng.NormFloat64()*50)/10
		flags[i], texts[i], valid[i] = rng.IntN(3) == 0, fmt.Sprintf("t%d", rng.IntN(n/8+1)), rng.IntN(10) > 0
		for range rng.IntN(5) {
			tags[i] = append(tags[i], int32(rng.IntN(20)))
		}
	}
	s, err := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.Int64("number").Nullable(), schema.Int8("small"),
		schema.Double("price").Nullable(), schema.Bool("flag"), schema.VarChar("text", 20).Nullable(), schema.Array("tags", schema.TypeInt32, 5).Nullable(),
		schema.JSON("meta"), schema.FloatVector("v", 2)).Finish()
	require.NoError(t, err)
	b, err := column.Build(s, []*column.Column{
		column.Int64("id", ids), column.Int64("number", numbers).WithValid(valid), column.Int8("small", small), column.Double("price", prices).WithValid(valid),
		column.Bool("flag", flags), column.VarChar("text", texts).WithValid(valid), column.Array("tags", tags).WithValid(valid),
		column.JSON("meta", bytes.Split(bytes.Repeat([]byte("{} "), n)[:3*n-1], []byte(" "))), column.FloatVectorFlat("v", 2, make([]float32, 2*n)),
	}, column.BuildOptions{})
	require.NoError(t, err)
	out := map[string]source{}
	for i := range s.Fields {
		out[s.Fields[i].Name] = source{s.Fields[i], b.Cols[i], 1000}
	}
	return s, out
}

var exprs = []string{
	"number < 0", "number >= 499", "number == 17", "number != 17", "-400 < number <= 420", "number in [1, 2, 3, 499, 700]", "number is null", "number is not null",
	"number > 600", "small == 3", "small >= 1", "small != 6", "price < -3.5", "price == 0", "price != 0", "price >= 0 and price < 0.05", "price in [0, 1.5, 2]",
	"flag", "not flag", "flag == false", "text == 't3'", "text != 't3'", "text like 't1%'", "text like '%7'", "text =~ '^t[0-4]+$'", "text !~ '9'", "text > 't5'",
	"'t2' <= text < 't4'", "text in ['t0', 't1', 'x']", "text is null", "id >= 100", "id < 100000",
	"array_contains(tags, 3)", "array_contains_any(tags, [1, 2, 30])", "array_contains_all(tags, [4, 5])", "array_contains_all(tags, [])", "not array_contains(tags, 7)", "tags is null",
}

// What an index says is what the values say.
func TestAnswer(t *testing.T) {
	for _, n := range []int{1, 64, 100, 5003} {
		s, fields := sources(t, n)
		for _, expr := range exprs {
			e, err := filter.Parse(expr, s, nil)
			require.NoError(t, err)
			read := func(f *schema.Field) (column.Data, error) { return fields[f.Name].d, nil }
			want, got := make([]uint64, (n+63)/64), make([]uint64, (n+63)/64)
			require.NoError(t, e.Eval(&filter.Block{Rows: n, Column: read}, want))
			terms, all := e.Terms()
			require.NotEmpty(t, terms, expr)
			require.True(t, all, expr)
			answers := make([]*filter.Answer, len(terms))
			for i, term := range terms {
				built, err := index.Build(t.Context(), fields[term.Field.Name], 0)
				require.NoError(t, err)
				for _, ix := range []*index.Index{built, reopened(t, built)} {
					require.Equal(t, n, ix.Rows())
					yes, ok := ix.Answer(term)
					if !ok {
						require.NotNil(t, term.Fits, "%s of %d rows goes unanswered", expr, n)
						continue
					}
					answers[i] = &filter.Answer{Yes: yes}
					if !term.Null {
						answers[i].Known = ix.Present()
					}
				}
			}
			require.NoError(t, e.Eval(&filter.Block{Rows: n, Column: read, Answers: answers}, got))
			require.Equal(t, want, got, "%s of %d rows", expr, n)
		}
	}
}

func reopened(t testing.TB, ix *index.Index) *index.Index {
	var b bytes.Buffer
	id := index.Identity{Segment: 7, Token: 9}
	require.NoError(t, ix.Save(&b, id))
	again, err := index.Load(bytes.NewReader(b.Bytes()), int64(b.Len()), id)
	require.NoError(t, err)
	require.Equal(t, ix.Bytes(), again.Bytes())
	require.Equal(t, ix.Values(), again.Values())
	require.True(t, ix.Equal(again))
	return again
}

func TestEqual(t *testing.T) {
	_, fields := sources(t, 200)
	all := map[string]*index.Index{}
	for _, name := range []string{"number", "small", "text", "tags", "flag"} {
		ix, err := index.Build(t.Context(), fields[name], 0)
		require.NoError(t, err)
		for other, o := range all {
			require.False(t, ix.Equal(o), "%s and %s", name, other)
		}
		all[name] = ix
	}
}

// Damage of any kind is found, and named.
func TestDamage(t *testing.T) {
	_, fields := sources(t, 90)
	id := index.Identity{Segment: 7, Token: 9}
	for _, name := range []string{"number", "text", "tags"} {
		ix, err := index.Build(t.Context(), fields[name], 0)
		require.NoError(t, err)
		var b bytes.Buffer
		require.NoError(t, ix.Save(&b, id))
		for i := range b.Len() {
			raw := bytes.Clone(b.Bytes())
			raw[i] ^= 1 << (i % 8)
			_, err := index.Open(raw, id)
			var c *index.CorruptionError
			require.ErrorAs(t, err, &c, "byte %d", i)
		}
		for _, cut := range []int{0, 1, 255, 256, 300, b.Len() - 64, b.Len() - 1} {
			_, err := index.Open(b.Bytes()[:cut], id)
			require.Error(t, err)
			_, err = index.Load(bytes.NewReader(b.Bytes()[:cut]), int64(b.Len()), id)
			require.Error(t, err)
		}
		_, err = index.Open(append(bytes.Clone(b.Bytes()), 0), id)
		require.ErrorContains(t, err, "length")
		_, err = index.Open(b.Bytes(), index.Identity{Segment: 7, Token: 8})
		require.ErrorContains(t, err, "identity")
	}
}

func TestBuildRefuses(t *testing.T) {
	_, fields := sources(t, 5000)
	_, err := index.Build(t.Context(), fields["meta"], 0)
	require.ErrorIs(t, err, index.ErrType)
	_, err = index.Build(t.Context(), fields["v"], 0)
	require.ErrorIs(t, err, index.ErrType)
	_, err = index.Build(t.Context(), fields["text"], 10_000)
	require.ErrorIs(t, err, index.ErrMemory)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = index.Build(ctx, fields["text"], 0)
	require.ErrorIs(t, err, context.Canceled)
	broken := errors.New("broken disk")
	_, err = index.Build(t.Context(), failing{fields["text"], broken}, 0)
	require.ErrorIs(t, err, broken)
}

type failing struct {
	source
	err error
}

func (f failing) Each(context.Context, func(uint32, column.Data) error) error { return f.err }

func BenchmarkAnswer(b *testing.B) {
	const n = 500_000
	s, fields := sources(b, n)
	ix, err := index.Build(context.Background(), fields["number"], 0)
	require.NoError(b, err)
	for _, expr := range []string{"number == 7", "number < -490", "number < 0", "number < 490"} {
		e, err := filter.Parse(expr, s, nil)
		require.NoError(b, err)
		terms, _ := e.Terms()
		b.Run(expr, func(b *testing.B) {
			for b.Loop() {
				if _, ok := ix.Answer(terms[0]); !ok {
					b.Fatal("no answer")
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	_, fields := sources(b, 200_000)
	for _, name := range []string{"number", "text", "tags"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := index.Build(context.Background(), fields[name], 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
