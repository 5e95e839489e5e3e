package schema

import (
	"encoding/json"
	"reflect"
)

// StructSchema makes a schema of a struct type with milvus tags (see Tag). v is a struct, or a pointer to or a slice of one;
// only its type counts. An empty name takes the type's. The schema is not finished yet, so it can be refined.
//
// Go types stand for field types as in the SDK:
//
//	bool, int8 to int64, float32, float64, string       the scalar of that kind; a string needs max_length
//	[]float32 with dim, [N]float32                      FloatVector; with vector_type the 16-bit ones
//	[]byte with dim, [N]byte                            BinaryVector; with vector_type the 16-bit ones
//
// and beyond it:
//
//	[]int8 with dim, [N]int8                            Int8Vector
//	map[uint32]float32, struct{Indices []uint32;
//	Values []float32}, SDK's entity.SparseEmbedding     SparseFloatVector
//	slice of a scalar with max_capacity                 Array; of strings, max_length bounds the elements
//	json.RawMessage, map[string]T                       JSON; named "$meta" it turns the dynamic field on
//	a pointer                                           what it points to, nullable (but for keys)
func StructSchema(name string, v any) (*Schema, error) {
	t := reflect.TypeOf(v)
	for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, Invalid("", nil, "a schema is made of a struct type, not of %T", v)
	}
	if name == "" {
		name = t.Name()
	}
	fields, err := StructFields(t)
	if err != nil {
		return nil, err
	}
	s := New(name)
	for _, sf := range fields {
		f, err := sf.field()
		if err != nil {
			return nil, err
		}
		if f.Name == MetaName && f.Type == TypeJSON {
			s.Dynamic = true
			continue
		}
		s.With(f)
	}
	return s, nil
}

// field makes the schema's field of a struct's.
func (sf StructField) field() (*Field, error) {
	tag := sf.Tag
	f := &Field{
		Name: sf.Name, Dim: tag.Dim, MaxLength: tag.MaxLength, MaxCapacity: tag.MaxCapacity,
		IsPrimaryKey: tag.PrimaryKey, IsAutoID: tag.AutoID, IsNullable: tag.Nullable, IsPartitionKey: tag.PartitionKey,
	}
	t := sf.Type
	if t.Kind() == reflect.Pointer && !IsSparseType(t) {
		t = t.Elem()
		f.IsNullable = f.IsNullable || !f.IsPrimaryKey && !f.IsPartitionKey
	}
	refuse := func(format string, args ...any) (*Field, error) { return nil, Invalid(sf.Name, nil, format, args...) }
	switch {
	case IsSparseType(t):
		f.Type = TypeSparseFloatVector
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		f.Type = TypeJSON
	case scalarOf(t) != TypeNone:
		f.Type = scalarOf(t)
	case t.Kind() == reflect.Array, t.Kind() == reflect.Slice && tag.Dim != 0:
		if f.Type = vectorOf(t.Elem(), tag.VectorType); f.Type == TypeNone {
			return refuse("Go type %s is no vector", sf.Type)
		}
		if t.Kind() == reflect.Array {
			dim := t.Len()
			if t.Elem().Kind() == reflect.Uint8 {
				if dim *= 8; f.Type != TypeBinaryVector {
					dim /= 16 // two bytes an element
				}
			}
			if tag.Dim != 0 && tag.Dim != dim {
				return refuse("Go type %s has dim %d, the tag says %d", sf.Type, dim, tag.Dim)
			}
			f.Dim = dim
		}
	case t.Kind() == reflect.Slice && scalarOf(t.Elem()) != TypeNone:
		if tag.MaxCapacity == 0 {
			return refuse("Go type %s needs dim (a vector) or max_capacity (an array) in its tag", sf.Type)
		}
		f.Type, f.ElementType = TypeArray, scalarOf(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return refuse("Go type %s needs dim in its tag, or the type json.RawMessage", sf.Type)
	default:
		return refuse("Go type %s stands for no field type", sf.Type)
	}
	return f, nil
}

func scalarOf(t reflect.Type) DataType {
	switch t.Kind() {
	case reflect.Bool:
		return TypeBool
	case reflect.Int8:
		return TypeInt8
	case reflect.Int16:
		return TypeInt16
	case reflect.Int32:
		return TypeInt32
	case reflect.Int64:
		return TypeInt64
	case reflect.Float32:
		return TypeFloat
	case reflect.Float64:
		return TypeDouble
	case reflect.String:
		return TypeVarChar
	}
	return TypeNone
}

// vectorOf returns the type of vectors with such elements.
func vectorOf(elem reflect.Type, vectorType string) DataType {
	switch elem.Kind() {
	case reflect.Float32, reflect.Uint8:
		switch {
		case vectorType == "fp16":
			return TypeFloat16Vector
		case vectorType == "bf16":
			return TypeBFloat16Vector
		case elem.Kind() == reflect.Uint8:
			return TypeBinaryVector
		}
		return TypeFloatVector
	case reflect.Int8:
		return TypeInt8Vector
	}
	return TypeNone
}

// SparseVector is the part of the SDK's entity.SparseEmbedding that reading one takes.
type SparseVector interface {
	Len() int
	Get(i int) (index uint32, value float32, ok bool)
}

// IsSparseType tells whether values of a Go type are read as sparse vectors.
func IsSparseType(t reflect.Type) bool {
	switch {
	case t.Implements(reflect.TypeFor[SparseVector]()):
		return true
	case t.Kind() == reflect.Map:
		return t.Key().Kind() == reflect.Uint32 && t.Elem().Kind() == reflect.Float32
	}
	return t.ConvertibleTo(reflect.TypeFor[struct {
		Indices []uint32
		Values  []float32
	}]())
}
