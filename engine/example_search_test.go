package engine_test

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/query"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
	"github.com/selkiedb/selkie/vector"
)

// A text is searched by its words through a sparse field that the engine makes of it, with BM25 over the whole collection.
func Example_fullText() {
	eng := inMemory()
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("notes").With(
		schema.Int64("id").PrimaryKey(),
		schema.VarChar("body", 1000).Analyze(text.English),
		schema.SparseFloatVector("words"),
	).WithFunction(schema.BM25("body", "words"))))
	must(coll.Insert(ctx,
		column.Int64("id", []int64{1, 2, 3}),
		column.VarChar("body", []string{"Lions sleep in the sun", "A lion among lions", "Ships at sea"})))
	for _, hit := range must(coll.Search(ctx, query.Nearest("words", "the sleeping lion").Output("body"))) {
		fmt.Printf("%.2f %s\n", hit.Score, hit.Row.String("body"))
	}
	// Output:
	// 1.38 Lions sleep in the sun
	// 0.62 A lion among lions
}

func ExampleCollection_HybridSearch() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	hits := must(coll.HybridSearch(ctx, query.NewHybrid(
		query.Nearest("place", []float32{10, 50}).Metric(vector.L2).Limit(3),
		query.Nearest("place", []float32{25, 55}).Metric(vector.L2).Limit(3),
	).RRF(60).Limit(2).Output("name")))
	for _, hit := range hits {
		fmt.Printf("%s %.4f\n", hit.Row.String("name"), hit.Score)
	}
	// Output:
	// Wien 0.0323
	// Bern 0.0164
}

func ExampleCollection_SearchIterator() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	it := must(coll.SearchIterator(ctx, query.Nearest("place", []float32{10, 50}).Metric(vector.L2).Output("name"), 2))
	defer it.Close()
	for {
		hits, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		ok(err)
		for _, hit := range hits {
			fmt.Println(len(hits), hit.Row.String("name"))
		}
	}
	// Output:
	// 2 Bern
	// 2 Wien
	// 2 Rome
	// 2 Oslo
	// 1 Riga
}

func ExampleCollection_QueryIterator() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	it := must(coll.QueryIterator(ctx, query.Where("id > 1").Output("name"), 3))
	defer it.Close()
	for {
		rows, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		ok(err)
		fmt.Println(rows.Column("name").Strings())
	}
	// Output:
	// [Rome Bern Wien]
	// [Riga]
}

func ExampleCollection_UpsertPartial() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	must(coll.UpsertPartial(ctx, column.Int64("id", []int64{4}), column.VarChar("name", []string{"Vienna"})))
	for _, row := range must(coll.Get(ctx, column.IntKeys(4), "name", "place")).All() {
		fmt.Println(row.String("name"), row.FloatVector("place"))
	}
	// Output: Vienna [16.4 48.2]
}

func ExampleCollection_AddField() {
	eng := inMemory()
	defer eng.Close()
	coll := cities(eng).Collection()
	ok(coll.AddField(ctx, schema.Int64("founded").Nullable()))
	must(coll.UpsertPartial(ctx, column.Int64("id", []int64{2}), column.Int64("founded", []int64{-753})))
	for row, err := range coll.Iterate(ctx, query.Where("founded < 0 or id == 1").Output("name", "founded")) {
		ok(err)
		fmt.Println(row.String("name"), row.Value("founded"))
	}
	// Output:
	// Oslo <nil>
	// Rome -753
}

func Example_expiry() {
	now := time.UnixMilli(1_700_000_000_000)
	eng := must(engine.Open("data", &engine.Options{FS: vfs.NewMem(), Now: func() time.Time { return now }}))
	defer eng.Close()
	coll := must(eng.CreateCollection(ctx, schema.New("sessions").ExpireAfter(time.Hour).With(
		schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", 2))))
	must(coll.Insert(ctx, column.Int64("id", []int64{1}), column.FloatVector("vector", 2, [][]float32{{1, 2}})))
	fmt.Println(must(coll.Count(ctx)))
	now = now.Add(time.Hour)
	fmt.Println(must(coll.Count(ctx)))
	// Output:
	// 1
	// 0
}
