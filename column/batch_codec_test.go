package column_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

// wideColumns draws columns of the schema of wide.
func wideColumns(t *rapid.T) []*column.Column {
	n := rapid.IntRange(1, 12).Draw(t, "rows")
	finite32 := rapid.Float32Range(-65000, 65000)
	cols := []*column.Column{
		column.Int64("id", draw(t, n, rapid.Int64())),
		column.Bool("flag", draw(t, n, rapid.Bool())),
		column.Int8("i8", draw(t, n, rapid.Int8())),
		column.Int16("i16", draw(t, n, rapid.Int16())),
		column.Int32("i32", draw(t, n, rapid.Int32())),
		column.Float("f", draw(t, n, rapid.Float32Range(-math.MaxFloat32, math.MaxFloat32))),
		column.Double("d", draw(t, n, rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64))),
		column.VarChar("s", draw(t, n, rapid.StringN(0, 4, 8))),
		column.JSON("doc", draw(t, n, rapid.SampledFrom([][]byte{[]byte("{}"), []byte(`{"a":[1,"é"]}`), []byte("null"), []byte("-1.5")}))),
		column.Array("ints", draw(t, n, rapid.SliceOfN(rapid.Int32(), 0, 3))),
		column.Array("floats", draw(t, n, rapid.SliceOfN(finite32, 0, 3))),
		column.Array("words", draw(t, n, rapid.SliceOfN(rapid.StringN(0, 2, 4), 0, 3))),
		column.FloatVector("v", 2, draw(t, n, rapid.SliceOfN(finite32, 2, 2))),
		column.Float16Vector("h", 2, draw(t, n, rapid.SliceOfN(finite32, 2, 2))),
		column.BFloat16Vector("b", 2, draw(t, n, rapid.SliceOfN(finite32, 2, 2))),
		column.Int8Vector("q", 2, draw(t, n, rapid.SliceOfN(rapid.Int8(), 2, 2))),
		column.BinaryVector("bits", 16, draw(t, n, rapid.SliceOfN(rapid.Byte(), 2, 2))),
		column.SparseFloatVector("sp", draw(t, n, rapid.Custom(func(t *rapid.T) column.Sparse {
			var s column.Sparse
			index := uint32(0)
			for range rapid.IntRange(0, 3).Draw(t, "pairs") {
				index += rapid.Uint32Range(1, 1000).Draw(t, "step")
				s.Indices, s.Values = append(s.Indices, index), append(s.Values, finite32.Draw(t, "value"))
			}
			return s
		}))),
		column.Int32("must", draw(t, n, rapid.Int32())),
	}
	kept := cols[:0]
	for i, c := range cols {
		optional := i > 0 && i < len(cols)-1
		if optional && rapid.Bool().Draw(t, "nulls in "+c.Name()) {
			c.WithValid(draw(t, n, rapid.Bool()))
		}
		if !optional || rapid.IntRange(0, 5).Draw(t, "leave out") > 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

func draw[T any](t *rapid.T, n int, g *rapid.Generator[T]) []T {
	return rapid.SliceOfN(g, n, n).Draw(t, "values")
}

// Columns, the batch, its encoding, rows read from it and a batch of these rows all hold the same values.
func TestRoundTrips(t *testing.T) {
	s := wide(t)
	rapid.Check(t, func(t *rapid.T) {
		cols := wideColumns(t)
		b, err := column.Build(s, cols, column.BuildOptions{})
		require.NoError(t, err)
		for _, c := range cols {
			got := b.Columns()[s.Index(c.Name())]
			require.Equal(t, values(c), values(got), c.Name())
			for i := range c.Len() {
				require.Equal(t, c.IsNull(i), got.IsNull(i))
			}
		}

		enc := b.AppendEncode(nil)
		require.Len(t, enc, b.EncodedLen())
		require.Zero(t, len(enc)%8)
		shift := rapid.IntRange(0, 7).Draw(t, "shift")
		decoded, rest, err := column.DecodeBatch(s, append(append(make([]byte, shift), enc...), 'x')[shift:])
		require.NoError(t, err)
		require.Equal(t, "x", string(rest))
		require.Equal(t, enc, decoded.AppendEncode(nil))
		require.Equal(t, b.Bytes(), decoded.Bytes())

		maps, err := column.Collect[map[string]any](column.NewRows(decoded.Columns()...))
		require.NoError(t, err)
		again, err := column.BuildRows(s, maps, column.BuildOptions{})
		require.NoError(t, err)
		require.Equal(t, enc, again.AppendEncode(nil))

		// A slice encodes as the rows gathered do, and so does what a Builder made of pieces.
		lo := rapid.IntRange(0, b.Rows-1).Draw(t, "lo")
		hi := rapid.IntRange(lo+1, b.Rows).Draw(t, "hi")
		part, picked := b.Slice(lo, hi), b.Pick(sequence(lo, hi))
		require.Equal(t, picked.AppendEncode(nil), part.AppendEncode(nil))
		built := &column.Batch{Schema: s, Rows: hi - lo}
		for _, d := range b.Cols {
			x := column.NewBuilder(d.Width, d.Valid != nil)
			x.AppendData(d, 0, lo)
			x.Reset()
			middle := (lo + hi) / 2
			x.AppendData(d, lo, middle)
			for i := middle; i < hi; i++ {
				x.AppendRow(d, i)
			}
			built.Cols = append(built.Cols, x.Data())
		}
		require.Equal(t, picked.AppendEncode(nil), built.AppendEncode(nil))
	})
}

// A later schema reads batches that were written before its fields were added, or before others were dropped.
func TestDecodeUnderLaterSchema(t *testing.T) {
	s := bookSchema(t, 2)
	b, err := column.Build(s, bookColumns(3, 2), column.BuildOptions{})
	require.NoError(t, err)
	enc := b.AppendEncode(nil)

	later := s.Clone()
	later.Fields = append(later.Fields[:1:1], later.Fields[2],
		schema.Int16("stock").Default(7), schema.VarChar("shelf", 9).Default("A1"), schema.JSON("doc").Nullable(),
		schema.FloatVector("small", 2).Nullable(), schema.Bool("title").Nullable())
	later.Version++
	later = finish(t, later)
	got, _, err := column.DecodeBatch(later, enc)
	require.NoError(t, err)
	var names []string
	for i, c := range got.Columns() {
		names = append(names, fmt.Sprint(later.Fields[i].Name, values(c)))
	}
	require.Equal(t, []string{
		"id[0 1 2]", fmt.Sprint("vector", values(b.Columns()[2])), "stock[7 7 7]", "shelf[A1 A1 A1]", "doc[<nil> <nil> <nil>]",
		"small[<nil> <nil> <nil>]", "title[<nil> <nil> <nil>]",
	}, names, "the new title is another field than the old one")

	strict := s.Clone()
	strict.Fields = append(strict.Fields, schema.Bool("x"))
	_, _, err = column.DecodeBatch(finish(t, strict), enc)
	require.ErrorIs(t, err, schema.ErrCorrupt)
	require.ErrorContains(t, err, `no column for field "x"`)

	other := bookSchema(t, 3)
	_, _, err = column.DecodeBatch(other, enc)
	require.ErrorContains(t, err, `does not fit field "vector"`)
}

// Every cut and every flipped byte is refused or leaves a batch that can be read; nothing panics. Whoever stores batches
// has a CRC to find the flips that make other values.
func TestDecodeDamaged(t *testing.T) {
	s := wide(t)
	enc := wideBatch(t).AppendEncode(nil)
	for n := range enc {
		_, _, err := column.DecodeBatch(s, enc[:n])
		require.ErrorIs(t, err, schema.ErrCorrupt)
	}
	for i := range enc {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := append([]byte(nil), enc...)
			bad[i] ^= flip
			readAll(t, s, bad)
		}
	}
}

// wideBatch is a fixed batch with all types and with nulls.
func wideBatch(t testing.TB) *column.Batch {
	half := []bool{true, false}
	b, err := column.Build(wide(t), []*column.Column{
		column.Int64("id", []int64{1, -2}),
		column.Bool("flag", []bool{true, false}),
		column.Int8("i8", []int8{-8, 8}).WithValid(half),
		column.Int16("i16", []int16{-16, 16}),
		column.Int32("i32", []int32{-32, 32}),
		column.Float("f", []float32{1.5, -1.5}),
		column.Double("d", []float64{2.5, -2.5}),
		column.VarChar("s", []string{"é", ""}).WithValid(half),
		column.JSON("doc", [][]byte{[]byte("{}"), []byte("[1]")}),
		column.Array("ints", [][]int32{{1, 2}, {}}),
		column.Array("words", [][]string{{"a", ""}, {"bcde"}}),
		column.FloatVectorFlat("v", 2, []float32{1, 2, 3, 4}),
		column.Float16Vector("h", 2, [][]float32{{1, 2}, {3, 4}}),
		column.BFloat16Vector("b", 2, [][]float32{{1, 2}, {3, 4}}),
		column.Int8VectorFlat("q", 2, []int8{1, 2, 3, 4}),
		column.BinaryVectorFlat("bits", 16, []byte{1, 2, 3, 4}),
		column.SparseFloatVector("sp", []column.Sparse{{Indices: []uint32{3, 9}, Values: []float32{1, 2}}, {}}),
		column.Int32("must", []int32{7, 8}),
	}, column.BuildOptions{})
	require.NoError(t, err)
	return b
}

// readAll decodes b and, if that works, reads every value in every way.
func readAll(t testing.TB, s *schema.Schema, buf []byte) {
	b, _, err := column.DecodeBatch(s, buf)
	if err != nil {
		require.ErrorIs(t, err, schema.ErrCorrupt)
		return
	}
	b.Keys().FirstDuplicate()
	rows := column.NewRows(b.Columns()...)
	for _, c := range b.Columns() {
		values(c)
		c.Bools()
		c.Strings()
		c.JSONs()
		c.FloatVectors()
	}
	for _, row := range rows.All() {
		var m map[string]any
		_ = row.Scan(&m)
	}
	again, _, err := column.DecodeBatch(s, b.AppendEncode(nil))
	require.NoError(t, err)
	require.Equal(t, b.Rows, again.Rows)
}

func FuzzDecodeBatch(f *testing.F) {
	s := wide(f)
	f.Add(wideBatch(f).AppendEncode(nil))
	f.Add([]byte("SLKB"))
	f.Fuzz(func(t *testing.T, b []byte) { readAll(t, s, b) })
}

func TestDecodeRefuses(t *testing.T) {
	s := wide(t)
	enc := wideBatch(t).AppendEncode(nil)
	le := binary.LittleEndian
	for _, c := range []struct {
		name string
		bad  func(b []byte)
		text string
	}{
		{"mark", func(b []byte) { b[0] = 'X' }, "no \"SLKB\" mark"},
		{"format", func(b []byte) { b[4] = 2 }, "format 2, this program reads 1"},
		{"columns", func(b []byte) { le.PutUint16(b[6:], 0) }, "0 columns"},
		{"many columns", func(b []byte) { le.PutUint16(b[6:], 1025) }, "1025 columns"},
		{"rows", func(b []byte) { le.PutUint32(b[8:], 1<<31) }, "2147483648 rows"},
		{"more rows", func(b []byte) { le.PutUint32(b[8:], 1<<30) }, "rows"},
		{"length", func(b []byte) { le.PutUint64(b[16:], uint64(len(b)+8)) }, "length"},
		{"huge length", func(b []byte) { le.PutUint64(b[16:], math.MaxUint64-7) }, "length"},
		{"size", func(b []byte) { le.PutUint64(b[24+8:], math.MaxUint64) }, "bytes of values"},
		{"width", func(b []byte) { le.PutUint32(b[24+16:], 1<<31) }, "width 2147483648"},
		{"type", func(b []byte) { b[24+20] = 6 }, "does not fit field"},
		{"flags", func(b []byte) { b[24+21] = 2 }, "unknown flags"},
		{"same id", func(b []byte) { copy(b[24+24:24+48], b[24:48]) }, ""},
	} {
		b := append([]byte(nil), enc...)
		c.bad(b)
		_, _, err := column.DecodeBatch(s, b)
		require.ErrorIs(t, err, schema.ErrCorrupt, c.name)
		require.ErrorContains(t, err, c.text, c.name)
	}
}

// The golden file is read for ever; a new format gets a file of its own.
func TestGoldenBatch(t *testing.T) {
	const path = "testdata/batch-1.hex"
	b := wideBatch(t)
	if os.Getenv("SELKIE_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(hex.Dump(b.AppendEncode(nil))), 0o644))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(text), hex.Dump(b.AppendEncode(nil)))

	var raw []byte // read from the file, not from what this program writes
	for line := range strings.Lines(string(text)) {
		digits := strings.ReplaceAll(line[10:58], " ", "")
		part, err := hex.DecodeString(digits)
		require.NoError(t, err)
		raw = append(raw, part...)
	}
	got, rest, err := column.DecodeBatch(wide(t), raw)
	require.NoError(t, err)
	require.Empty(t, rest)
	for i, c := range b.Columns() {
		require.Equal(t, values(c), values(got.Columns()[i]), c.Name())
	}
}
