package partition

import (
	"testing"

	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/schema"
)

func TestHammerWrite(t *testing.T) {
	parts, writes := recordSample(t, schema.Int64("id").PrimaryKey())
	var seeds [][]byte
	for _, w := range writes {
		seeds = append(seeds, w.encode(nil, 3))
	}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 16 << 10, PerByte: 64, Slow: 4, Try: func(b []byte) bool {
		_, _, _ = RecordHead(b)
		w, err := DecodeWrite(b, finder(parts), parts)
		if err != nil {
			return false
		}
		for _, p := range w.Parts {
			if len(p.Batch.Cols) != len(parts[0].Schema().Fields) || p.Batch.Rows != p.Batch.Keys().Len() {
				t.Fatalf("%d columns, %d rows, %d keys", len(p.Batch.Cols), p.Batch.Rows, p.Batch.Keys().Len())
			}
		}
		return true
	}})
}
