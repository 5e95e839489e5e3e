package graph_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/vector/graph"
)

// TestHammerOpen spoils indexes under right checksums.
func TestHammerOpen(t *testing.T) {
	var seeds [][]byte
	for name, c := range savedCases(t) {
		c.cut(20)
		bits := 8
		if strings.Contains(name, "4 bits") {
			bits = 4
		}
		seeds = append(seeds, save(t, build(t, c, graph.Options{FlatBytes: -1, Bits: bits, Degree: 6, Candidates: 8, LeafRows: 64, Entries: 8})))
	}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 256 << 10, PerByte: 64, Slow: 10, Try: func(b []byte) bool {
		if len(b) < 512 {
			return false
		}
		copy(b, "SELKIDX\n\x01\x00\x00\x00")
		binary.LittleEndian.PutUint64(b[16:], identity.Segment)
		binary.LittleEndian.PutUint64(b[24:], identity.Token)
		reseal(b)
		_, err := graph.Open(b, identity)
		tryAll(t, b)
		return err == nil
	}})
}
