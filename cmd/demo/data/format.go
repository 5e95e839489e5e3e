package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
)

const (
	magic      = "SELKWORD"
	version    = 1
	headerSize = 24
	footerSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendBinary appends the words in the form of words.bin to b. Vectors are
// rounded to the nearest half-precision value.
func (w *Words) AppendBinary(b []byte) ([]byte, error) {
	if len(w.Vectors) != len(w.Text)*w.Dim {
		return b, fmt.Errorf("%d words of %d dimensions have %d values, want %d",
			len(w.Text), w.Dim, len(w.Vectors), len(w.Text)*w.Dim)
	}
	start := len(b)
	var text []byte
	for _, t := range w.Text {
		if strings.ContainsRune(t, '\n') {
			return b, fmt.Errorf("word %q has a line break in it", t)
		}
		text = append(append(text, t...), '\n')
	}
	out := append(b, magic...)
	for _, v := range []int{version, len(w.Text), w.Dim, len(text)} {
		out = binary.LittleEndian.AppendUint32(out, uint32(v))
	}
	out = append(out, text...)
	for i, x := range w.Vectors {
		// The largest half-precision number is 65504.
		if !(math.Abs(float64(x)) <= 65504) {
			return b, fmt.Errorf("word %q: value %v is outside ±65504", w.Text[i/w.Dim], x)
		}
		out = binary.LittleEndian.AppendUint16(out, halfBits(x))
	}
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out[start:], castagnoli)), nil
}

// decode reads what AppendBinary writes. It checks the checksum first, and
// every length against the file's size before it allocates.
func decode(b []byte) (*Words, error) {
	if len(b) < headerSize+footerSize || string(b[:len(magic)]) != magic {
		return nil, errors.New("not a words file")
	}
	body, footer := b[:len(b)-footerSize], b[len(b)-footerSize:]
	if got, want := crc32.Checksum(body, castagnoli), binary.LittleEndian.Uint32(footer); got != want {
		return nil, fmt.Errorf("checksum is %08x, the file says %08x", got, want)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return nil, fmt.Errorf("version %d, this program reads version %d", v, version)
	}
	count := uint64(binary.LittleEndian.Uint32(b[12:]))
	dim := uint64(binary.LittleEndian.Uint32(b[16:]))
	textSize := uint64(binary.LittleEndian.Uint32(b[20:]))
	body = body[headerSize:]
	if textSize > uint64(len(body)) || dim == 0 || count > uint64(len(body)) ||
		2*count*dim != uint64(len(body))-textSize {
		return nil, fmt.Errorf("%d words of %d dimensions and %d bytes of text do not make %d bytes",
			count, dim, textSize, len(body))
	}
	text, ended := strings.CutSuffix(string(body[:textSize]), "\n")
	w := &Words{Dim: int(dim), Vectors: make([]float32, count*dim)}
	if textSize > 0 {
		w.Text = strings.Split(text, "\n")
	}
	if uint64(len(w.Text)) != count || (count > 0 && !ended) {
		return nil, fmt.Errorf("the text holds %d words, the header says %d", len(w.Text), count)
	}
	rows := body[textSize:]
	for i := range w.Vectors {
		w.Vectors[i] = fromHalfBits(binary.LittleEndian.Uint16(rows[2*i:]))
	}
	return w, nil
}

// The exponent bias is 127 in a float32 and 15 in a half. Multiplying by a
// power of two moves a value from one bias to the other, subnormals included,
// and leaves the half's bits in the float32's upper part.
const (
	mantissaShift = 23 - 10
	toHalfBias    = 0x1p-112
	fromHalfBias  = 0x1p112
)

// halfBits rounds x to half precision. REQUIRES: |x| <= 65504.
func halfBits(x float32) uint16 {
	bits := math.Float32bits(x)
	sign := uint16(bits >> 16 & 0x8000)
	bits = math.Float32bits(math.Float32frombits(bits&^(1<<31)) * toHalfBias)
	const almostHalf = 1<<(mantissaShift-1) - 1
	bits += almostHalf + bits>>mantissaShift&1
	return sign | uint16(bits>>mantissaShift)
}

// fromHalfBits is exact for finite values; AppendBinary writes no others.
func fromHalfBits(h uint16) float32 {
	x := math.Float32frombits(uint32(h&0x7fff)<<mantissaShift) * fromHalfBias
	if h&0x8000 != 0 {
		return -x
	}
	return x
}
