package query

import (
	"fmt"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// encodeText gives the terms of a text, and how often each occurs, in the layout of the rows that a function makes.
func encodeText(sch *schema.Schema, fn *schema.Function, v any) ([]byte, error) {
	words, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("a %T does not fit a field made of texts: it takes a string", v)
	}
	in, _ := sch.Field(fn.Input)
	a, err := text.ByName(in.Analyzer)
	if err != nil {
		return nil, err
	}
	var s column.Sparse
	for _, c := range a.Counts([]byte(words), nil) {
		s.Indices = append(s.Indices, c.Number)
		s.Values = append(s.Values, float32(c.Times))
	}
	return s.Serialize(), nil
}
