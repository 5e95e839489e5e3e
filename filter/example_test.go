package filter_test

import (
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

func films() *schema.Schema {
	s, err := schema.New("films").With(
		schema.Int64("id").PrimaryKey(),
		schema.Int64("year"),
		schema.JSON("meta").Nullable(),
		schema.FloatVector("poster", 128),
	).Finish()
	if err != nil {
		panic(err)
	}
	return s
}

func ExampleParse() {
	e, err := filter.Parse("year > 1950 + 8 and meta['director']['name'] in {names}", films(), map[string]any{"names": []string{"Welles", "Wilder"}})
	if err != nil {
		panic(err)
	}
	fmt.Println(e)
	for _, f := range e.Fields() {
		fmt.Println(f.Name)
	}
	_, err = filter.Parse("year > 'now' or id == 1", films(), nil)
	fmt.Println(err)
	// Output:
	// year > 1958 and meta["director"]["name"] in ["Welles", "Wilder"]
	// year
	// meta
	// filter, column 8: field "year" (Int64) cannot be compared with "now" (VarChar) by >
	//     year > 'now' or id == 1
	//            ^~~~~
}

func ExampleExpr_Eval() {
	e, err := filter.Parse("1940 < year <= 1958", films(), nil)
	if err != nil {
		panic(err)
	}
	years := column.Int64("year", []int64{1941, 1958, 1974})
	rows := make([]uint64, 1) // a bit for each row
	err = e.Eval(&filter.Block{
		Rows:   years.Len(),
		Column: func(*schema.Field) (column.Data, error) { return years.Data(), nil },
	}, rows)
	fmt.Printf("%03b %v\n", rows[0], err)
	// Output: 011 <nil>
}

func ExampleExpr_Keys() {
	e, err := filter.Parse("id in [7, 3, 7] and year > 1950", films(), nil)
	if err != nil {
		panic(err)
	}
	keys, ok := e.Keys()
	fmt.Println(keys.Ints, ok, e.OnlyKeys())
	// Output: [3 7] true false
}
