package engine_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

var updateGolden = flag.Bool("update", false, "write the golden store of the current format versions")

// goldenStores are opened forever. A format whose version rises gets a new one; the old ones are never written again.
var goldenStores = []string{"v1"}

func goldenPath(version string) string {
	return filepath.Join("testdata", "golden", version, "store.tar.gz")
}

// goldenOptions keep the log files small, and the clock where generated keys come out the same.
func goldenOptions() *engine.Options {
	return &engine.Options{
		LogFileBytes: 64 << 10,
		CompactBytes: -1,
		Now:          func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
}

// goldenOp is a step in the life of the collection "everything": on the rows lo, lo+step, ... below hi, or on all that is there.
type goldenOp struct {
	part         string
	verb         string // insert, upsert, delete, flush, reopen
	lo, hi, step int64
	revision     int64 // what an upsert changes
}

// goldenLife leaves sealed segments, tombstones in the catalogue and in the log, and growing rows with and without tombstones,
// in two partitions of two shards.
var goldenLife = []goldenOp{
	{part: "named", verb: "insert", lo: 0, hi: 200, step: 1},
	{part: "_default", verb: "insert", lo: 1000, hi: 1100, step: 1},
	{part: "_default", verb: "flush"},
	{part: "named", verb: "flush"},
	{part: "named", verb: "delete", lo: 3, hi: 200, step: 7},
	{part: "named", verb: "flush"},
	{part: "named", verb: "insert", lo: 200, hi: 260, step: 1},
	{part: "named", verb: "upsert", lo: 5, hi: 200, step: 20, revision: 1},
	{part: "named", verb: "flush"},
	{verb: "reopen"},
	{part: "named", verb: "delete", lo: 4, hi: 260, step: 11},
	{part: "_default", verb: "insert", lo: 2000, hi: 2040, step: 1},
	{part: "_default", verb: "upsert", lo: 1000, hi: 1100, step: 25, revision: 1},
	{part: "_default", verb: "delete", lo: 2000, hi: 2040, step: 9},
	{part: "named", verb: "upsert", lo: 1051, hi: 1053, step: 1, revision: 2}, // rows move to another partition
}

func (op goldenOp) ids() []int64 {
	var ids []int64
	for id := op.lo; id < op.hi; id += op.step {
		ids = append(ids, id)
	}
	return ids
}

// goldenModel is what the life must leave: partition → id → revision, and which rows are sealed.
type goldenModel struct {
	rows   map[string]map[int64]int64
	sealed map[string]map[int64]bool
}

func modelOfGolden() goldenModel {
	m := goldenModel{map[string]map[int64]int64{}, map[string]map[int64]bool{}}
	for _, part := range []string{"_default", "named"} {
		m.rows[part], m.sealed[part] = map[int64]int64{}, map[int64]bool{}
	}
	for _, op := range goldenLife {
		for _, id := range op.ids() {
			for part := range m.rows {
				if op.verb == "upsert" || op.verb == "delete" && part == op.part {
					delete(m.rows[part], id)
					delete(m.sealed[part], id)
				}
			}
			if op.verb == "insert" || op.verb == "upsert" {
				m.rows[op.part][id] = op.revision
			}
		}
		if op.verb == "flush" {
			for id := range m.rows[op.part] {
				m.sealed[op.part][id] = true
			}
		}
	}
	return m
}

// everything is a schema with a field of each type.
func everything() *schema.Schema {
	return schema.New("everything").Describe("a field of each type").With(
		schema.Int64("id").PrimaryKey(),
		schema.Int64("revision"),
		schema.Bool("bool"),
		schema.Int8("int8"),
		schema.Int16("int16"),
		schema.Int32("int32"),
		schema.Float("float"),
		schema.Double("double"),
		schema.VarChar("varchar", 200),
		schema.JSON("json"),
		schema.VarChar("maybe", 20).Nullable(),
		schema.Int32("preset").Default(42),
		schema.Array("bools", schema.TypeBool, 8),
		schema.Array("int64s", schema.TypeInt64, 8),
		schema.Array("floats", schema.TypeFloat, 8),
		schema.Array("strings", schema.TypeVarChar, 8).MaxElementLength(20),
		schema.FloatVector("floatvector", 6),
		schema.Float16Vector("float16vector", 6),
		schema.BFloat16Vector("bfloat16vector", 6),
		schema.Int8Vector("int8vector", 6),
		schema.BinaryVector("binaryvector", 16),
		schema.SparseFloatVector("sparsevector"),
	).EnableDynamicField().WithShards(2)
}

// goldenRow is a row of "everything", in the types that reading gives.
func goldenRow(id, revision int64) map[string]any {
	n := id + 1000*revision
	floats := make([]float32, 6)
	bytes8 := make([]int8, 6)
	for i := range floats {
		floats[i] = float32((n+int64(i))%64) - 31.5 // exact in 16 bits, too
		bytes8[i] = int8(n * int64(i+1))
	}
	row := map[string]any{
		"id": id, "revision": revision,
		"bool": n%2 == 1, "int8": int8(n), "int16": int16(n * 31), "int32": int32(n * 65537), "float": float32(n) / 3, "double": float64(n) / 7,
		"varchar":     strings.Repeat(fmt.Sprintf("row %d ", n), int(n%5)),
		"json":        []byte(fmt.Sprintf(`{"n":%d,"list":[1,"zwei",null]}`, n)),
		"maybe":       any(nil),
		"preset":      int32(42),
		"bools":       []bool{true, n%3 == 0},
		"int64s":      []int64{n, -n, n * n},
		"floats":      []float32{float32(n) / 2},
		"strings":     []string{"a", "", fmt.Sprint("ß", n)},
		"floatvector": floats, "float16vector": floats, "bfloat16vector": floats,
		"int8vector":   bytes8,
		"binaryvector": []byte{byte(n), byte(n >> 3)},
		"sparsevector": column.Sparse{Indices: []uint32{1, uint32(n) + 2, 4_000_000_000}, Values: []float32{0.5, float32(n), -1}},
	}
	if n%4 == 0 {
		row["maybe"] = fmt.Sprint("value ", n)
		row["preset"] = int32(n)
	}
	if n%3 == 0 {
		row["extra"] = fmt.Sprint("dynamic ", n)
	}
	return row
}

// goldenInput is the row as it is inserted: what defaults and nulls fill in is left out.
func goldenInput(id, revision int64) map[string]any {
	row := goldenRow(id, revision)
	if row["maybe"] == nil {
		delete(row, "maybe")
		delete(row, "preset")
	}
	return row
}

func writeGoldenStore(t *testing.T, dir string) {
	ctx := context.Background()
	open := func() *engine.Engine {
		eng, err := engine.Open(dir, goldenOptions())
		require.NoError(t, err)
		return eng
	}
	eng := open()
	create := func(s *schema.Schema) *engine.Collection {
		c, err := eng.CreateCollection(ctx, s)
		require.NoError(t, err)
		return c
	}
	create(schema.New("gone").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("v", 2)))
	coll := create(everything())
	_, err := coll.CreatePartition(ctx, "first")
	require.NoError(t, err)
	require.NoError(t, coll.RenamePartition(ctx, "first", "named"))
	require.NoError(t, eng.DropCollection(ctx, "gone"))

	// Strings as keys, each twice; a partition key; rows sealed and growing.
	keyed := create(schema.New("keyed").With(
		schema.VarChar("name", 30).PrimaryKey(), schema.Int64("tenant").PartitionKey(), schema.Int64("copy"), schema.FloatVector("v", 2),
	).WithPartitions(3).WithDuplicateKeys())
	for i := range int64(2) {
		var rows []map[string]any
		for id := range int64(30) {
			rows = append(rows, map[string]any{"name": fmt.Sprint("name ", id), "tenant": id % 5, "copy": i, "v": []float32{float32(id), float32(i)}})
		}
		_, err := keyed.InsertRows(ctx, rows)
		require.NoError(t, err)
		if i == 0 {
			_, err := keyed.Flush(ctx)
			require.NoError(t, err)
		}
	}
	_, err = keyed.Delete(ctx, column.StringKeys("name 7"))
	require.NoError(t, err)

	// Generated keys, and vectors that take a table of their own.
	wide := create(schema.New("wide").With(schema.Int64("id").PrimaryKey().AutoID(), schema.FloatVector("v", 1024)))
	_, err = wide.Insert(ctx, column.FloatVectorFlat("v", 1024, wideVectors()))
	require.NoError(t, err)
	_, err = wide.Flush(ctx)
	require.NoError(t, err)

	for _, op := range goldenLife {
		if op.verb == "reopen" {
			require.NoError(t, eng.Close())
			eng = open()
			continue
		}
		coll, err := eng.Collection("everything")
		require.NoError(t, err)
		part, err := coll.Partition(op.part)
		require.NoError(t, err)
		var rows []map[string]any
		for _, id := range op.ids() {
			rows = append(rows, goldenInput(id, op.revision))
		}
		switch op.verb {
		case "insert":
			_, err = part.InsertRows(ctx, rows)
		case "upsert":
			_, err = part.UpsertRows(ctx, rows)
		case "delete":
			_, err = part.Delete(ctx, column.IntKeys(op.ids()...))
		case "flush":
			_, err = part.Flush(ctx)
		}
		require.NoError(t, err, "%+v", op)
	}
	require.NoError(t, eng.Close())
}

const wideRows = 300

func wideVectors() []float32 {
	v := make([]float32, wideRows*1024)
	for i := range v {
		v[i] = float32(i / 1024)
	}
	return v
}

// TestGoldenStore opens a store of each format version and finds every row, read-only and for writing. With -update it writes that
// of the newest version first.
func TestGoldenStore(t *testing.T) {
	if *updateGolden {
		dir := filepath.Join(t.TempDir(), "store")
		writeGoldenStore(t, dir)
		packStore(t, dir, goldenPath(goldenStores[len(goldenStores)-1]))
	}
	for _, version := range goldenStores {
		t.Run(version, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			unpackStore(t, goldenPath(version), dir)
			before := fileSizes(t, dir)

			o := goldenOptions()
			o.ReadOnly = true
			eng, err := engine.Open(dir, o)
			require.NoError(t, err)
			checkGoldenStore(t, eng, true)
			require.NoError(t, eng.Close())
			require.Equal(t, before, fileSizes(t, dir), "a read-only open changes nothing")

			eng, err = engine.Open(dir, goldenOptions())
			require.NoError(t, err)
			checkGoldenStore(t, eng, true)
			useGoldenStore(t, eng)
			require.NoError(t, eng.Close())

			eng, err = engine.Open(dir, goldenOptions())
			require.NoError(t, err)
			checkGoldenStore(t, eng, false)
			require.NoError(t, eng.Close())
		})
	}
}

func checkGoldenStore(t *testing.T, eng *engine.Engine, untouched bool) {
	ctx := context.Background()
	require.Equal(t, []string{"everything", "keyed", "wide"}, eng.Collections())
	model := modelOfGolden()
	coll, err := eng.Collection("everything")
	require.NoError(t, err)
	want := everything()
	require.True(t, want.Equal(coll.Schema()))
	for name, rows := range model.rows {
		part, err := coll.Partition(name)
		require.NoError(t, err)
		checkGoldenRows(t, part, rows)
		n, err := part.Count(ctx)
		require.NoError(t, err)
		require.EqualValues(t, len(rows), n)
		if !untouched {
			require.EqualValues(t, len(rows), part.NumEntities())
			continue
		}
		require.EqualValues(t, len(model.sealed[name]), part.NumEntities())
		st := part.Stats()
		require.Positive(t, st.Growing, "partition %s", name)
		require.Positive(t, st.Sealed, "partition %s", name)
		require.Greater(t, st.Deleted, int64(1), "partition %s", name)
	}
	checkGoldenKeyed(t, eng)
	checkGoldenWide(t, eng, untouched)
}

// checkGoldenRows compares every row as iteration, lookup and search find it.
func checkGoldenRows(t *testing.T, part *engine.Partition, rows map[int64]int64) {
	ctx := context.Background()
	ids := slices.Sorted(maps.Keys(rows))
	i := 0
	for row, err := range part.All(ctx, "*") {
		require.NoError(t, err)
		require.Less(t, i, len(ids), "partition %s", part.Name())
		got := map[string]any{}
		require.NoError(t, row.Scan(&got))
		require.Equal(t, goldenRow(ids[i], rows[ids[i]]), got)
		i++
	}
	require.Equal(t, len(ids), i)

	found, err := part.Get(ctx, column.IntKeys(ids...), "revision")
	require.NoError(t, err)
	require.Equal(t, len(ids), found.Len())
	for i, row := range found.All() {
		require.Equal(t, ids[i], row.Int64("id"))
		require.Equal(t, rows[ids[i]], row.Int64("revision"))
	}
	for _, id := range []int64{ids[0], ids[len(ids)/2], ids[len(ids)-1]} {
		sparse := goldenRow(id, rows[id])["sparsevector"].(column.Sparse)
		alone := column.Sparse{Indices: sparse.Indices[1:2], Values: []float32{1}} // no other row of the partition has this index
		hits, err := part.Search(ctx, query.Nearest("sparsevector", alone).Metric(vector.IP).Limit(1))
		require.NoError(t, err)
		require.Equal(t, sparse.Values[1], hits[0].Score)
	}
}

func checkGoldenKeyed(t *testing.T, eng *engine.Engine) {
	coll, err := eng.Collection("keyed")
	require.NoError(t, err)
	const line = "%s, tenant %d, copy %d, %v"
	var got, want []string
	for row, err := range coll.All(context.Background(), "*") {
		require.NoError(t, err)
		got = append(got, fmt.Sprintf(line, row.String("name"), row.Int64("tenant"), row.Int64("copy"), row.FloatVector("v")))
	}
	for id := range int64(30) {
		for i := range int64(2) {
			if id != 7 {
				want = append(want, fmt.Sprintf(line, fmt.Sprint("name ", id), id%5, i, []float32{float32(id), float32(i)}))
			}
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(t, want, got)
}

func checkGoldenWide(t *testing.T, eng *engine.Engine, untouched bool) {
	coll, err := eng.Collection("wide")
	require.NoError(t, err)
	const first = int64(463267587686400000) // the clock of goldenOptions
	all := wideVectors()
	n := 0
	for row, err := range coll.All(context.Background(), "v") {
		require.NoError(t, err)
		require.Equal(t, first+int64(n), row.Int64("id"))
		if n < wideRows {
			require.Equal(t, all[n*1024:(n+1)*1024], row.FloatVector("v"))
		}
		n++
	}
	if untouched {
		require.Equal(t, wideRows, n)
	} else {
		require.Equal(t, wideRows+1, n, "useGoldenStore added one")
	}
}

// useGoldenStore writes to the store of an older version, and flushes all of it.
func useGoldenStore(t *testing.T, eng *engine.Engine) {
	ctx := context.Background()
	wide, err := eng.Collection("wide")
	require.NoError(t, err)
	_, err = wide.Insert(ctx, column.FloatVectorFlat("v", 1024, make([]float32, 1024)))
	require.NoError(t, err)
	coll, err := eng.Collection("everything")
	require.NoError(t, err)
	part, err := coll.Partition("named")
	require.NoError(t, err)
	_, err = part.InsertRows(ctx, []map[string]any{goldenInput(0, 0)})
	require.ErrorIs(t, err, engine.ErrDuplicateKey)
	for _, name := range eng.Collections() {
		c, err := eng.Collection(name)
		require.NoError(t, err)
		_, err = c.Flush(ctx)
		require.NoError(t, err)
	}
}

func fileSizes(t *testing.T, dir string) map[string]int64 {
	sizes := map[string]int64{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, err := d.Info()
			require.NoError(t, err)
			sizes[path] = info.Size()
		}
		return err
	}))
	return sizes
}

// packStore writes a directory as an archive. What names the process that wrote it is left out.
func packStore(t *testing.T, dir, to string) {
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	require.NoError(t, err)
	w := tar.NewWriter(zip)
	for _, path := range slices.Sorted(maps.Keys(fileSizes(t, dir))) {
		rel, err := filepath.Rel(dir, path)
		require.NoError(t, err)
		if strings.HasPrefix(rel, "LOCK") {
			continue
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o644, Size: int64(len(raw))}))
		_, err = w.Write(raw)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, zip.Close())
	require.Less(t, out.Len(), 300_000, "the golden store is to stay small")
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
	require.NoError(t, os.WriteFile(to, out.Bytes(), 0o644))
}

func unpackStore(t *testing.T, from, dir string) {
	f, err := os.Open(from)
	require.NoError(t, err)
	defer f.Close()
	zip, err := gzip.NewReader(f)
	require.NoError(t, err)
	r := tar.NewReader(zip)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		require.NoError(t, err)
		require.True(t, filepath.IsLocal(h.Name))
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		raw, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, raw, 0o644))
	}
}

// A newer version of each format is refused with an error that names it, and the store is left as it is.
func TestNewerVersionsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		raise func(t *testing.T, dir string)
		want  string // in the error's text
		file  string // likewise
	}{
		"catalogue file": {raiseCatalogueFile, "format version 2; this program reads 1", "CATALOGUE-000001"},
		"catalogue edit": {raiseCatalogueEdit, "catalogue version 2; this program reads up to 1", "CATALOGUE-000001"},
		"segment":        {raiseSegment, "segment format version 2; this program reads up to 1", "rows.sst"},
		"log file":       {raiseLogFile, "format version 2, this code reads 1", "000001.wal"},
		"log record":     {raiseLogRecord, "log record version 2; this program reads 1", "LSN "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			eng, err := engine.Open(dir, goldenOptions())
			require.NoError(t, err)
			part := fiveEntities(t, eng)
			_, err = part.Flush(context.Background())
			require.NoError(t, err)
			_, err = part.Delete(context.Background(), column.IntKeys(0, 1))
			require.NoError(t, err)
			require.NoError(t, eng.Close())

			c.raise(t, dir)
			before := fileSizes(t, dir)
			for _, readOnly := range []bool{true, false} {
				o := goldenOptions()
				o.ReadOnly = readOnly
				_, err := engine.Open(dir, o)
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, c.file)
			}
			require.Equal(t, before, fileSizes(t, dir))
		})
	}
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func patch(t *testing.T, path string, change func(raw []byte)) {
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	change(raw)
	require.NoError(t, os.WriteFile(path, raw, 0o644))
}

func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func get32(b []byte) uint32    { return binary.LittleEndian.Uint32(b) }

// raiseFlatbuffer sets the first field of a FlatBuffer's root table, which is the version in all of ours, to 2.
func raiseFlatbuffer(b []byte) {
	table := get32(b)
	vtable := table - get32(b[table:])
	field := uint32(binary.LittleEndian.Uint16(b[vtable+4:]))
	put32(b[table+field:], 2)
}

func raiseCatalogueFile(t *testing.T, dir string) {
	patch(t, filepath.Join(dir, "CATALOGUE-000001"), func(raw []byte) {
		put32(raw[8:], 2)
		put32(raw[60:], crc32.Checksum(raw[:60], crcTable))
	})
}

// eachEdit calls change with the payload of each frame of the catalogue, and makes the frame's checksum right again.
func eachEdit(raw []byte, change func(edit []byte)) {
	for at := 128; at < len(raw); {
		n := int(get32(raw[at:]))
		change(raw[at+24 : at+24+n])
		put32(raw[at+4:], crc32.Checksum(raw[at+8:at+24+n], crcTable))
		at += (24 + n + 7) &^ 7
	}
}

func raiseCatalogueEdit(t *testing.T, dir string) {
	patch(t, filepath.Join(dir, "CATALOGUE-000001"), func(raw []byte) { eachEdit(raw, raiseFlatbuffer) })
}

// raiseSegment writes the segment's table anew with a meta of version 2, and has the catalogue name that.
func raiseSegment(t *testing.T, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "seg", "*", "rows.sst"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	type pair struct{ key, value []byte }
	var pairs []pair
	f, err := vfs.Default.Open(paths[0])
	require.NoError(t, err)
	info, err := f.Stat()
	require.NoError(t, err)
	readable, err := sstable.NewSimpleReadable(f)
	require.NoError(t, err)
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
	require.NoError(t, err)
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	require.NoError(t, err)
	for kv := it.First(); kv != nil; kv = it.Next() {
		v, _, err := kv.Value(nil)
		require.NoError(t, err)
		pairs = append(pairs, pair{bytes.Clone(kv.K.UserKey), bytes.Clone(v)})
	}
	require.NoError(t, it.Close())
	require.NoError(t, r.Close())

	meta := pairs[len(pairs)-1]
	require.EqualValues(t, 'm', meta.key[0])
	oldSum := crc32.Checksum(meta.value, crcTable)
	raiseFlatbuffer(meta.value[8:])
	put32(meta.value, crc32.Checksum(meta.value[8:], crcTable))
	newSum := crc32.Checksum(meta.value, crcTable)

	out, err := vfs.Default.Create(paths[0], vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(out), sstable.WriterOptions{TableFormat: sstable.TableFormatPebblev7})
	for _, p := range pairs {
		require.NoError(t, w.Set(p.key, p.value))
	}
	require.NoError(t, w.Close())
	size, err := os.Stat(paths[0])
	require.NoError(t, err)

	u32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	u64 := func(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }
	changed := 0
	patch(t, filepath.Join(dir, "CATALOGUE-000001"), func(raw []byte) {
		eachEdit(raw, func(edit []byte) {
			for _, swap := range [][2][]byte{{u32(oldSum), u32(newSum)}, {u64(info.Size()), u64(size.Size())}} {
				if at := bytes.Index(edit, swap[0]); at >= 0 {
					copy(edit[at:], swap[1])
					changed++
				}
			}
		})
	})
	require.Equal(t, 2, changed)
}

func raiseLogFile(t *testing.T, dir string) {
	patch(t, filepath.Join(dir, "wal", "000001.wal"), func(raw []byte) {
		put32(raw[8:], 2)
		put32(raw[4092:], crc32.Checksum(raw[:4092], crcTable))
	})
}

// raiseLogRecord raises the version of the delete.
func raiseLogRecord(t *testing.T, dir string) {
	patch(t, filepath.Join(dir, "wal", "000001.wal"), func(raw []byte) {
		for at := 4096; ; {
			n := int(get32(raw[at+4:]))
			require.NotZero(t, get32(raw[at:]), "the log holds no delete")
			payload := raw[at+40 : at+40+n]
			if raw[at+36] == 1 && payload[1] == 3 { // a data frame; a delete
				payload[0] = 2
				put32(raw[at+32:], crc32.Checksum(payload, crcTable))
				place := binary.LittleEndian.AppendUint64(nil, uint64(at))
				put32(raw[at:], crc32.Checksum(append(place, raw[at+4:at+40]...), crcTable))
				return
			}
			at += (40 + n + 7) &^ 7
		}
	})
}
