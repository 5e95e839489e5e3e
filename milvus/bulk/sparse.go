package bulk

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strconv"
)

// sparse makes the JSON object of a sparse vector's bytes.
func sparse(raw []byte) map[string]float32 {
	m := make(map[string]float32, len(raw)/8)
	for ; len(raw) >= 8; raw = raw[8:] {
		m[strconv.FormatUint(uint64(binary.LittleEndian.Uint32(raw)), 10)] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4:]))
	}
	return m
}

// pairs makes the bytes of a sparse vector.
func pairs(m map[uint32]float32) []byte {
	raw := make([]byte, 0, 8*len(m))
	for _, at := range slices.Sorted(maps.Keys(m)) {
		raw = binary.LittleEndian.AppendUint32(raw, at)
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(m[at]))
	}
	return raw
}
