package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/internal/hammertest"
)

func TestHammerRows(t *testing.T) {
	var seeds [][]byte
	for _, rows := range [][]uint32{nil, {0}, {1, 2, 3, 900, 70_000}, {5, 6, 7, 8, 9, 10, 11, 12}} {
		raw, err := EncodeRows(nil, rows)
		require.NoError(t, err)
		seeds = append(seeds, raw[8:])
	}
	const limit = 1 << 16
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: limit * 24, PerByte: 64, Try: func(b []byte) bool {
		head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
		b = append(binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli)), b...)
		rows, _, err := DecodeRows(b, limit)
		if err != nil {
			require.ErrorIs(t, err, ErrBadTombstones)
			return false
		}
		for i, r := range rows {
			if r >= limit || i > 0 && rows[i-1] >= r {
				t.Fatalf("row %d after %v", r, rows[max(i-1, 0)])
			}
		}
		return len(rows) < 1000
	}})
}

func TestHammerChunk(t *testing.T) {
	for width, seeds := range map[int][][]byte{
		0: {chunkOf(0, false, "a", "", "bcd"), chunkOf(0, true, "a", "x", "", "bcd")},
		4: {chunkOf(4, true, "abcd", "efgh", "ijkl"), chunkOf(4, false, "abcd")},
	} {
		hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 1 << 10, PerByte: 8, Try: func(b []byte) bool {
			d, err := decodeChunk(b, width)
			if err != nil {
				if !errors.Is(err, errBadChunk) {
					t.Fatal(err)
				}
				return false
			}
			size := 0
			for i := range d.Rows {
				size += len(d.Value(i))
				d.IsNull(i)
			}
			if size > len(b) {
				t.Fatalf("%d bytes of values in %d", size, len(b))
			}
			return true
		}})
	}
}

func TestHammerMeta(t *testing.T) {
	small := sampleMeta()
	small.columns = small.columns[:1]
	hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{sampleMeta().encode()[8:], small.encode()[8:]}, PerInput: 4 << 10, PerByte: 64, Try: func(body []byte) bool {
		raw := binary.LittleEndian.AppendUint32(nil, crc32.Checksum(body, castagnoli))
		m, err := decodeMeta(append(binary.LittleEndian.AppendUint32(raw, 0), body...))
		if err != nil {
			return false
		}
		for i := range m.columns {
			c := &m.columns[i]
			if m.Rows == 0 || len(c.starts) == 0 || len(c.starts) != len(c.sums) || c.chunkOf(m.Rows-1) >= len(c.starts) {
				t.Fatalf("column %d of %d rows: %v", i, m.Rows, c.starts)
			}
		}
		return true
	}})
}
