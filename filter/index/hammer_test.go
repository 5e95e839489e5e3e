package index_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/internal/hammertest"
)

// resealed mends the identity and the checksums, so that damage is left to the checks of values.
func resealed(b []byte, id index.Identity) []byte {
	const header = 256
	if len(b) < header {
		return b
	}
	table, le := crc32.MakeTable(crc32.Castagnoli), binary.LittleEndian
	copy(b, "SELKSCX\n\x01\x00\x00\x00\x00\x01\x00\x00")
	le.PutUint64(b[16:], id.Segment)
	le.PutUint64(b[24:], id.Token)
	rows, flags, values := uint64(le.Uint32(b[32:])), le.Uint32(b[36:]), uint64(le.Uint32(b[40:]))
	words := 8 * ((rows + 63) / 64)
	size := []uint64{8 * values, uint64(le.Uint32(b[44:])), 4 * (values + 1), 4 * uint64(le.Uint32(b[48:])), uint64(le.Uint32(b[52:])) * words, words}
	if flags&1 != 0 {
		size[0] = 4 * (values + 1)
	}
	if flags&2 != 0 {
		size[4] = 0
	}
	at := uint64(header)
	for i, n := range size {
		end := at + (n+63)/64*64
		if end > uint64(len(b)) || end < at {
			break
		}
		le.PutUint32(b[56+4*i:], crc32.Checksum(b[at:end], table))
		at = end
	}
	le.PutUint32(b[header-4:], crc32.Checksum(b[:header-4], table))
	return b
}

// TestHammerOpen spoils indexes under right checksums, and asks those that open everything.
func TestHammerOpen(t *testing.T) {
	s, fields := sources(t, 100)
	id := index.Identity{Segment: 7, Token: 9}
	terms := map[string][]*filter.Term{}
	for _, expr := range exprs {
		e, err := filter.Parse(expr, s, nil)
		require.NoError(t, err)
		all, _ := e.Terms()
		for _, x := range all {
			terms[x.Field.Name] = append(terms[x.Field.Name], x)
		}
	}
	for _, name := range []string{"number", "text", "tags", "price", "flag"} {
		ix, err := index.Build(t.Context(), fields[name], 0)
		require.NoError(t, err)
		var seed bytes.Buffer
		require.NoError(t, ix.Save(&seed, id))
		hammertest.Run(t, hammertest.Decoder{Seeds: [][]byte{seed.Bytes()}, PerInput: 64 << 10, PerByte: 256, Slow: 10, Try: func(b []byte) bool {
			b = resealed(b, id)
			ix, err := index.Open(b, id)
			if err != nil {
				var c *index.CorruptionError
				if !errors.As(err, &c) {
					t.Fatal(err)
				}
				return false
			}
			for _, x := range terms[name] {
				ix.Answer(x)
			}
			return ix.Rows() <= 1<<16
		}})
	}
}
