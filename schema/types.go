package schema

import "strconv"

// DataType is the type of a field's values. The numbers are Milvus's on the wire, and ours on disk.
type DataType int32

// The types a field can have.
const (
	TypeNone DataType = 0 // no type; ElementType of everything but an array

	TypeBool    DataType = 1
	TypeInt8    DataType = 2
	TypeInt16   DataType = 3
	TypeInt32   DataType = 4
	TypeInt64   DataType = 5
	TypeFloat   DataType = 10 // 32 bits
	TypeDouble  DataType = 11 // 64 bits
	TypeVarChar DataType = 21
	TypeArray   DataType = 22
	TypeJSON    DataType = 23

	TypeBinaryVector      DataType = 100
	TypeFloatVector       DataType = 101
	TypeFloat16Vector     DataType = 102
	TypeBFloat16Vector    DataType = 103
	TypeSparseFloatVector DataType = 104
	TypeInt8Vector        DataType = 105
)

// String returns Milvus's name of the type, such as "Int64" or "FloatVector".
func (t DataType) String() string {
	switch t {
	case TypeNone:
		return "None"
	case TypeBool:
		return "Bool"
	case TypeInt8:
		return "Int8"
	case TypeInt16:
		return "Int16"
	case TypeInt32:
		return "Int32"
	case TypeInt64:
		return "Int64"
	case TypeFloat:
		return "Float"
	case TypeDouble:
		return "Double"
	case TypeVarChar:
		return "VarChar"
	case TypeArray:
		return "Array"
	case TypeJSON:
		return "JSON"
	case TypeBinaryVector:
		return "BinaryVector"
	case TypeFloatVector:
		return "FloatVector"
	case TypeFloat16Vector:
		return "Float16Vector"
	case TypeBFloat16Vector:
		return "BFloat16Vector"
	case TypeSparseFloatVector:
		return "SparseFloatVector"
	case TypeInt8Vector:
		return "Int8Vector"
	}
	return "DataType(" + strconv.Itoa(int(t)) + ")"
}

// IsVector tells whether values of the type can be searched by distance.
func (t DataType) IsVector() bool { return t >= TypeBinaryVector && t <= TypeInt8Vector }

// IsInt tells whether the type is one of the four signed integers.
func (t DataType) IsInt() bool { return t >= TypeInt8 && t <= TypeInt64 }

// IsFloat tells whether the type is Float or Double.
func (t DataType) IsFloat() bool { return t == TypeFloat || t == TypeDouble }

// known tells whether a field may have the type.
func (t DataType) known() bool {
	return t == TypeBool || t.IsInt() || t.IsFloat() || t >= TypeVarChar && t <= TypeJSON || t.IsVector()
}

// element tells whether an array may hold values of the type.
func (t DataType) element() bool {
	return t == TypeBool || t.IsInt() || t.IsFloat() || t == TypeVarChar
}

// Width returns the bytes of one value of a scalar type, or 0 where values vary in length or the width depends on a
// dimension. Field.Width knows the dimension.
func (t DataType) Width() int {
	switch t {
	case TypeBool, TypeInt8:
		return 1
	case TypeInt16:
		return 2
	case TypeInt32, TypeFloat:
		return 4
	case TypeInt64, TypeDouble:
		return 8
	}
	return 0
}
