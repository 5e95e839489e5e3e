package bulk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/selkiedb/selkie/schema"
)

// npyHeader is the head of an npy file: the type of its elements and their number, and if there are two dimensions that of each row.
//
//	93 'N' 'U' 'M' 'P' 'Y', version 1 0, length of the text as uint16 (from version 2 on uint32), text, values
//
// See https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
type npyHeader struct {
	kind  byte // b, i, u, f, S or U
	width int  // bytes of an element; characters of U
	rows  int64
	each  int // elements of a row; 0: one dimension
	start int64
}

const (
	npyMagic     = "\x93NUMPY"
	maxNPYHeader = 64 << 10
)

var npyText = regexp.MustCompile(`^\{\s*'descr':\s*'([<|=>]?)([a-zA-Z])(\d+)',\s*'fortran_order':\s*(True|False),\s*'shape':\s*\((\d+),?\s*(\d*)\s*,?\s*\),?\s*\}\s*$`)

// size is the bytes of an element.
func (h npyHeader) size() int {
	if h.kind == 'U' {
		return 4 * h.width
	}
	return h.width
}

// rowSize is the bytes of a row.
func (h npyHeader) rowSize() int { return h.size() * max(h.each, 1) }

// readNPYHeader reads the head of a file of size bytes, which the values must fill.
func readNPYHeader(r io.ReaderAt, size int64) (h npyHeader, err error) {
	var head [12]byte
	if n, err := r.ReadAt(head[:], 0); n < 10 {
		return h, fmt.Errorf("%w: %w", ErrDamaged, errors.Join(errors.New("it is too short for npy"), err))
	}
	if string(head[:6]) != npyMagic || head[6] < 1 || head[6] > 3 {
		return h, fmt.Errorf("%w: it does not begin as npy does", ErrDamaged)
	}
	length, at := int64(binary.LittleEndian.Uint16(head[8:])), int64(10)
	if head[6] > 1 {
		length, at = int64(binary.LittleEndian.Uint32(head[8:])), 12
	}
	if length > maxNPYHeader || at+length > size {
		return h, fmt.Errorf("%w: its head has %d bytes", ErrDamaged, length)
	}
	text := make([]byte, length)
	if _, err := r.ReadAt(text, at); err != nil {
		return h, err
	}
	m := npyText.FindSubmatch(bytes.TrimSpace(text))
	if m == nil {
		return h, fmt.Errorf("%w: its head cannot be read, or is not of one or two dimensions: %.200q", ErrDamaged, text)
	}
	h.kind, h.start = m[2][0], at+length
	width, err1 := strconv.ParseInt(string(m[3]), 10, 32)
	rows, err2 := strconv.ParseInt(string(m[5]), 10, 64)
	each, err3 := int64(0), error(nil)
	if len(m[6]) > 0 {
		each, err3 = strconv.ParseInt(string(m[6]), 10, 32)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return h, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	h.width, h.rows, h.each = int(width), rows, int(each)
	switch {
	case string(m[1]) == ">" && h.size() > 1:
		return h, errors.New("its numbers are big-endian, which is not read")
	case string(m[4]) == "True" && each > 1 && rows > 1:
		return h, errors.New("it is in Fortran's order, which is not read")
	case strings.IndexByte("biufSU", h.kind) < 0 || h.width < 1 || len(m[6]) > 0 && each < 1:
		return h, fmt.Errorf("type %s%s is not read", m[2], m[3])
	}
	if hi := (math.MaxInt64 - h.start) / int64(h.rowSize()); h.rows > hi || h.start+h.rows*int64(h.rowSize()) != size {
		return h, fmt.Errorf("%w: %d rows of %d bytes do not fill %d bytes behind its head", ErrDamaged, h.rows, h.rowSize(), size-h.start)
	}
	return h, nil
}

// appendNPYHeader appends the head of a file.
func appendNPYHeader(to []byte, h npyHeader) []byte {
	order := "<"
	if h.kind == 'b' || h.kind != 'U' && h.width == 1 {
		order = "|"
	}
	shape := fmt.Sprintf("(%d,)", h.rows)
	if h.each > 0 {
		shape = fmt.Sprintf("(%d, %d)", h.rows, h.each)
	}
	text := fmt.Sprintf("{'descr': '%s%c%d', 'fortran_order': False, 'shape': %s, }", order, h.kind, h.width, shape)
	pad := 64 - (len(npyMagic)+4+len(text)+1)%64 // so that the values are aligned
	text += strings.Repeat(" ", pad%64) + "\n"
	to = append(append(to, npyMagic...), 1, 0)
	to = binary.LittleEndian.AppendUint16(to, uint16(len(text)))
	return append(to, text...)
}

// npyLayout is how a field is written; ok is false for those that npy cannot hold. Texts have no width yet.
func npyLayout(f *schema.Field) (h npyHeader, ok bool) {
	switch f.Type {
	case schema.TypeBool:
		return npyHeader{kind: 'b', width: 1}, true
	case schema.TypeInt8, schema.TypeInt16, schema.TypeInt32, schema.TypeInt64:
		return npyHeader{kind: 'i', width: f.Width()}, true
	case schema.TypeFloat, schema.TypeDouble:
		return npyHeader{kind: 'f', width: f.Width()}, true
	case schema.TypeVarChar, schema.TypeJSON:
		return npyHeader{kind: 'U'}, true
	case schema.TypeFloatVector:
		return npyHeader{kind: 'f', width: 4, each: f.Dim}, true
	case schema.TypeInt8Vector:
		return npyHeader{kind: 'i', width: 1, each: f.Dim}, true
	case schema.TypeFloat16Vector, schema.TypeBFloat16Vector, schema.TypeBinaryVector:
		return npyHeader{kind: 'u', width: 1, each: f.Width()}, true
	}
	return h, false
}
