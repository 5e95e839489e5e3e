package column

// Data is the physical layout of a column's values. It is a view: copies share memory.
type Data struct {
	Width int // bytes of one value; 0 = values vary in length
	Rows  int

	Fixed []byte   // Width > 0: Rows*Width bytes, little-endian. Bool is one byte 0 or 1; vectors are packed
	Offs  []uint32 // Width == 0: Rows+1 ascending offsets into Bytes; the first may be above 0
	Bytes []byte   // VarChar: UTF-8. JSON: text. Sparse and Array: see below
	Valid []byte   // nil = no nulls; else a byte for each row, 1 = valid, 0 = null

	// A sparse vector is (uint32 index, float32 value) pairs, indices ascending.
	// An array is its length as uint32, then the elements: packed for fixed widths (Bool a byte), for VarChar each as
	// uint32 length and bytes.
}

// Value returns the bytes of one value, which is empty or zero for a null.
// REQUIRES: 0 <= i < d.Rows. The result shares d's memory.
func (d Data) Value(i int) []byte {
	if d.Width > 0 {
		at := i * d.Width
		return d.Fixed[at : at+d.Width : at+d.Width]
	}
	lo, hi := d.Offs[i], d.Offs[i+1]
	return d.Bytes[lo:hi:hi]
}

// IsNull tells whether row i is null.
func (d Data) IsNull(i int) bool { return d.Valid != nil && d.Valid[i] == 0 }

// Slice returns the rows from lo up to hi, sharing memory. REQUIRES: 0 <= lo <= hi <= d.Rows.
func (d Data) Slice(lo, hi int) Data {
	s := Data{Width: d.Width, Rows: hi - lo}
	if d.Width > 0 {
		s.Fixed = d.Fixed[lo*d.Width : hi*d.Width]
	} else if d.Offs != nil {
		s.Offs, s.Bytes = d.Offs[lo:hi+1], d.Bytes
	}
	if d.Valid != nil {
		s.Valid = d.Valid[lo:hi]
	}
	return s
}

// Size returns the bytes that the rows of d take, offsets and validity included.
func (d Data) Size() int64 {
	n := int64(len(d.Valid)) + d.payload()
	if d.Width == 0 {
		n += 4 * (int64(d.Rows) + 1)
	}
	return n
}

// payload returns the bytes of the values alone.
func (d Data) payload() int64 {
	if d.Width > 0 {
		return int64(len(d.Fixed))
	}
	if len(d.Offs) == 0 {
		return 0
	}
	return int64(d.Offs[d.Rows] - d.Offs[0])
}

// hasNulls tells whether any row is null.
func (d Data) hasNulls() bool {
	for _, v := range d.Valid {
		if v == 0 {
			return true
		}
	}
	return false
}

// Pick gathers rows, in the order given and as often as given, into new memory. REQUIRES: each below d.Rows.
func (d Data) Pick(rows []uint32) Data {
	var size int
	if d.Width == 0 {
		for _, r := range rows {
			size += int(d.Offs[r+1] - d.Offs[r])
		}
	}
	p := Data{Width: d.Width, Rows: len(rows)}
	switch {
	case d.Width == 8:
		p.Fixed = bytesOf(pick(viewOf[uint64](d.Fixed), rows))
	case d.Width == 4:
		p.Fixed = bytesOf(pick(viewOf[uint32](d.Fixed), rows))
	case d.Width > 0:
		p.Fixed = aligned(len(rows) * d.Width)
		for i, r := range rows {
			copy(p.Fixed[i*d.Width:(i+1)*d.Width], d.Fixed[int(r)*d.Width:])
		}
	default:
		p.Offs = make([]uint32, 1, len(rows)+1)
		p.Bytes = make([]byte, 0, size)
		for _, r := range rows {
			p.Bytes = append(p.Bytes, d.Value(int(r))...)
			p.Offs = append(p.Offs, uint32(len(p.Bytes)))
		}
	}
	if d.Valid != nil {
		p.Valid = pick(d.Valid, rows)
	}
	return p
}

func pick[T any](from []T, rows []uint32) []T {
	to := make([]T, len(rows))
	for i, r := range rows {
		to[i] = from[r]
	}
	return to
}

// repeated returns rows copies of one value.
func repeated(width, rows int, value []byte) Data {
	d := Data{Width: width, Rows: rows}
	if width > 0 {
		d.Fixed = aligned(rows * width)
		for i := range rows {
			copy(d.Fixed[i*width:], value)
		}
		return d
	}
	d.Offs = make([]uint32, rows+1)
	d.Bytes = make([]byte, 0, rows*len(value))
	for i := range rows {
		d.Bytes = append(d.Bytes, value...)
		d.Offs[i+1] = uint32(len(d.Bytes))
	}
	return d
}

// nulls returns rows nulls.
func nulls(width, rows int) Data {
	d := Data{Width: width, Rows: rows, Valid: make([]byte, rows)}
	if width > 0 {
		d.Fixed = aligned(rows * width)
	} else {
		d.Offs = make([]uint32, rows+1)
	}
	return d
}
