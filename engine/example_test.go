package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/vector"
)

// The examples share what follows. Most keep their store in memory: Options.FS takes any file system.

var ctx = context.Background()

// ok ends an example that goes wrong.
func ok(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T {
	ok(err)
	return v
}

// inMemory opens an empty store in memory.
func inMemory() *engine.Engine {
	return must(engine.Open("data", &engine.Options{FS: vfs.NewMem()}))
}

// cities makes a partition with five cities and their places on the map.
func cities(eng *engine.Engine) *engine.Partition {
	coll := must(eng.CreateCollection(ctx, schema.New("cities").With(
		schema.Int64("id").PrimaryKey(),
		schema.VarChar("name", 64),
		schema.FloatVector("place", 2))))
	part := must(coll.CreatePartition(ctx, "europe"))
	must(part.Insert(ctx,
		column.Int64("id", []int64{1, 2, 3, 4, 5}),
		column.VarChar("name", []string{"Oslo", "Rome", "Bern", "Wien", "Riga"}),
		column.FloatVector("place", 2, [][]float32{{10.8, 59.9}, {12.5, 41.9}, {7.4, 46.9}, {16.4, 48.2}, {24.1, 56.9}})))
	return part
}

// The documented flush example of Milvus, in Go.
func Example() {
	dir := must(os.MkdirTemp("", "selkie"))
	defer os.RemoveAll(dir)

	eng, err := engine.Open(dir, nil)
	ok(err)
	defer eng.Close()

	collection, err := eng.CreateCollection(ctx, schema.New("test_collection").With(
		schema.Int64("id").PrimaryKey(),
		schema.FloatVector("vector", 5)))
	ok(err)
	partition, err := collection.CreatePartition(ctx, "test_partition")
	ok(err)
	_, err = partition.Insert(ctx,
		column.Int64("id", []int64{0, 1, 2, 3, 4}),
		column.FloatVector("vector", 5, [][]float32{
			{0.1, 0.2, -0.3, -0.4, 0.5},
			{0.3, -0.1, -0.2, -0.6, 0.7},
			{-0.6, -0.3, 0.2, 0.8, 0.7},
			{0.6, 0.2, -0.3, -0.8, 0.5},
			{0.3, 0.1, -0.2, -0.6, -0.7},
		}))
	ok(err)

	_, err = partition.Flush(ctx)
	ok(err)
	fmt.Println(partition.NumEntities())
	// Output: 5
}

func ExampleOpen() {
	dir := must(os.MkdirTemp("", "selkie"))
	defer os.RemoveAll(dir)

	eng := must(engine.Open(dir, nil)) // nil: the defaults
	part := cities(eng)
	fmt.Println(must(part.Count(ctx)))

	_, err := engine.Open(dir, nil)
	var locked *engine.LockedError
	fmt.Println(errors.Is(err, engine.ErrLocked), errors.As(err, &locked) && locked.PID == os.Getpid())

	// Close does not flush: what was inserted is in the log, and Open finds it there.
	ok(eng.Close())
	eng = must(engine.Open(dir, &engine.Options{MustExist: true}))
	defer eng.Close()
	coll := must(eng.Collection("cities"))
	fmt.Println(must(coll.Count(ctx)))
	// Output:
	// 5
	// true true
	// 5
}

func ExampleOpen_readOnly() {
	fs := vfs.NewMem()
	eng := must(engine.Open("data", &engine.Options{FS: fs}))
	cities(eng)
	ok(eng.Close())

	eng = must(engine.Open("data", &engine.Options{FS: fs, ReadOnly: true}))
	defer eng.Close()
	coll := must(eng.Collection("cities"))
	fmt.Println(must(coll.Count(ctx)))
	_, err := coll.Delete(ctx, column.IntKeys(1))
	fmt.Println(err)
	fmt.Println(errors.Is(err, engine.ErrReadOnly))
	// Output:
	// 5
	// delete: engine is read-only
	// true
}

func ExampleEngine_CreateCollection() {
	eng := inMemory()
	defer eng.Close()
	books := schema.New("books").With(
		schema.VarChar("isbn", 13).PrimaryKey(),
		schema.VarChar("title", 512),
		schema.Int32("pages").Nullable(),
		schema.Array("tags", schema.TypeVarChar, 20).MaxElementLength(32).Nullable(),
		schema.FloatVector("summary", 8))
	coll := must(eng.CreateCollection(ctx, books))
	fmt.Println(coll.Name(), len(coll.Schema().Fields), coll.Partitions()[0].Name())

	_, err := eng.CreateCollection(ctx, books)
	fmt.Println(err)
	fmt.Println(errors.Is(err, engine.ErrExists))
	_, err = eng.CreateCollection(ctx, schema.New("no-vector").With(schema.Int64("id").PrimaryKey()))
	fmt.Println(err)
	// Output:
	// books 5 _default
	// create collection: collection "books" exists already
	// true
	// create collection: value "no-vector": collection name may hold ASCII letters, digits and '_' only, byte 2 is '-'
}

func ExampleEngine_RenameCollection() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	ok(eng.RenameCollection(ctx, "cities", "towns"))
	fmt.Println(eng.Collections(), part.Collection().Name(), eng.HasCollection("cities"))
	ok(eng.DropCollection(ctx, "towns"))
	fmt.Println(eng.Collections())
	_, err := part.Count(ctx)
	fmt.Println(errors.Is(err, engine.ErrNotFound))
	// Output:
	// [towns] towns false
	// []
	// true
}

func ExampleCollection_CreatePartition() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	asia := must(coll.CreatePartition(ctx, "asia"))
	must(asia.Insert(ctx,
		column.Int64("id", []int64{6}), column.VarChar("name", []string{"Baku"}), column.FloatVector("place", 2, [][]float32{{49.9, 40.4}})))
	ok(coll.RenamePartition(ctx, "asia", "caucasus"))
	for _, p := range coll.Partitions() {
		fmt.Println(p.Name(), must(p.Count(ctx)))
	}
	ok(coll.DropPartition(ctx, "caucasus"))
	fmt.Println(must(coll.Count(ctx)))
	// Output:
	// _default 0
	// europe 5
	// caucasus 1
	// 5
}

func ExamplePartition_Insert() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	res, err := part.Insert(ctx,
		column.Int64("id", []int64{6, 7}),
		column.VarChar("name", []string{"Bonn", "Gent"}),
		column.FloatVectorFlat("place", 2, []float32{7.1, 50.7, 3.7, 51.1})) // the vectors one after the other
	ok(err)
	fmt.Println(res.Inserted, res.Keys.At(0), res.Keys.At(1))
	// Output: 2 6 7
}

// A batch is inserted whole or not at all. The error says what was wrong, and where.
func ExamplePartition_Insert_refused() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	_, err := part.Insert(ctx,
		column.Int64("id", []int64{6, 7}),
		column.VarChar("name", []string{"Bonn", strings.Repeat("x", 65)}),
		column.FloatVector("place", 2, [][]float32{{7.1, 50.7}, {3.7, 51.1}}))
	var field *schema.FieldError
	fmt.Println(errors.Is(err, engine.ErrInvalid), errors.As(err, &field), field.Field, field.Row)
	fmt.Println(field.Reason)

	_, err = part.Insert(ctx,
		column.Int64("id", []int64{6, 2}),
		column.VarChar("name", []string{"Bonn", "Gent"}),
		column.FloatVector("place", 2, [][]float32{{7.1, 50.7}, {3.7, 51.1}}))
	fmt.Println(err)
	var dup *engine.DuplicateKeyError
	fmt.Println(errors.Is(err, engine.ErrDuplicateKey), errors.As(err, &dup), dup.Keys[0], dup.Rows[0])
	fmt.Println(must(part.Count(ctx)))
	// Output:
	// true true name 1
	// string has 65 bytes, max_length is 64
	// insert: duplicate primary key: 2 (row 1): held already
	// true true 2 1
	// 5
}

func ExamplePartition_InsertRows() {
	type City struct {
		ID    int64     `milvus:"name:id;primary_key"`
		Name  string    `milvus:"name:name;max_length:64"`
		Place []float32 `milvus:"name:place;dim:2"`
	}
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	res, err := part.InsertRows(ctx, []City{
		{6, "Bonn", []float32{7.1, 50.7}},
		{7, "Gent", []float32{3.7, 51.1}},
	})
	ok(err)
	fmt.Println(res.Inserted)

	rows := must(part.Get(ctx, column.IntKeys(7), "*"))
	fmt.Println(must(column.Collect[City](rows)))
	// Output:
	// 2
	// [{7 Gent [3.7 51.1]}]
}

func ExamplePartition_InsertRows_maps() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	res, err := part.InsertRows(ctx, []map[string]any{
		{"id": 6, "name": "Bonn", "place": []float32{7.1, 50.7}},
		{"id": 7, "name": "Gent", "place": []float64{3.7, 51.1}},
	})
	ok(err)
	fmt.Println(res.Inserted)
	// Output: 2
}

func ExamplePartition_Upsert() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	res, err := part.Upsert(ctx,
		column.Int64("id", []int64{4, 6}),
		column.VarChar("name", []string{"Vienna", "Bonn"}),
		column.FloatVector("place", 2, [][]float32{{16.4, 48.2}, {7.1, 50.7}}))
	ok(err)
	fmt.Println(res.Inserted, res.Deleted, must(part.Count(ctx)))
	fmt.Println(must(part.Get(ctx, column.IntKeys(4), "name")).At(0).String("name"))
	// Output:
	// 2 1 6
	// Vienna
}

func ExamplePartition_Delete() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	res, err := part.Delete(ctx, column.IntKeys(2, 3, 99)) // strings: column.StringKeys
	ok(err)
	fmt.Println(res.Deleted, must(part.Count(ctx)))
	// Output: 2 3
}

func ExamplePartition_Flush() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	receipt, err := part.Flush(ctx)
	ok(err)
	fmt.Println(receipt.Segments, receipt.Rows, receipt.Bytes > 0, receipt.Tombstones)

	// Nothing to do; then a delete in a sealed segment to make durable there.
	receipt, err = part.Flush(ctx)
	ok(err)
	fmt.Println(receipt.Segments, receipt.Rows)
	must(part.Delete(ctx, column.IntKeys(1)))
	receipt, err = part.Flush(ctx)
	ok(err)
	fmt.Println(receipt.Segments, receipt.Tombstones)

	// The context's deadline is the timeout.
	late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	_, err = part.Flush(late)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// [000001] 5 true 0
	// [] 0
	// [] 1
	// true
}

func ExampleCollection_Flush() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	must(coll.Insert(ctx,
		column.Int64("id", []int64{6}), column.VarChar("name", []string{"Baku"}), column.FloatVector("place", 2, [][]float32{{49.9, 40.4}})))
	receipt, err := coll.Flush(ctx) // every partition
	var partial *engine.PartialFlushError
	if errors.As(err, &partial) {
		fmt.Println("not flushed:", partial.Partition, partial.Err)
	}
	fmt.Println(len(receipt.Segments), receipt.Rows, coll.NumEntities())
	// Output: 2 6 6
}

func ExamplePartition_NumEntities() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	show := func(what string) {
		s := part.Stats()
		fmt.Printf("%-8s NumEntities %d  Count %d  growing %d  sealed %d  deleted %d\n",
			what, part.NumEntities(), must(part.Count(ctx)), s.Growing, s.Sealed, s.Deleted)
	}
	show("inserted")
	must(part.Flush(ctx))
	show("flushed")
	must(part.Delete(ctx, column.IntKeys(1)))
	show("deleted")
	must(part.Upsert(ctx,
		column.Int64("id", []int64{2}), column.VarChar("name", []string{"Roma"}), column.FloatVector("place", 2, [][]float32{{12.5, 41.9}})))
	show("upserted")
	must(part.Flush(ctx))
	show("flushed")
	// Output:
	// inserted NumEntities 0  Count 5  growing 5  sealed 0  deleted 0
	// flushed  NumEntities 5  Count 5  growing 0  sealed 5  deleted 0
	// deleted  NumEntities 4  Count 4  growing 0  sealed 4  deleted 1
	// upserted NumEntities 3  Count 4  growing 1  sealed 3  deleted 2
	// flushed  NumEntities 4  Count 4  growing 0  sealed 4  deleted 2
}

func ExamplePartition_Segments() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	must(part.Flush(ctx))
	must(part.Insert(ctx,
		column.Int64("id", []int64{6}), column.VarChar("name", []string{"Bonn"}), column.FloatVector("place", 2, [][]float32{{7.1, 50.7}})))
	for _, s := range part.Segments() {
		fmt.Println(s.ID, s.State, s.Rows, s.Live)
	}
	// Output:
	// 000001 sealed 5 5
	// 000002 growing 1 1
}

func ExamplePartition_Get() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	rows, err := part.Get(ctx, column.IntKeys(5, 3, 99), "name") // "*" for all fields
	ok(err)
	for _, row := range rows.All() {
		fmt.Println(row.Int64("id"), row.String("name"))
	}
	// Output:
	// 3 Bern
	// 5 Riga
}

func ExamplePartition_All() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	for row, err := range part.All(ctx, "name", "place") {
		ok(err)
		if row.Int64("id") > 3 {
			break // gives the snapshot back
		}
		fmt.Println(row.Int64("id"), row.String("name"), row.FloatVector("place"))
	}
	// Output:
	// 1 Oslo [10.8 59.9]
	// 2 Rome [12.5 41.9]
	// 3 Bern [7.4 46.9]
}

func ExamplePartition_Search() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	hits, err := part.Search(ctx, query.Nearest("place", []float32{9, 45}).Metric(vector.L2).Limit(3).Output("name"))
	ok(err)
	for _, h := range hits {
		fmt.Printf("%v %s %.2f\n", h.Key, h.Row.String("name"), h.Score)
	}
	// Output:
	// 3 Bern 6.17
	// 2 Rome 21.86
	// 4 Wien 65.00
}

func ExamplePartition_SearchMany() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	lists, err := part.SearchMany(ctx,
		query.Nearest("place", []float32{9, 45}, []float32{20, 60}).Metric(vector.L2).Limit(2).Output("name"))
	ok(err)
	for i, hits := range lists {
		fmt.Println(i, hits[0].Row.String("name"), hits[1].Row.String("name"))
	}
	// Output:
	// 0 Bern Rome
	// 1 Riga Oslo
}

func ExampleCollection_Search() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	must(coll.Insert(ctx,
		column.Int64("id", []int64{6}), column.VarChar("name", []string{"Bonn"}), column.FloatVector("place", 2, [][]float32{{7.1, 50.7}})))
	near := query.Nearest("place", []float32{7, 50}).Metric(vector.L2).Limit(1).Output("name")
	fmt.Println(must(coll.Search(ctx, near))[0].Row.String("name"))
	near.Partitions("europe")
	fmt.Println(must(coll.Search(ctx, near))[0].Row.String("name"))
	// Output:
	// Bonn
	// Bern
}

// With a partition key, rows go to hidden partitions by the hash of that field, and the collection is what one works with.
func ExampleCollection_Insert_partitionKey() {
	eng := inMemory()
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("mail").With(
		schema.Int64("id").PrimaryKey(),
		schema.VarChar("tenant", 32).PartitionKey(),
		schema.FloatVector("vector", 2)).WithPartitions(4)))
	must(coll.Insert(ctx,
		column.Int64("id", []int64{1, 2, 3}),
		column.VarChar("tenant", []string{"ann", "bob", "ann"}),
		column.FloatVector("vector", 2, [][]float32{{1, 0}, {0, 1}, {1, 1}})))
	fmt.Println(must(coll.Count(ctx)))
	_, err := coll.Partition("_default")
	fmt.Println(err)
	// Output:
	// 3
	// value "_default": the collection has a partition key: partitions are not named by hand
}

// Keys can be left to the engine. They ascend, and begin with the time in milliseconds.
func ExampleCollection_Insert_autoID() {
	eng := must(engine.Open("data", &engine.Options{
		FS:  vfs.NewMem(),
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}))
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("notes").With(
		schema.Int64("id").PrimaryKey().AutoID(),
		schema.FloatVector("vector", 2))))
	res, err := coll.Insert(ctx, column.FloatVector("vector", 2, [][]float32{{1, 0}, {0, 1}}))
	ok(err)
	fmt.Println(res.Keys.Ints)
	_, err = coll.Insert(ctx, column.Int64("id", []int64{7}), column.FloatVector("vector", 2, [][]float32{{1, 0}}))
	fmt.Println(err)
	// Output:
	// [463267587686400000 463267587686400001]
	// insert: field "id": primary key is generated, an insert cannot give it
}

// With the dynamic field, rows may hold keys that the schema does not name.
func ExampleCollection_InsertRows_dynamicField() {
	eng := inMemory()
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("shop").With(
		schema.Int64("id").PrimaryKey(),
		schema.FloatVector("vector", 2)).EnableDynamicField()))
	must(coll.InsertRows(ctx, []map[string]any{
		{"id": 1, "vector": []float32{1, 0}, "colour": "red", "sizes": []int{38, 40}},
		{"id": 2, "vector": []float32{0, 1}, "price": 9.5},
	}))
	rows := must(coll.Get(ctx, column.IntKeys(1, 2), "colour", "sizes", "price"))
	for _, row := range rows.All() {
		fmt.Println(row.Int64("id"), row.Value("colour"), row.Value("sizes"), row.Value("price"))
	}
	// Output:
	// 1 red [38 40] <nil>
	// 2 <nil> <nil> 9.5
}

func ExampleCollection_Insert_nullable() {
	eng := inMemory()
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("people").With(
		schema.Int64("id").PrimaryKey(),
		schema.Int16("age").Nullable(),
		schema.VarChar("country", 2).Default("??"),
		schema.FloatVector("vector", 2))))
	must(coll.Insert(ctx, // no country at all
		column.Int64("id", []int64{1, 2}),
		column.Int16("age", []int16{44, 0}).WithValid([]bool{true, false}),
		column.FloatVector("vector", 2, [][]float32{{1, 0}, {0, 1}})))
	for _, row := range must(coll.Get(ctx, column.IntKeys(1, 2), "age", "country")).All() {
		fmt.Println(row.Value("age"), row.Value("country"))
	}
	// Output:
	// 44 ??
	// <nil> ??
}

// Damage is found, named, and never opened around.
func ExampleCorruptionError() {
	dir := must(os.MkdirTemp("", "selkie"))
	defer os.RemoveAll(dir)
	eng := must(engine.Open(dir, nil))
	must(cities(eng).Flush(ctx))
	ok(eng.Close())

	ok(os.Truncate(filepath.Join(dir, "seg", "000001", "rows.sst"), 100))
	_, err := engine.Open(dir, nil)
	var damage *engine.CorruptionError
	fmt.Println(errors.Is(err, engine.ErrCorrupt), errors.As(err, &damage))
	fmt.Println(filepath.Base(damage.Path), damage.Offset, damage.Kind)
	// Output:
	// true true
	// rows.sst 100 size
}

func ExampleEventListener() {
	flushed := make(chan engine.FlushEvent, 1)
	eng := must(engine.Open("data", &engine.Options{
		FS:          vfs.NewMem(),
		SegmentRows: 5, // cities inserts as many
		Events: engine.EventListener{
			Sealed:  func(e engine.SealEvent) { fmt.Println("sealed", e.Partition, e.Rows, "rows, by", e.Reason) },
			Flushed: func(e engine.FlushEvent) { flushed <- e },
		},
	}))
	defer eng.Close()
	cities(eng)
	e := <-flushed
	fmt.Println("flushed", e.Collection, e.Partition, e.Receipt.Rows, "rows", e.Err)
	// Output:
	// sealed europe 5 rows, by rows
	// flushed cities europe 5 rows <nil>
}

func ExampleEngine_Metrics() {
	eng := inMemory()
	defer eng.Close()
	part := cities(eng)
	must(part.Flush(ctx))
	must(part.Search(ctx, query.Nearest("place", []float32{9, 45})))
	m := eng.Metrics()
	fmt.Println(m.Collections, m.Partitions, m.Segments.Segments, m.InsertedRows, m.Flushes, m.Searches)
	// Output: 1 2 1 5 1 1
}
