package inverted_test

import (
	"encoding/binary"
	"testing"

	"github.com/selkiedb/selkie/internal/hammertest"
	"github.com/selkiedb/selkie/vector/inverted"
)

// TestHammerOpen spoils indexes under right checksums.
func TestHammerOpen(t *testing.T) {
	var seeds [][]byte
	for name, c := range savedCases() {
		if name != "windows" {
			seeds = append(seeds, save(t, build(t, c)))
		}
	}
	hammertest.Run(t, hammertest.Decoder{Seeds: seeds, PerInput: 256 << 10, PerByte: 64, Slow: 10, Try: func(b []byte) bool {
		if len(b) < 512 {
			return false
		}
		copy(b, "SELKSPX\n\x01\x00\x00\x00")
		binary.LittleEndian.PutUint64(b[16:], identity.Segment)
		binary.LittleEndian.PutUint64(b[24:], identity.Token)
		reseal(b)
		_, err := inverted.Open(b, identity)
		tryAll(t, b)
		return err == nil
	}})
}
