package bulk_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/bulk"
	"github.com/selkiedb/selkie/schema"
)

func TestNPYThereAndBack(t *testing.T) {
	eng := open(t)
	from, to := create(t, eng, flat("a")), create(t, eng, flat("b"))
	insert(t, from, rows(30))
	dir := t.TempDir()
	n, err := bulk.ExportNPY(t.Context(), from, "", nil, dir)
	require.NoError(t, err)
	require.EqualValues(t, 30, n)
	n, err = bulk.ImportNPY(t.Context(), to, os.DirFS(dir), bulk.Options{Batch: 7})
	require.NoError(t, err)
	require.EqualValues(t, 30, n)
	same(t, from, to, "id", "b", "i8", "i16", "i32", "f", "d", "s", "j", "fv", "hv", "bfv", "iv", "bv")
	for i, r := range rows(30) {
		got, err := to.Get(t.Context(), keys(r["id"].(int64)), "$meta")
		require.NoError(t, err)
		require.Equal(t, r["extra"], got.At(0).Value("extra"), i)
	}

	head, err := os.ReadFile(filepath.Join(dir, "fv.npy"))
	require.NoError(t, err)
	require.Equal(t, "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (30, 3), }", strings.TrimSpace(string(head[:128])))
	require.Len(t, head, 128+30*12)

	// Some fields, some rows; nothing is written over.
	some := t.TempDir()
	n, err = bulk.ExportNPY(t.Context(), from, "i8 < -126", []string{"id", "s"}, some)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	left, err := filepath.Glob(filepath.Join(some, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2)
	_, err = bulk.ExportNPY(t.Context(), from, "", []string{"id"}, some)
	require.ErrorIs(t, err, os.ErrExist)
}

func TestNPYCannotHold(t *testing.T) {
	c := create(t, open(t), full("a"))
	insert(t, c, fullRows(3))
	for _, x := range []struct {
		names []string
		want  string
	}{
		{nil, `field "a_Bool": npy cannot hold a field of type Array`},
		{[]string{"sv"}, `field "sv": npy cannot hold`},
		{[]string{"n_d"}, `field "n_d", row 1: npy has no nulls`},
		{[]string{"nothing"}, `field "nothing": no such field`},
	} {
		_, err := bulk.ExportNPY(t.Context(), c, "", x.names, t.TempDir())
		require.ErrorIs(t, err, engine.ErrInvalid)
		require.ErrorContains(t, err, x.want)
	}
}

// npy makes a file as numpy does.
func npy(descr, shape string, values any) *fstest.MapFile {
	var b bytes.Buffer
	text := "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n"
	b.WriteString("\x93NUMPY\x01\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(len(text))))
	b.WriteString(text)
	if err := binary.Write(&b, binary.LittleEndian, values); err != nil {
		panic(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

func TestNPYOfOthers(t *testing.T) {
	s := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.Int8("i").Nullable(), schema.Float("f").Nullable(), schema.Double("d").Nullable(), schema.Bool("b").Nullable(),
		schema.VarChar("s", 3).Nullable(), schema.FloatVector("v", 2), schema.Float16Vector("h", 2).Nullable())
	id, v := npy("<i4", "(2,)", []int32{1, -2}), npy("<f8", "(2, 2)", []float64{1, 2, 3, 4})
	for _, c := range []struct {
		name string
		file *fstest.MapFile
		want string // "": it is read
	}{
		{"id", id, ""},
		{"i", npy("<i8", "(2,)", []int64{127, -128}), ""},
		{"i", npy("<u2", "(2,)", []uint16{127, 0}), ""},
		{"i", npy("<i2", "(2,)", []int16{0, 128}), `i.npy: field "i", row 1: the value does not fit Int8`},
		{"i", npy("|u1", "(2,)", []uint8{0, 128}), `row 1: the value does not fit`},
		{"i", npy("<u8", "(2,)", []uint64{math.MaxUint64, 0}), `row 0: the value does not fit`},
		{"i", npy("<f4", "(2,)", []float32{0, 1}), `a field of type Int8 cannot be read from f4`},
		{"d", npy("<f4", "(2,)", []float32{0, 1}), ""},
		{"f", npy("<f8", "(2,)", []float64{0, 1}), `a field of type Float cannot be read from f8`},
		{"f", npy("<f4", "(2,)", []float32{0, float32(math.NaN())}), `field "f", row 1`},
		{"b", npy("|b1", "(2,)", []byte{1, 0}), ""},
		{"b", npy("|b1", "(2,)", []byte{1, 2}), `field "b", row 1: 2 is neither true nor false`},
		{"s", npy("|S3", "(2,)", []byte("abcx\x00\x00")), ""},
		{"s", npy("<U2", "(2,)", []int32{'ü', 'x', 'a', 0}), ""},
		{"s", npy("<U2", "(2,)", []int32{'ü', 'ü', 'a', 0}), `field "s", row 0`},
		{"s", npy("<U1", "(2,)", []int32{'ü', 0xd800}), `field "s", row 1: 0xd800 is no character`},
		{"s", npy("|S1", "(2,)", []byte{'a', 0xff}), `field "s", row 1`},
		{"h", npy("<f2", "(2, 2)", []uint16{0x3c00, 0, 0, 0}), ""},
		{"h", npy("<f4", "(2, 2)", []float32{1, 2, 3, 4}), ""},
		{"h", npy("|u1", "(2, 4)", make([]byte, 8)), ""},
		{"v", npy("<f4", "(2, 3)", make([]float32, 6)), `a field of type FloatVector cannot be read from f4, 3 in a row`},
		{"v", npy(">f4", "(2, 2)", make([]float32, 4)), `big-endian`},
		{"v", npy("<f4", "(1, 2)", make([]float32, 2)), `v.npy has 1 rows, id.npy has 2`},
		{"v", npy("<f4", "(2, 2)", make([]float32, 3)), `the file is damaged: 2 rows of 8 bytes do not fill 12 bytes`},
		{"v", npy("<f4", "(4611686018427387904, 2)", make([]float32, 4)), `the file is damaged`},
		{"v", npy("<f4", "(1, 2, 2)", make([]float32, 4)), `one or two dimensions`},
		{"v", npy("<c8", "(2, 2)", make([]float32, 8)), `type c8 is not read`},
		{"nothing", id, `nothing.npy: field "nothing": no such field`},
	} {
		to := create(t, open(t), s)
		dir := fstest.MapFS{"id.npy": id, "v.npy": v, "readme.txt": &fstest.MapFile{}}
		dir[c.name+".npy"] = c.file
		n, err := bulk.ImportNPY(t.Context(), to, dir, bulk.Options{})
		if c.want != "" {
			require.ErrorContains(t, err, c.want)
			require.Zero(t, n)
			continue
		}
		require.NoError(t, err, c.name)
		require.EqualValues(t, 2, n)
		got, err := to.Get(t.Context(), keys(-2, 1), "*")
		require.NoError(t, err)
		require.Equal(t, []float32{3, 4, 1, 2}, got.Column("v").FloatVectors())
	}
	to := create(t, open(t), s)
	_, err := bulk.ImportNPY(t.Context(), to, fstest.MapFS{"v.npy": v}, bulk.Options{})
	require.ErrorContains(t, err, `field "id": the file does not have the primary key`)
	_, err = bulk.ImportNPY(t.Context(), to, fstest.MapFS{}, bulk.Options{})
	require.ErrorContains(t, err, "no file ends in .npy")
}

// Every head that is cut or has a flipped bit is read as what it says, or refused.
func TestDamagedNPY(t *testing.T) {
	eng := open(t)
	s := schema.New("c").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2))
	id, whole := npy("<i8", "(2,)", []int64{1, 2}), npy("<f4", "(2, 2)", make([]float32, 4)).Data
	errs := 0
	try := func(b []byte) {
		to := create(t, eng, s)
		n, err := bulk.ImportNPY(t.Context(), to, fstest.MapFS{"id.npy": id, "v.npy": &fstest.MapFile{Data: b}}, bulk.Options{})
		if err != nil {
			require.Zero(t, n)
			errs++
		} else {
			require.EqualValues(t, 2, n)
		}
		require.NoError(t, eng.DropCollection(t.Context(), "c"))
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			try(b)
		}
		before := errs
		try(whole[:i])
		require.Equal(t, before+1, errs, "%d bytes of %d", i, len(whole))
	}
	require.Greater(t, errs, 8*60)
}

func TestFvecs(t *testing.T) {
	eng := open(t)
	s := schema.New("a").With(schema.Int64("id").PrimaryKey(), schema.VarChar("s", 9).Nullable(), schema.FloatVector("v", 2))
	from, to := create(t, eng, s), create(t, eng, schema.New("b").With(s.Fields...))
	insert(t, from, []map[string]any{{"id": 10, "v": []float32{1, 2}}, {"id": 11, "v": []float32{3, 4}}, {"id": 12, "v": []float32{5, 6}}})
	var b bytes.Buffer
	n, err := bulk.ExportFvecs(t.Context(), from, "", "", &b)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.Equal(t, append([]byte{2, 0, 0, 0, 0, 0, 0x80, 0x3f}, 0, 0, 0, 0x40), b.Bytes()[:12])
	in := func(c *engine.Collection, first int64, raw []byte, o bulk.Options) (int64, error) {
		return bulk.ImportFvecs(t.Context(), c, "v", first, bytes.NewReader(raw), int64(len(raw)), o)
	}
	n, err = in(to, 10, b.Bytes(), bulk.Options{Batch: 2})
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	same(t, from, to)

	texts := create(t, eng, schema.New("texts").With(schema.VarChar("key", 20).PrimaryKey(), schema.FloatVector("v", 2)))
	_, err = in(texts, 0, b.Bytes(), bulk.Options{Skip: 2})
	require.NoError(t, err)
	require.Equal(t, 1, same(t, texts, texts))
	auto := create(t, eng, schema.New("auto").With(schema.Int64("key").PrimaryKey().AutoID(), schema.FloatVector("v", 2)))
	_, err = in(auto, 0, b.Bytes(), bulk.Options{})
	require.NoError(t, err)
	require.Equal(t, 3, same(t, auto, auto))

	_, err = in(to, 0, b.Bytes()[:35], bulk.Options{})
	require.ErrorIs(t, err, bulk.ErrDamaged)
	b.Bytes()[12] = 3
	n, err = in(to, 10, b.Bytes(), bulk.Options{Batch: 1})
	require.ErrorContains(t, err, `field "v", row 1: vector has 3 elements, the field has 2`)
	require.EqualValues(t, 1, n)
	_, err = in(to, math.MaxInt64-1, b.Bytes(), bulk.Options{})
	require.ErrorContains(t, err, "keys from here on are too many")
	_, err = bulk.ExportFvecs(t.Context(), from, "", "s", &b)
	require.ErrorContains(t, err, `field "s": no such field of type FloatVector`)
}
