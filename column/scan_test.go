package column_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

func TestScanConverts(t *testing.T) {
	type inner struct {
		Must uint8 `milvus:"name:must"`
	}
	type sparse interface {
		Len() int
		Serialize() []byte
	}
	type Embedded struct {
		Word any `milvus:"name:s"`
	}
	type row struct {
		ID int `milvus:"name:id"`
		inner
		*Embedded
		F    float64            `milvus:"name:f"`
		D    *float32           `milvus:"name:d"`
		Doc  map[string]any     `milvus:"name:doc"`
		Ints []any              `milvus:"name:ints"`
		Word [2]string          `milvus:"name:words"`
		V    [2]float64         `milvus:"name:v"`
		H    []byte             `milvus:"name:h"`
		B    [4]byte            `milvus:"name:b"`
		Q    []int              `milvus:"name:q"`
		Bits []byte             `milvus:"name:bits"`
		Sp   map[uint32]float32 `milvus:"name:sp"`
		Keep string             `milvus:"name:not_there"`
	}
	rows := column.NewRows(wideBatch(t).Columns()...)
	got := row{Keep: "kept"}
	require.NoError(t, rows.At(0).Scan(&got))
	require.Equal(t, row{
		ID: 1, inner: inner{7}, Embedded: &Embedded{"é"}, F: 1.5, D: p(float32(2.5)), Doc: map[string]any{}, Ints: []any{int32(1), int32(2)},
		Word: [2]string{"a", ""}, V: [2]float64{1, 2}, H: []byte{0, 0x3c, 0, 0x40}, B: [4]byte{0x80, 0x3f, 0, 0x40},
		Q: []int{1, 2}, Bits: []byte{1, 2}, Sp: map[uint32]float32{3: 1, 9: 2}, Keep: "kept",
	}, got)

	var pointer *struct {
		Sp sparse          `milvus:"name:sp"`
		D  json.RawMessage `milvus:"name:doc"`
	}
	require.NoError(t, rows.At(1).Scan(&pointer))
	require.Equal(t, 0, pointer.Sp.Len())
	require.Equal(t, json.RawMessage("[1]"), pointer.D)

	// Nothing that was scanned shares the rows' memory.
	clear(rows.Column("bits").Data().Fixed)
	require.Equal(t, []byte{1, 2}, got.Bits)
}

func TestScanRefuses(t *testing.T) {
	rows := column.NewRows(wideBatch(t).Columns()...)
	scan := func(dst any, text string) {
		t.Helper()
		err := rows.At(1).Scan(dst)
		require.ErrorIs(t, err, schema.ErrInvalid)
		require.ErrorContains(t, err, text)
	}
	scan(nil, "scan into <nil>")
	scan(struct{}{}, "want a pointer to a struct")
	scan(new(int), "scan into *int")
	scan((*map[string]any)(nil), "want a pointer")
	scan(&struct {
		ID uint64 `milvus:"name:id"`
	}{}, `field "id", row 1: -2 does not fit uint64`)
	scan(&struct {
		M int8 `milvus:"name:i32"`
		D float32
		S string `milvus:"name:f"`
	}{}, `field "f", row 1: float32 does not convert to string`)
	scan(&struct {
		S string `milvus:"name:s"`
	}{}, `field "s", row 1: value is null, which string cannot hold; use a pointer`)
	scan(&struct {
		S [3]float32 `milvus:"name:v"`
	}{}, "2 elements do not fit [3]float32")
	scan(&struct {
		S int `milvus:"name:v"`
	}{}, "[]float32 does not convert to int")
	scan(&struct {
		S int `milvus:"name:doc"`
	}{}, "cannot unmarshal array")
	scan(&struct {
		S []int `milvus:"name:words"`
	}{}, "element 0: string does not convert to int")
	scan(&struct {
		S error `milvus:"name:id"`
	}{}, "Int64 does not convert to error")
	scan(&struct {
		S int `milvus:"nonsense"`
	}{}, "unknown tag setting")
	require.ErrorIs(t, column.Row{}.Scan(new(map[string]any)), schema.ErrInvalid)
	_, err := column.Collect[struct {
		ID uint8 `milvus:"name:id"`
	}](rows)
	require.ErrorIs(t, err, schema.ErrInvalid)
}

func TestRow(t *testing.T) {
	rows := column.NewRows(wideBatch(t).Columns()...)
	require.Equal(t, 2, rows.Len())
	require.Len(t, rows.Columns(), 19)
	require.Nil(t, rows.Column("nothing"))
	for i, row := range rows.All() {
		require.Equal(t, rows.At(i), row)
		break
	}
	row := rows.At(1)
	require.Zero(t, row.String("id"), "another type")
	require.Zero(t, row.Int64("s"))
	require.Zero(t, row.Float64("id"))
	require.Nil(t, row.JSON("id"))
	require.Nil(t, row.Value("nothing"))
	require.Nil(t, row.JSON("nothing"))
	require.Nil(t, row.Value("i8"))
	require.Equal(t, "[1]", string(row.JSON("doc")))
	require.Equal(t, -2.5, row.Float64("d"))
	require.True(t, row.Has("i8"))
	require.Zero(t, column.Row{}.Value("x"))
	require.Nil(t, column.Row{}.JSON("x"))
	require.False(t, column.Row{}.Has("x"))
	require.Zero(t, column.NewRows().Len())
}
