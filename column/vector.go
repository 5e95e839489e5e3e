package column

import (
	"encoding/binary"
	"math"

	"github.com/selkiedb/selkie/schema"
)

// flat makes a column of dense vectors that shares raw's memory. perRow is the number of T in one vector.
func flat[T number](name string, t schema.DataType, dim, perRow int, values []T) *Column {
	c := &Column{name: name, typ: t, dim: dim}
	c.data.Width = (&schema.Field{Type: t, Dim: dim}).Width()
	if dim <= 0 || perRow <= 0 {
		c.fault(schema.NoRow, dim, "dim of a %s must be positive", t)
		c.data.Width = 1
		return c
	}
	if len(values)%perRow != 0 {
		c.fault(schema.NoRow, nil, "%d values are no multiple of the %d that a vector of dim %d has", len(values), perRow, dim)
		return c
	}
	c.data.Rows = len(values) / perRow
	c.data.Fixed = bytesOf(values)
	return c
}

// ragged copies rows into one flat column. A row of the wrong length becomes zeros and a fault.
func ragged[T number](name string, t schema.DataType, dim, perRow int, rows [][]T) *Column {
	if dim <= 0 || perRow <= 0 {
		return flat[T](name, t, dim, perRow, nil)
	}
	c := flat(name, t, dim, perRow, make([]T, len(rows)*perRow))
	for i, row := range rows {
		if len(row) != perRow {
			c.wrongLength(i, len(row), perRow)
			continue
		}
		copy(c.data.Fixed[i*c.data.Width:], bytesOf(row))
	}
	return c
}

func (c *Column) wrongLength(row, got, want int) {
	unit := "elements"
	if c.typ == schema.TypeBinaryVector {
		unit = "bytes"
	}
	c.fault(row, nil, "vector has %d %s, dim %d takes %d", got, unit, c.dim, want)
}

// narrowed converts rows of 32-bit floats to 16 bits each. What overflows becomes an infinity, which Build refuses.
func narrowed(name string, t schema.DataType, dim int, rows [][]float32, to func(float32) uint16) *Column {
	if dim <= 0 {
		return flat[uint16](name, t, dim, dim, nil)
	}
	out := make([]uint16, len(rows)*dim)
	c := flat(name, t, dim, dim, out)
	for i, row := range rows {
		if len(row) != dim {
			c.wrongLength(i, len(row), dim)
			continue
		}
		for j, x := range row {
			out[i*dim+j] = to(x)
		}
	}
	return c
}

// FloatVector makes a column of copies of the vectors, each of dim elements.
func FloatVector(name string, dim int, vectors [][]float32) *Column {
	return ragged(name, schema.TypeFloatVector, dim, dim, vectors)
}

// FloatVectorFlat makes a column of the vectors that lie one after the other in values (rows × dim), whose memory it shares.
func FloatVectorFlat(name string, dim int, values []float32) *Column {
	return flat(name, schema.TypeFloatVector, dim, dim, values)
}

// Float16Vector converts vectors of dim elements to half floats, rounding to nearest, ties to even. Values beyond ±65504
// are refused by Build.
func Float16Vector(name string, dim int, vectors [][]float32) *Column {
	return narrowed(name, schema.TypeFloat16Vector, dim, vectors, toFloat16)
}

// Float16VectorRaw makes a column of little-endian half floats (rows × 2·dim bytes), whose memory it shares.
func Float16VectorRaw(name string, dim int, raw []byte) *Column {
	return flat(name, schema.TypeFloat16Vector, dim, 2*dim, raw)
}

// BFloat16Vector converts vectors of dim elements to bfloat16, rounding to nearest, ties to even. Values that would become
// infinite are refused by Build.
func BFloat16Vector(name string, dim int, vectors [][]float32) *Column {
	return narrowed(name, schema.TypeBFloat16Vector, dim, vectors, toBFloat16)
}

// BFloat16VectorRaw makes a column of little-endian bfloat16 values (rows × 2·dim bytes), whose memory it shares.
func BFloat16VectorRaw(name string, dim int, raw []byte) *Column {
	return flat(name, schema.TypeBFloat16Vector, dim, 2*dim, raw)
}

// Int8Vector makes a column of copies of the vectors, each of dim elements.
func Int8Vector(name string, dim int, vectors [][]int8) *Column {
	return ragged(name, schema.TypeInt8Vector, dim, dim, vectors)
}

// Int8VectorFlat makes a column of the vectors that lie one after the other in values (rows × dim), whose memory it shares.
func Int8VectorFlat(name string, dim int, values []int8) *Column {
	return flat(name, schema.TypeInt8Vector, dim, dim, values)
}

// BinaryVector makes a column of copies of the vectors, each of dim bits in dim/8 bytes.
func BinaryVector(name string, dim int, vectors [][]byte) *Column {
	return ragged(name, schema.TypeBinaryVector, dim, dim/8, vectors)
}

// BinaryVectorFlat makes a column of the vectors that lie one after the other in values (rows × dim/8 bytes), whose memory
// it shares.
func BinaryVectorFlat(name string, dim int, values []byte) *Column {
	return flat(name, schema.TypeBinaryVector, dim, dim/8, values)
}

// Sparse is a sparse vector: Values[i] at position Indices[i], zero elsewhere. Indices ascend strictly.
type Sparse struct {
	Indices []uint32
	Values  []float32
}

// SparseFloatVector makes a column of copies of the vectors.
func SparseFloatVector(name string, vectors []Sparse) *Column {
	c := &Column{name: name, typ: schema.TypeSparseFloatVector, data: Data{Rows: len(vectors)}}
	var size uint64
	for _, v := range vectors {
		size += 8 * uint64(min(len(v.Indices), len(v.Values)))
	}
	if !c.offsets(size) {
		return c
	}
	c.data.Bytes = make([]byte, 0, size)
	for i, v := range vectors {
		if len(v.Indices) != len(v.Values) {
			c.fault(i, nil, "sparse vector has %d indices and %d values", len(v.Indices), len(v.Values))
		} else {
			c.data.Bytes = appendSparse(c.data.Bytes, v)
		}
		c.data.Offs[i+1] = uint32(len(c.data.Bytes))
	}
	return c
}

func appendSparse(dst []byte, v Sparse) []byte {
	for i, index := range v.Indices {
		dst = binary.LittleEndian.AppendUint32(dst, index)
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v.Values[i]))
	}
	return dst
}

// Len returns the number of pairs. With Get, Dim and Serialize it makes a Sparse the SDK's entity.SparseEmbedding.
func (s Sparse) Len() int { return min(len(s.Indices), len(s.Values)) }

// Get returns pair i; ok is false when there is none.
func (s Sparse) Get(i int) (index uint32, value float32, ok bool) {
	if i < 0 || i >= s.Len() {
		return 0, 0, false
	}
	return s.Indices[i], s.Values[i], true
}

// Dim returns the largest index plus one.
func (s Sparse) Dim() int {
	if len(s.Indices) == 0 {
		return 0
	}
	return int(s.Indices[len(s.Indices)-1]) + 1
}

// Serialize returns the pairs in the physical layout, which is Milvus's on the wire.
func (s Sparse) Serialize() []byte {
	n := s.Len()
	return appendSparse(make([]byte, 0, 8*n), Sparse{s.Indices[:n], s.Values[:n]})
}
