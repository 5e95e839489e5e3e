package schema_test

import (
	"fmt"

	"github.com/selkiedb/selkie/schema"
)

func Example() {
	s, err := schema.New("books").With(
		schema.Int64("id").PrimaryKey().AutoID(),
		schema.VarChar("title", 512),
		schema.Float("price").Nullable(),
		schema.FloatVector("vector", 768),
	).EnableDynamicField().Finish()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range s.Fields {
		fmt.Println(f.ID, f.Name, f.Type)
	}
	// Output:
	// 100 id Int64
	// 101 title VarChar
	// 102 price Float
	// 103 vector FloatVector
	// 104 $meta JSON
}

func ExampleSchema_Validate() {
	err := schema.New("books").With(schema.Int64("id").PrimaryKey(), schema.FloatVector("vector", 100_000)).Validate()
	fmt.Println(err)
	// Output: field "vector", value 100000: dim of FloatVector must be 2 to 32768
}

func ExampleStructSchema() {
	type Book struct {
		ID     int64     `milvus:"name:id;primary_key"`
		Title  string    `milvus:"name:title;max_length:512"`
		Price  *float32  `milvus:"name:price"` // a pointer may be null
		Vector []float32 `milvus:"name:vector;dim:4"`
	}
	s, err := schema.StructSchema("books", Book{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range s.Fields {
		fmt.Println(f.Name, f.Type, f.IsNullable)
	}
	// Output:
	// id Int64 false
	// title VarChar false
	// price Float true
	// vector FloatVector false
}
