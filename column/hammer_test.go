package column_test

import (
	"errors"
	"testing"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/schema"
)

func TestHammerBatch(t *testing.T) {
	s := wide(t)
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{wideBatch(t).AppendEncode(nil)}, PerInput: 64 << 10, PerByte: 64, Slow: 4, Try: func(b []byte) bool {
		d, _, err := column.DecodeBatch(s, b)
		if err != nil {
			if !errors.Is(err, schema.ErrCorrupt) {
				t.Fatal(err)
			}
			return false
		}
		for _, c := range d.Columns() {
			values(c)
		}
		return d.Keys().Len() == d.Rows
	}})
}

func TestHammerKeys(t *testing.T) {
	seeds := [][]byte{column.IntKeys(1, 2, 3).AppendEncode(nil), column.StringKeys("a", "", "bcd").AppendEncode(nil)}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 1 << 10, PerByte: 64, Try: func(b []byte) bool {
		k, rest, err := column.DecodeKeys(b)
		if err != nil {
			if !errors.Is(err, schema.ErrCorrupt) {
				t.Fatal(err)
			}
			return false
		}
		for i := range k.Len() {
			k.At(i)
			k.Hash(i)
		}
		if len(rest) > len(b) {
			t.Fatalf("%d bytes are left of %d", len(rest), len(b))
		}
		return true
	}})
}
