package column

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/selkiedb/selkie/schema"
)

// The layout is drawn in docs/format/batch.md.
const (
	batchMagic  = "SLKB"
	batchFormat = 1
	batchHeader = 24 // bytes before the directory
	batchEntry  = 24 // bytes of a directory entry

	// maxColumns is more than any schema has had in its life, so that columns of dropped fields pass.
	maxColumns = 1024
	// maxFill bounds what a field added later may take when it is filled in for an older batch.
	maxFill = 16 << 30

	entryHasValid = 1 // flag of a directory entry
)

func pad8(n int64) int64 { return (n + 7) &^ 7 }

// encoded returns the bytes of a column's block.
func (d Data) encoded() int64 {
	n := pad8(d.payload())
	if d.Width == 0 {
		n += pad8(4 * (int64(d.Rows) + 1))
	}
	if d.Valid != nil {
		n += pad8(int64(d.Rows))
	}
	return n
}

// EncodedLen returns the bytes that AppendEncode appends, a multiple of 8.
func (b *Batch) EncodedLen() int {
	n := int64(batchHeader + batchEntry*len(b.Cols))
	for _, d := range b.Cols {
		n += d.encoded()
	}
	return int(n)
}

// AppendEncode appends the batch to dst, for DecodeBatch. The caller puts it under a checksum. So that decoded values need
// no copy, the encoding should begin at a multiple of 8 in memory when it is read back.
func (b *Batch) AppendEncode(dst []byte) []byte {
	le := binary.LittleEndian
	total := b.EncodedLen()
	if cap(dst)-len(dst) < total {
		grown := make([]byte, len(dst), len(dst)+total)
		copy(grown, dst)
		dst = grown
	}
	dst = append(dst, batchMagic...)
	dst = le.AppendUint16(dst, batchFormat)
	dst = le.AppendUint16(dst, uint16(len(b.Cols)))
	dst = le.AppendUint32(dst, uint32(b.Rows))
	dst = le.AppendUint32(dst, uint32(b.Schema.Version))
	dst = le.AppendUint64(dst, uint64(total))
	for i, d := range b.Cols {
		f := b.Schema.Fields[i]
		dst = le.AppendUint64(dst, uint64(f.ID))
		dst = le.AppendUint64(dst, uint64(d.payload()))
		dst = le.AppendUint32(dst, uint32(d.Width))
		dst = append(dst, byte(f.Type), bit(d.Valid != nil)*entryHasValid, 0, 0)
	}
	for _, d := range b.Cols {
		dst = d.appendBlock(dst)
	}
	return dst
}

// appendBlock appends validity, offsets and values, each padded with zeros to a multiple of 8.
func (d Data) appendBlock(dst []byte) []byte {
	if d.Valid != nil {
		dst = append(dst, d.Valid...)
		dst = appendPad(dst, len(d.Valid))
	}
	if d.Width > 0 {
		dst = append(dst, d.Fixed...)
		return appendPad(dst, len(d.Fixed))
	}
	first := d.Offs[0]
	if first == 0 {
		dst = append(dst, bytesOf(d.Offs)...)
	} else {
		for _, o := range d.Offs {
			dst = binary.LittleEndian.AppendUint32(dst, o-first)
		}
	}
	dst = appendPad(dst, 4*len(d.Offs))
	dst = append(dst, d.Bytes[first:d.Offs[d.Rows]]...)
	return appendPad(dst, int(d.Offs[d.Rows]-first))
}

func appendPad(dst []byte, n int) []byte {
	var zeros [8]byte
	return append(dst, zeros[:pad8(int64(n))-int64(n)]...)
}

func corrupt(what, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", schema.ErrCorrupt, what, fmt.Sprintf(format, args...))
}

// DecodeBatch reads what AppendEncode wrote, under the same or a later schema of the collection, and returns what follows
// it in buf. Columns are found by field id: a field that the batch does not have becomes its default value, else null; a
// column of a field that the schema has not is left out. The batch shares buf's memory.
//
// The errors wrap schema.ErrCorrupt. Nothing is allocated from a length that buf does not bear out, but for added fields,
// which take Rows × Width bytes of zeros.
func DecodeBatch(s *schema.Schema, buf []byte) (batch *Batch, rest []byte, err error) {
	le := binary.LittleEndian
	if len(buf) < batchHeader || string(buf[:4]) != batchMagic {
		return nil, nil, corrupt("batch", "no %q mark in %d bytes", batchMagic, len(buf))
	}
	if v := le.Uint16(buf[4:]); v != batchFormat {
		return nil, nil, corrupt("batch", "format %d, this program reads %d", v, batchFormat)
	}
	columns, rows, total := int(le.Uint16(buf[6:])), le.Uint32(buf[8:]), le.Uint64(buf[16:])
	if total > uint64(len(buf)) || total%8 != 0 {
		return nil, nil, corrupt("batch", "length %d, there are %d bytes", total, len(buf))
	}
	if columns == 0 || columns > maxColumns || rows > maxRows || batchHeader+batchEntry*uint64(columns) > total {
		return nil, nil, corrupt("batch", "%d columns of %d rows in %d bytes", columns, rows, total)
	}
	buf, rest = buf[:total:total], buf[total:]
	batch = &Batch{Schema: s, Rows: int(rows), Cols: make([]Data, len(s.Fields))}
	found := make([]bool, len(s.Fields))
	at := uint64(batchHeader + batchEntry*columns)
	for i := range columns {
		e := buf[batchHeader+batchEntry*i:]
		id, width, typ, flags := int64(le.Uint64(e)), le.Uint32(e[16:]), schema.DataType(e[20]), e[21]
		d, n, err := decodeBlock(buf[at:], int(rows), width, le.Uint64(e[8:]), flags)
		if err != nil {
			return nil, nil, fmt.Errorf("%w (column %d of %d, field id %d)", err, i, columns, id)
		}
		at += n
		pos := position(s, id)
		if pos < 0 {
			continue
		}
		f := s.Fields[pos]
		if found[pos] || typ != f.Type || int64(width) != int64(f.Width()) {
			return nil, nil, corrupt("batch", "column %d of type %s and width %d does not fit field %q", i, typ, width, f.Name)
		}
		found[pos], batch.Cols[pos] = true, d
	}
	if at != total {
		return nil, nil, corrupt("batch", "columns end at %d, the batch at %d", at, total)
	}
	for i, f := range s.Fields {
		if !found[i] {
			if batch.Cols[i], err = fill(f, int(rows)); err != nil {
				return nil, nil, err
			}
		}
	}
	return batch, rest, nil
}

func position(s *schema.Schema, id int64) int {
	for i, f := range s.Fields {
		if f.ID == id {
			return i
		}
	}
	return -1
}

// fill makes the values of a field that was added after a batch was written.
func fill(f *schema.Field, rows int) (Data, error) {
	def, err := f.DefaultBytes()
	if err != nil {
		return Data{}, err
	}
	if n := int64(rows) * int64(max(f.Width(), len(def), 1)); n > maxFill || f.Width() == 0 && n > math.MaxUint32 {
		return Data{}, corrupt("batch", "field %q, added later, would take %d bytes", f.Name, n)
	}
	switch {
	case def != nil:
		return repeated(f.Width(), rows, def), nil
	case f.IsNullable:
		return nulls(f.Width(), rows), nil
	}
	return Data{}, corrupt("batch", "no column for field %q, which is neither nullable nor has a default value", f.Name)
}

// decodeBlock reads one column's block and returns its length. size is the length of the values alone.
func decodeBlock(buf []byte, rows int, width uint32, size uint64, flags byte) (d Data, n uint64, err error) {
	if flags&^entryHasValid != 0 {
		return d, 0, corrupt("batch", "unknown flags %#x", flags)
	}
	if width > 4*schema.MaxDim {
		return d, 0, corrupt("batch", "width %d", width)
	}
	d = Data{Width: int(width), Rows: rows}
	take := func(size uint64) []byte {
		if size > uint64(len(buf))-n || (size+7)&^7 > uint64(len(buf))-n {
			return nil
		}
		part := buf[n : n+size : n+size]
		n += (size + 7) &^ 7
		return part
	}
	if flags&entryHasValid != 0 {
		if d.Valid = take(uint64(rows)); len(d.Valid) != rows || !areBits(d.Valid) {
			return d, 0, corrupt("batch", "bad validity of %d rows", rows)
		}
		if d.Valid == nil { // no rows: keep what the flag says
			d.Valid = []byte{}
		}
	}
	if width > 0 {
		if d.Fixed = take(size); size != uint64(rows)*uint64(width) || uint64(len(d.Fixed)) != size {
			return d, 0, corrupt("batch", "%d bytes of values for %d rows of width %d", size, rows, width)
		}
		return d, n, nil
	}
	offs := take(4 * (uint64(rows) + 1))
	if offs == nil {
		return d, 0, corrupt("batch", "offsets of %d rows are cut off", rows)
	}
	d.Offs = viewOf[uint32](offs)
	if !ascend(d.Offs) || uint64(d.Offs[rows]) != size {
		return d, 0, corrupt("batch", "offsets do not ascend from 0 to %d", size)
	}
	if d.Bytes = take(size); uint64(len(d.Bytes)) != size {
		return d, 0, corrupt("batch", "%d bytes of values are cut off", size)
	}
	return d, n, nil
}

func ascend(offs []uint32) bool {
	if offs[0] != 0 {
		return false
	}
	for i := 1; i < len(offs); i++ {
		if offs[i] < offs[i-1] {
			return false
		}
	}
	return true
}

// areBits tells whether all bytes are 0 or 1.
func areBits(b []byte) bool {
	var all byte
	for _, x := range b {
		all |= x
	}
	return all <= 1
}
