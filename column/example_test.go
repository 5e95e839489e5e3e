package column_test

import (
	"errors"
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
)

func exampleSchema() *schema.Schema {
	s, err := schema.New("books").With(
		schema.Int64("id").PrimaryKey(),
		schema.VarChar("title", 20).Nullable(),
		schema.FloatVector("vector", 2),
	).Finish()
	if err != nil {
		panic(err)
	}
	return s
}

func ExampleBuild() {
	batch, err := column.Build(exampleSchema(), []*column.Column{
		column.Int64("id", []int64{1, 2}),
		column.VarChar("title", []string{"Dune", ""}).WithValid([]bool{true, false}),
		column.FloatVector("vector", 2, [][]float32{{0.1, 0.2}, {0.3, 0.4}}),
	}, column.BuildOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, row := range column.NewRows(batch.Columns()...).All() {
		fmt.Println(i, row.Int64("id"), row.Value("title"), row.FloatVector("vector"))
	}
	// Output:
	// 0 1 Dune [0.1 0.2]
	// 1 2 <nil> [0.3 0.4]
}

func ExampleBuild_refused() {
	_, err := column.Build(exampleSchema(), []*column.Column{
		column.Int64("id", []int64{1, 2}),
		column.FloatVector("vector", 2, [][]float32{{0.1, 0.2}, {0.3, 0.4, 0.5}}),
	}, column.BuildOptions{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, schema.ErrInvalid))
	var fe *schema.FieldError
	if errors.As(err, &fe) {
		fmt.Println(fe.Field, fe.Row)
	}
	// Output:
	// field "vector", row 1: vector has 3 elements, dim 2 takes 2
	// true
	// vector 1
}

func ExampleBuildRows() {
	type Book struct {
		ID     int64     `milvus:"name:id;primary_key"`
		Title  *string   `milvus:"name:title;max_length:20"`
		Vector []float32 `milvus:"name:vector;dim:2"`
	}
	dune := "Dune"
	batch, err := column.BuildRows(exampleSchema(), []Book{
		{ID: 1, Title: &dune, Vector: []float32{0.1, 0.2}},
		{ID: 2, Vector: []float32{0.3, 0.4}},
	}, column.BuildOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	books, err := column.Collect[Book](column.NewRows(batch.Columns()...))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(*books[0].Title, books[1].Title == nil, books[1].Vector)
	// Output: Dune true [0.3 0.4]
}

func ExampleDecodeBatch() {
	s := exampleSchema()
	batch, err := column.BuildRows(s, []map[string]any{{"id": 1, "vector": []float32{1, 2}}}, column.BuildOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	record := batch.AppendEncode(nil)
	read, rest, err := column.DecodeBatch(s, record)
	fmt.Println(read.Rows, read.Keys().At(0), len(rest), err)
	// Output: 1 1 0 <nil>
}
