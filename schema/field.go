package schema

import "slices"

// Field describes one column of a collection. Make it with the constructor of its type and refine it with the builder
// methods, which change and return the same Field:
//
//	schema.VarChar("title", 512).Nullable().Describe("as printed on the cover")
//
// Nothing is checked before Schema.Validate, so that a schema can be written as one expression.
type Field struct {
	ID          int64 // given by Schema.AssignIDs; 0 until then
	Name        string
	Description string
	Type        DataType
	ElementType DataType // of arrays; TypeNone elsewhere

	Dim         int // of dense vectors: elements, for BinaryVector bits
	MaxLength   int // of VarChar, and of the elements of an array of VarChar: bytes
	MaxCapacity int // of arrays: elements

	IsPrimaryKey   bool
	IsAutoID       bool // the engine makes the primary keys
	IsNullable     bool
	IsPartitionKey bool // rows are spread over hidden partitions by the hash of this field
	IsDynamic      bool // this is "$meta"; Finish makes it

	IsInsertTime bool // this is "$inserted"; Finish makes it for a schema with ExpireAfter

	// Analyzer turns a VarChar field's texts into terms: the name of one of package text. The filters text_match and phrase_match use it, or
	// text.Standard if there is none; a function of the field needs one.
	Analyzer string

	// DefaultValue stands in for a null or missing value: a Go value of the field's type, nil = none.
	// Validate takes any Go integer or float that fits, Finish turns it into the exact type (int64 for Int64, ...).
	DefaultValue any
}

// Bool makes a field of truth values.
func Bool(name string) *Field { return &Field{Name: name, Type: TypeBool} }

// Int8 makes a field of 8-bit signed integers.
func Int8(name string) *Field { return &Field{Name: name, Type: TypeInt8} }

// Int16 makes a field of 16-bit signed integers.
func Int16(name string) *Field { return &Field{Name: name, Type: TypeInt16} }

// Int32 makes a field of 32-bit signed integers.
func Int32(name string) *Field { return &Field{Name: name, Type: TypeInt32} }

// Int64 makes a field of 64-bit signed integers.
func Int64(name string) *Field { return &Field{Name: name, Type: TypeInt64} }

// Float makes a field of 32-bit floats. NaN and infinities are refused.
func Float(name string) *Field { return &Field{Name: name, Type: TypeFloat} }

// Double makes a field of 64-bit floats. NaN and infinities are refused.
func Double(name string) *Field { return &Field{Name: name, Type: TypeDouble} }

// VarChar makes a field of UTF-8 strings of at most maxLength bytes, 1 to MaxVarChar.
func VarChar(name string, maxLength int) *Field {
	return &Field{Name: name, Type: TypeVarChar, MaxLength: maxLength}
}

// JSON makes a field of JSON texts of at most MaxJSON bytes each.
func JSON(name string) *Field { return &Field{Name: name, Type: TypeJSON} }

// Array makes a field of arrays of at most maxCapacity elements, 1 to MaxArray. elem is Bool, an integer, a float or
// VarChar; the last needs MaxElementLength too.
func Array(name string, elem DataType, maxCapacity int) *Field {
	return &Field{Name: name, Type: TypeArray, ElementType: elem, MaxCapacity: maxCapacity}
}

// FloatVector makes a field of vectors of dim 32-bit floats, MinDim to MaxDim.
func FloatVector(name string, dim int) *Field {
	return &Field{Name: name, Type: TypeFloatVector, Dim: dim}
}

// Float16Vector makes a field of vectors of dim IEEE 754 half floats, MinDim to MaxDim.
func Float16Vector(name string, dim int) *Field {
	return &Field{Name: name, Type: TypeFloat16Vector, Dim: dim}
}

// BFloat16Vector makes a field of vectors of dim bfloat16 values (the upper half of a 32-bit float), MinDim to MaxDim.
func BFloat16Vector(name string, dim int) *Field {
	return &Field{Name: name, Type: TypeBFloat16Vector, Dim: dim}
}

// Int8Vector makes a field of vectors of dim signed bytes, MinDim to MaxDim.
func Int8Vector(name string, dim int) *Field {
	return &Field{Name: name, Type: TypeInt8Vector, Dim: dim}
}

// BinaryVector makes a field of vectors of dim bits, a multiple of 8 up to MaxBinaryDim.
func BinaryVector(name string, dim int) *Field {
	return &Field{Name: name, Type: TypeBinaryVector, Dim: dim}
}

// SparseFloatVector makes a field of sparse vectors: ascending indices up to MaxSparseIndex, with 32-bit float values.
func SparseFloatVector(name string) *Field { return &Field{Name: name, Type: TypeSparseFloatVector} }

// PrimaryKey makes the field the primary key: Int64 or VarChar, never null.
func (f *Field) PrimaryKey() *Field { f.IsPrimaryKey = true; return f }

// AutoID lets the engine make the primary keys: ascending positive 64-bit numbers, for VarChar their decimal text.
func (f *Field) AutoID() *Field { f.IsAutoID = true; return f }

// Nullable allows null.
func (f *Field) Nullable() *Field { f.IsNullable = true; return f }

// Default sets the value that stands in for a null or missing one.
func (f *Field) Default(v any) *Field { f.DefaultValue = v; return f }

// PartitionKey spreads rows over hidden partitions by the hash of this field: Int64 or VarChar, never null.
func (f *Field) PartitionKey() *Field { f.IsPartitionKey = true; return f }

// Analyze sets the analyzer of a VarChar field: text.Standard, text.English or text.Whitespace.
func (f *Field) Analyze(analyzer string) *Field { f.Analyzer = analyzer; return f }

// Describe sets the description.
func (f *Field) Describe(text string) *Field { f.Description = text; return f }

// MaxElementLength bounds the strings in an array of VarChar, in bytes, 1 to MaxVarChar.
func (f *Field) MaxElementLength(n int) *Field { f.MaxLength = n; return f }

// Width returns the bytes of one value in the physical layout, or 0 where values vary in length (VarChar, JSON, arrays,
// sparse vectors).
func (f *Field) Width() int {
	switch f.Type {
	case TypeFloatVector:
		return 4 * f.Dim
	case TypeFloat16Vector, TypeBFloat16Vector:
		return 2 * f.Dim
	case TypeInt8Vector:
		return f.Dim
	case TypeBinaryVector:
		return f.Dim / 8
	}
	return f.Type.Width()
}

// Clone returns a copy. Default values are immutable, but for bytes, which no valid default holds.
func (f *Field) Clone() *Field {
	if f == nil {
		return nil
	}
	c := *f
	return &c
}

// same tells whether two fields are described alike, ids aside.
func (f *Field) same(o *Field) bool {
	a, b := *f, *o
	a.ID, b.ID = 0, 0
	a.DefaultValue, b.DefaultValue = nil, nil
	if a != b {
		return false
	}
	if f.DefaultValue == nil || o.DefaultValue == nil {
		return f.DefaultValue == nil && o.DefaultValue == nil
	}
	x, errX := f.DefaultBytes()
	y, errY := o.DefaultBytes()
	return errX == nil && errY == nil && slices.Equal(x, y)
}
