package column_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

func finish(t testing.TB, s *schema.Schema) *schema.Schema {
	f, err := s.Finish()
	require.NoError(t, err)
	return f
}

func bookSchema(t testing.TB, dim int) *schema.Schema {
	return finish(t, schema.New("books").With(schema.Int64("id").PrimaryKey(), schema.VarChar("title", 64).Nullable(),
		schema.FloatVector("vector", dim)))
}

// bookColumns returns n rows of bookSchema.
func bookColumns(n, dim int) []*column.Column {
	ids, titles, vectors := make([]int64, n), make([]string, n), make([]float32, n*dim)
	for i := range ids {
		ids[i], titles[i] = int64(i), fmt.Sprintf("title %d", i)
	}
	for i := range vectors {
		vectors[i] = float32(i%97) / 97
	}
	return []*column.Column{column.Int64("id", ids), column.VarChar("title", titles), column.FloatVectorFlat("vector", dim, vectors)}
}

func TestBuildEncodeDecode(t *testing.T) {
	s := bookSchema(t, 4)
	cols := bookColumns(5, 4)
	cols[1].WithValid([]bool{true, false, true, true, true})
	b, err := column.Build(s, cols, column.BuildOptions{})
	require.NoError(t, err)
	require.Equal(t, 5, b.Rows)
	require.Equal(t, column.IntKeys(0, 1, 2, 3, 4), b.Keys())

	enc := b.AppendEncode([]byte("12345678"))[8:]
	require.Len(t, enc, b.EncodedLen())
	got, rest, err := column.DecodeBatch(s, append(enc, "rest"...))
	require.NoError(t, err)
	require.Equal(t, "rest", string(rest))
	require.Equal(t, enc, got.AppendEncode(nil))
	require.Equal(t, []any{"title 0", nil, "title 2", "title 3", "title 4"}, values(got.Columns()[1]))
	require.Equal(t, []float32{float32(4) / 97, float32(5) / 97, float32(6) / 97, float32(7) / 97}, got.Columns()[2].Value(1))

	p := got.Pick([]uint32{4, 1, 1})
	require.Equal(t, []any{"title 4", nil, nil}, values(p.Columns()[1]))
	require.Equal(t, []int64{4, 1, 1}, p.Keys().Ints)
}

func values(c *column.Column) []any {
	var v []any
	for i := range c.Len() {
		v = append(v, c.Value(i))
	}
	return v
}

func BenchmarkBuild(b *testing.B) {
	s := bookSchema(b, 100)
	cols := bookColumns(1000, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := column.Build(s, cols, column.BuildOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEncode(b *testing.B) {
	batch, err := column.Build(bookSchema(b, 100), bookColumns(1000, 100), column.BuildOptions{})
	require.NoError(b, err)
	buf := make([]byte, 0, batch.EncodedLen())
	b.SetBytes(int64(batch.EncodedLen()))
	b.ReportAllocs()
	for b.Loop() {
		buf = batch.AppendEncode(buf[:0])
	}
}

func BenchmarkDecodeBatch(b *testing.B) {
	s := bookSchema(b, 100)
	batch, err := column.Build(s, bookColumns(1000, 100), column.BuildOptions{})
	require.NoError(b, err)
	buf := batch.AppendEncode(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := column.DecodeBatch(s, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildRows(b *testing.B) {
	type book struct {
		ID     int64     `milvus:"name:id"`
		Title  string    `milvus:"name:title"`
		Vector []float32 `milvus:"name:vector"`
	}
	s := bookSchema(b, 100)
	structs, maps := make([]book, 1000), make([]map[string]any, 1000)
	for i := range structs {
		structs[i] = book{ID: int64(i), Title: fmt.Sprintf("title %d", i), Vector: make([]float32, 100)}
		maps[i] = map[string]any{"id": int64(i), "title": structs[i].Title, "vector": structs[i].Vector}
	}
	for name, rows := range map[string]any{"structs": structs, "maps": maps} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := column.BuildRows(s, rows, column.BuildOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCollect(b *testing.B) {
	type book struct {
		ID     int64     `milvus:"name:id"`
		Title  string    `milvus:"name:title"`
		Vector []float32 `milvus:"name:vector"`
	}
	batch, err := column.Build(bookSchema(b, 100), bookColumns(1000, 100), column.BuildOptions{})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := column.Collect[book](column.NewRows(batch.Columns()...)); err != nil {
			b.Fatal(err)
		}
	}
}
