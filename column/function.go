package column

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// makeFields fills in what functions make of other fields, as far as these are there.
func (b *Batch) makeFields() error {
	for _, fn := range b.Schema.Functions {
		in := b.Schema.Index(fn.Input)
		if !b.Given(in) {
			continue
		}
		a, err := text.ByName(b.Schema.Fields[in].Analyzer)
		if err != nil {
			return schema.Invalid(fn.Input, nil, "%v", err)
		}
		d, err := termCounts(a, b.Cols[in], fn.Output)
		if err != nil {
			return err
		}
		b.Cols[b.Schema.Index(fn.Output)] = d
	}
	return nil
}

// termCounts makes a sparse vector of each text: (term's number, occurrences) pairs. A null makes a null.
func termCounts(a *text.Analyzer, texts Data, field string) (Data, error) {
	out := NewBuilder(0, texts.Valid != nil)
	var counts []text.Count
	var raw []byte
	var size uint64
	for i := range texts.Rows {
		if texts.IsNull(i) {
			out.AppendValue(nil, false)
			continue
		}
		counts = a.Counts(texts.Value(i), counts[:0])
		raw = raw[:0]
		for _, c := range counts {
			raw = binary.LittleEndian.AppendUint32(raw, c.Number)
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(c.Times)))
		}
		if size += uint64(len(raw)); size > math.MaxUint32 {
			return Data{}, schema.InvalidRow(field, i, nil, "terms take more than %d bytes", uint32(math.MaxUint32))
		}
		out.AppendValue(raw, true)
	}
	return out.Data(), nil
}

// insertTimes is the field of the time of insertion: milliseconds since 1970.
func (o BuildOptions) insertTimes(rows int) Data {
	now := time.Now
	if o.Now != nil {
		now = o.Now
	}
	return repeated(8, rows, binary.LittleEndian.AppendUint64(nil, uint64(now().UnixMilli())))
}
