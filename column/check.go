package column

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// checkValues checks every value of a field; nulls pass. It allocates nothing unless it refuses.
func checkValues(f *schema.Field, d Data) error {
	if e, ok := exponentOf(f.Type); ok {
		return checkFinite(f, d, e)
	}
	switch f.Type {
	case schema.TypeVarChar:
		return checkStrings(f, d)
	case schema.TypeJSON:
		return checkEach(f, d, checkJSON)
	case schema.TypeArray:
		return checkEach(f, d, checkArray)
	case schema.TypeSparseFloatVector:
		return checkEach(f, d, checkSparse)
	}
	return nil
}

func checkEach(f *schema.Field, d Data, check func(f *schema.Field, row int, raw []byte) *schema.FieldError) error {
	for row := range d.Rows {
		if d.IsNull(row) {
			continue
		}
		if err := check(f, row, d.Value(row)); err != nil {
			return err
		}
	}
	return nil
}

// checkFinite refuses NaN and infinities. Nulls are zeros by now and pass.
func checkFinite(f *schema.Field, d Data, e exponent) error {
	at := e.firstNonFinite(d.Fixed)
	if at < 0 {
		return nil
	}
	perRow := d.Width / e.width
	var x float64
	raw := d.Fixed[at*e.width:]
	switch e {
	case exp64:
		x = math.Float64frombits(binary.LittleEndian.Uint64(raw))
	case exp32:
		x = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	case exp16:
		x = float64(fromFloat16(binary.LittleEndian.Uint16(raw)))
	case expB16:
		x = float64(fromBFloat16(binary.LittleEndian.Uint16(raw)))
	}
	switch f.Type {
	case schema.TypeFloat16Vector:
		return schema.InvalidRow(f.Name, at/perRow, x, "element %d of %d is not a finite half float (largest 65504)", at%perRow, perRow)
	case schema.TypeBFloat16Vector, schema.TypeFloatVector:
		return schema.InvalidRow(f.Name, at/perRow, x, "element %d of %d is not a finite number", at%perRow, perRow)
	}
	return schema.InvalidRow(f.Name, at, x, "value is not a finite number")
}

// checkStrings checks lengths and UTF-8. The bytes of all rows are valid UTF-8 together exactly if each row's are, provided
// that every row begins at the start of a character.
func checkStrings(f *schema.Field, d Data) error {
	for row := range d.Rows {
		if n := d.Offs[row+1] - d.Offs[row]; int64(n) > int64(f.MaxLength) {
			return schema.InvalidRow(f.Name, row, string(d.Value(row)), "string has %d bytes, max_length is %d", n, f.MaxLength)
		}
	}
	all := d.Bytes[d.Offs[0]:d.Offs[d.Rows]]
	good := utf8.Valid(all)
	for row := 0; good && row < d.Rows; row++ {
		at := d.Offs[row] - d.Offs[0]
		good = int64(at) == int64(len(all)) || utf8.RuneStart(all[at])
	}
	if good {
		return nil
	}
	return checkEach(f, d, func(f *schema.Field, row int, raw []byte) *schema.FieldError {
		if utf8.Valid(raw) {
			return nil
		}
		return schema.InvalidRow(f.Name, row, raw, "string is not valid UTF-8, byte %d is bad", badByte(raw))
	})
}

// badByte returns the position of the first byte that is not UTF-8.
func badByte(raw []byte) int {
	for at := 0; at < len(raw); {
		r, n := utf8.DecodeRune(raw[at:])
		if r == utf8.RuneError && n <= 1 {
			return at
		}
		at += n
	}
	return len(raw)
}

func checkJSON(f *schema.Field, row int, raw []byte) *schema.FieldError {
	if len(raw) > schema.MaxJSON {
		return schema.InvalidRow(f.Name, row, raw, "JSON has %d bytes, at most %d are allowed", len(raw), schema.MaxJSON)
	}
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return schema.InvalidRow(f.Name, row, raw, "value is not valid JSON")
	}
	return nil
}

// checkArray checks the number of elements and each element.
func checkArray(f *schema.Field, row int, raw []byte) *schema.FieldError {
	if len(raw) < 4 {
		return schema.InvalidRow(f.Name, row, raw, "value is no array")
	}
	n := binary.LittleEndian.Uint32(raw)
	if int64(n) > int64(f.MaxCapacity) {
		return schema.InvalidRow(f.Name, row, nil, "array has %d elements, max_capacity is %d", n, f.MaxCapacity)
	}
	rest := raw[4:]
	if f.ElementType == schema.TypeVarChar {
		for i := range int(n) {
			s, more, ok := nextString(rest)
			if !ok {
				return schema.InvalidRow(f.Name, row, nil, "array ends within element %d of %d", i, n)
			}
			if len(s) > f.MaxLength {
				return schema.InvalidRow(f.Name, row, string(s), "element %d has %d bytes, max_length is %d", i, len(s), f.MaxLength)
			}
			if !utf8.Valid(s) {
				return schema.InvalidRow(f.Name, row, s, "element %d is not valid UTF-8", i)
			}
			rest = more
		}
		if len(rest) != 0 {
			return schema.InvalidRow(f.Name, row, nil, "array has %d bytes after its last element", len(rest))
		}
		return nil
	}
	w := f.ElementType.Width()
	if int64(len(rest)) != int64(n)*int64(w) {
		return schema.InvalidRow(f.Name, row, nil, "array of %d elements takes %d bytes, it should take %d", n, len(rest), int64(n)*int64(w))
	}
	if e, ok := exponentOf(f.ElementType); ok {
		if at := e.firstNonFinite(rest); at >= 0 {
			x := goValue(f.ElementType, schema.TypeNone, rest[at*w:])
			return schema.InvalidRow(f.Name, row, x, "element %d of %d is not a finite number", at, n)
		}
	}
	return nil
}

// checkSparse checks that indices ascend and values are finite. An empty vector passes.
func checkSparse(f *schema.Field, row int, raw []byte) *schema.FieldError {
	if len(raw)%8 != 0 {
		return schema.InvalidRow(f.Name, row, nil, "sparse vector has %d bytes, no multiple of 8", len(raw))
	}
	last := int64(-1)
	for i := range len(raw) / 8 {
		index := binary.LittleEndian.Uint32(raw[8*i:])
		if int64(index) <= last {
			return schema.InvalidRow(f.Name, row, index, "index %d of the sparse vector does not ascend, the one before is %d", i, last)
		}
		if index > schema.MaxSparseIndex {
			return schema.InvalidRow(f.Name, row, index, "index %d of the sparse vector is too large, at most %d is allowed", i, schema.MaxSparseIndex)
		}
		last = int64(index)
		x := math.Float32frombits(binary.LittleEndian.Uint32(raw[8*i+4:]))
		if x-x != 0 {
			return schema.InvalidRow(f.Name, row, x, "value at index %d of the sparse vector is not a finite number", index)
		}
	}
	return nil
}
