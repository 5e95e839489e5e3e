package bulk

import (
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/selkiedb/selkie/schema"
)

// parquetSchema is the layout that Milvus's bulk import reads.
func parquetSchema(s *schema.Schema) *parquet.Schema {
	root := parquet.Group{}
	for _, f := range fields(s) {
		n := parquetNode(f)
		if f.IsNullable {
			n = parquet.Optional(n)
		}
		root[f.Name] = n
	}
	return parquet.NewSchema(s.Name, root)
}

func parquetNode(f *schema.Field) parquet.Node {
	switch f.Type {
	case schema.TypeArray:
		return parquet.List(parquetLeaf(f.ElementType))
	case schema.TypeFloatVector:
		return parquet.List(parquet.Leaf(parquet.FloatType))
	case schema.TypeInt8Vector:
		return parquet.List(parquet.Int(8))
	case schema.TypeBinaryVector, schema.TypeFloat16Vector, schema.TypeBFloat16Vector:
		return parquet.List(parquet.Uint(8))
	}
	return parquetLeaf(f.Type)
}

func parquetLeaf(t schema.DataType) parquet.Node {
	switch t {
	case schema.TypeBool:
		return parquet.Leaf(parquet.BooleanType)
	case schema.TypeInt8:
		return parquet.Int(8)
	case schema.TypeInt16:
		return parquet.Int(16)
	case schema.TypeInt32:
		return parquet.Int(32)
	case schema.TypeInt64:
		return parquet.Int(64)
	case schema.TypeFloat:
		return parquet.Leaf(parquet.FloatType)
	case schema.TypeDouble:
		return parquet.Leaf(parquet.DoubleType)
	}
	return parquet.String() // VarChar, JSON, and sparse vectors as JSON
}

// parquetColumn is where the values of a field are in a file, and how nulls and lists are told. A definition level below present is a null, one
// below element an empty list, and one below whole a null within a list.
type parquetColumn struct {
	field                   *schema.Field
	at                      int // number of the leaf
	list                    bool
	present, element, whole int
	unsigned                bool
	kind                    parquet.Kind
}

// parquetColumns finds the fields of a file.
func parquetColumns(s *schema.Schema, root *parquet.Column) ([]parquetColumn, error) {
	var out []parquetColumn
	for _, node := range root.Columns() {
		f, err := field(s, node.Name())
		if err != nil {
			return nil, err
		}
		c := parquetColumn{field: f}
		if node.Optional() {
			c.present = 1
		}
		for {
			if node.Repeated() {
				if c.list {
					return nil, schema.Invalid(f.Name, nil, "the file has lists of lists")
				}
				c.list, c.element = true, node.MaxDefinitionLevel()
			}
			if node.Leaf() {
				break
			}
			if len(node.Columns()) != 1 {
				return nil, schema.Invalid(f.Name, nil, "the file has a group of %d columns", len(node.Columns()))
			}
			node = node.Columns()[0]
		}
		c.at, c.whole, c.kind = node.Index(), node.MaxDefinitionLevel(), node.Type().Kind()
		if l := node.Type().LogicalType(); l != nil {
			if i, ok := l.Value.(*format.IntType); ok {
				c.unsigned = !i.IsSigned
			}
		}
		if !c.fits() {
			return nil, schema.Invalid(f.Name, nil, "a field of type %s cannot be read from %s", f.Type, root.Column(f.Name))
		}
		out = append(out, c)
	}
	return out, nil
}

// fits tells whether the values can be the field's.
func (c *parquetColumn) fits() bool {
	f := c.field
	isList := f.Type == schema.TypeArray || f.Type.IsVector() && f.Type != schema.TypeSparseFloatVector
	if isList != c.list {
		return false
	}
	t := f.Type
	if t == schema.TypeArray {
		t = f.ElementType
	}
	switch t {
	case schema.TypeBool:
		return c.kind == parquet.Boolean
	case schema.TypeFloat:
		return c.kind == parquet.Float
	case schema.TypeDouble, schema.TypeFloatVector:
		return c.kind == parquet.Float || c.kind == parquet.Double
	case schema.TypeVarChar, schema.TypeJSON, schema.TypeSparseFloatVector:
		return c.kind == parquet.ByteArray
	}
	return c.kind == parquet.Int32 || c.kind == parquet.Int64
}
