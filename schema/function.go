package schema

import "math"

// FunctionKind says what a function makes.
type FunctionKind string

// FunctionBM25 makes of a text the terms it has and how often, as a sparse vector. A search of that field for a text scores by BM25, with the counts of the
// whole collection.
const FunctionBM25 FunctionKind = "BM25"

// The parameters of BM25 that 0 stands for, Milvus's.
const (
	DefaultK1 = 1.2
	DefaultB  = 0.75
)

// Function makes one field of another as entities are written. The output is not given, and not read either.
type Function struct {
	Kind   FunctionKind
	Input  string // a VarChar field with an analyzer
	Output string // a SparseFloatVector field
	// K1, in (0, 3], is how fast more occurrences of a term count for less, and B, in [0, 1], how much long texts count for less. 0 stands for
	// DefaultK1 and DefaultB; a B of exactly 0 is had by any negative number.
	K1, B float64
}

// BM25 makes the function by which the field output is searched for words of the field input.
func BM25(input, output string) *Function {
	return &Function{Kind: FunctionBM25, Input: input, Output: output}
}

// Parameters sets K1 and B.
func (fn *Function) Parameters(k1, b float64) *Function {
	if fn.K1, fn.B = k1, b; b == 0 {
		fn.B = -1
	}
	return fn
}

// WithFunction adds functions.
func (s *Schema) WithFunction(fns ...*Function) *Schema {
	s.Functions = append(s.Functions, fns...)
	return s
}

// MadeBy returns the function that makes a field, nil for one that is given.
func (s *Schema) MadeBy(field string) *Function {
	for _, fn := range s.Functions {
		if fn != nil && fn.Output == field {
			return fn
		}
	}
	return nil
}

// Numbers returns K1 and B as they are used.
func (fn *Function) Numbers() (k1, b float64) {
	k1, b = fn.K1, fn.B
	if k1 == 0 {
		k1 = DefaultK1
	}
	switch {
	case b == 0:
		b = DefaultB
	case b < 0:
		b = 0
	}
	return k1, b
}

func (fn *Function) normal() Function {
	n := *fn
	n.K1, n.B = fn.Numbers()
	return n
}

func (fn *Function) clone() *Function {
	if fn == nil {
		return nil
	}
	c := *fn
	return &c
}

// validateFunctions checks the functions. REQUIRES: the fields passed.
func (s *Schema) validateFunctions() error {
	for i, fn := range s.Functions {
		if fn == nil {
			return Invalid("", nil, "function %d of %d is nil", i, len(s.Functions))
		}
		if fn.Kind != FunctionBM25 {
			return Invalid(fn.Output, string(fn.Kind), "unknown kind of function; there is %s", FunctionBM25)
		}
		in, ok := s.Field(fn.Input)
		if !ok || in.Type != TypeVarChar || in.Analyzer == "" {
			return Invalid(fn.Input, nil, "the input of %s must be a VarChar field with an analyzer", fn.Kind)
		}
		out, ok := s.Field(fn.Output)
		if !ok || out.Type != TypeSparseFloatVector {
			return Invalid(fn.Output, nil, "the output of %s must be a SparseFloatVector field", fn.Kind)
		}
		if s.MadeBy(fn.Output) != fn {
			return Invalid(fn.Output, nil, "two functions make this field")
		}
		k1, b := fn.Numbers()
		if !(k1 > 0 && k1 <= 3) || !(b >= 0 && b <= 1) || math.IsNaN(fn.B) {
			return Invalid(fn.Output, nil, "k1 %v must be in (0, 3] and b %v in [0, 1]", k1, b)
		}
	}
	return nil
}
