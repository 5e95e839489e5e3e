package column

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/selkiedb/selkie/schema"
)

// dynamic returns the values of "$meta": the members of the JSON objects in given (nil = none) followed by one member for
// each extra column, in the order of their names. A row without either is null.
func (b *builder) dynamic(f *schema.Field, given *Column) (Data, error) {
	if given == nil && len(b.extra) == 0 {
		return nulls(0, b.rows), nil
	}
	slices.SortFunc(b.extra, func(x, y *Column) int { return strings.Compare(x.name, y.name) })
	for _, c := range b.extra {
		if err := checkExtra(c); err != nil {
			return Data{}, err
		}
	}
	if given != nil {
		for _, x := range given.faults {
			if !given.data.IsNull(x.row) {
				return Data{}, schema.InvalidRow(f.Name, x.row, x.value, "%s", x.reason)
			}
		}
	}
	out := NewBuilder(0, false)
	var object []byte
	for row := range b.rows {
		object = object[:0]
		if given != nil && !given.data.IsNull(row) {
			raw := given.data.Value(row)
			if err := b.checkObject(f, row, raw); err != nil {
				return Data{}, err
			}
			object = append(object, bytes.TrimSpace(raw)...)
		}
		object = appendMembers(object, b.extra, row)
		if len(object) > schema.MaxJSON {
			return Data{}, schema.InvalidRow(f.Name, row, nil, "dynamic field has %d bytes, at most %d are allowed", len(object), schema.MaxJSON)
		}
		if uint64(len(out.d.Bytes))+uint64(len(object)) > math.MaxUint32 {
			return Data{}, tooLarge(b.rows, out.Size(), min(b.options.maxBytes(), math.MaxUint32))
		}
		out.AppendValue(object, len(object) > 0)
	}
	return out.Data(), nil
}

// checkExtra checks a column that becomes a dynamic key, as the values of a field of its type would be.
func checkExtra(c *Column) error {
	if c.name == "" || !utf8.ValidString(c.name) {
		return schema.Invalid(c.name, nil, "dynamic key is empty or not valid UTF-8")
	}
	for _, x := range c.faults {
		if !c.data.IsNull(x.row) {
			return schema.InvalidRow(c.name, x.row, x.value, "%s", x.reason)
		}
	}
	f := schema.Field{Name: c.name, Type: c.typ, ElementType: c.elem, MaxLength: schema.MaxJSON, MaxCapacity: schema.MaxJSON}
	d := c.data
	if d.hasNulls() {
		d = clearNulls(d)
	}
	return checkValues(&f, d)
}

// appendMembers adds a row's extra values to a JSON object, which may still be empty.
func appendMembers(object []byte, extra []*Column, row int) []byte {
	if len(extra) == 0 {
		return object
	}
	if len(object) == 0 {
		object = append(object, '{')
	} else {
		object = bytes.TrimRight(object[:len(object)-1], " \t\r\n")
	}
	for _, c := range extra {
		if object[len(object)-1] != '{' {
			object = append(object, ',')
		}
		object = appendString(object, []byte(c.name))
		object = append(object, ':')
		if c.data.IsNull(row) {
			object = append(object, "null"...)
		} else {
			object = appendValue(object, c.typ, c.elem, c.data.Value(row))
		}
	}
	return append(object, '}')
}

// appendValue adds a stored value as JSON, in the form that marshal gives it. Numbers read back to the same value.
func appendValue(dst []byte, t, elem schema.DataType, raw []byte) []byte {
	le := binary.LittleEndian
	switch t {
	case schema.TypeBool:
		return strconv.AppendBool(dst, raw[0] != 0)
	case schema.TypeInt8:
		return strconv.AppendInt(dst, int64(int8(raw[0])), 10)
	case schema.TypeInt16:
		return strconv.AppendInt(dst, int64(int16(le.Uint16(raw))), 10)
	case schema.TypeInt32:
		return strconv.AppendInt(dst, int64(int32(le.Uint32(raw))), 10)
	case schema.TypeInt64:
		return strconv.AppendInt(dst, int64(le.Uint64(raw)), 10)
	case schema.TypeFloat:
		return appendFloat(dst, float64(math.Float32frombits(le.Uint32(raw))), 32)
	case schema.TypeDouble:
		return appendFloat(dst, math.Float64frombits(le.Uint64(raw)), 64)
	case schema.TypeVarChar:
		return appendString(dst, raw)
	case schema.TypeJSON:
		return append(dst, bytes.TrimSpace(raw)...)
	}
	text, err := marshal(goValue(t, elem, raw))
	if err != nil { // not possible with checked values
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

// appendFloat writes as encoding/json does: the shortest text that reads back the same, with an exponent where ES6 has one.
func appendFloat(dst []byte, x float64, bits int) []byte {
	form := byte('f')
	if a := math.Abs(x); a != 0 && (bits == 64 && (a < 1e-6 || a >= 1e21) ||
		bits == 32 && (float32(a) < 1e-6 || float32(a) >= 1e21)) {
		form = 'e'
	}
	dst = strconv.AppendFloat(dst, x, form, -1, bits)
	if n := len(dst); form == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// appendString adds a JSON string.
func appendString(dst, s []byte) []byte {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, err := marshal(string(s))
			if err != nil {
				break
			}
			return append(dst, text...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// marshal is json.Marshal without its escapes for HTML, which would only make texts longer.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// checkObject refuses a "$meta" value that is no JSON object, or one with a key that names a field or an extra column.
func (b *builder) checkObject(f *schema.Field, row int, raw []byte) error {
	if err := checkJSON(f, row, raw); err != nil {
		return err
	}
	if trimmed := bytes.TrimSpace(raw); trimmed[0] != '{' {
		return schema.InvalidRow(f.Name, row, raw, "dynamic field takes a JSON object")
	}
	for key := range memberKeys(raw) {
		if b.schema.Index(key) >= 0 {
			return schema.InvalidRow(f.Name, row, key, "dynamic key is the name of a field")
		}
		for _, c := range b.extra {
			if c.name == key {
				return schema.InvalidRow(f.Name, row, key, "dynamic key is given twice, here and as a column")
			}
		}
	}
	return nil
}
