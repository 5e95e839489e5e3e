package bandwidth

import "encoding/binary"

func sumGo(b []byte) uint64 {
	var lanes [4]uint64
	for len(b) >= 32 {
		for i := range lanes {
			lanes[i] += binary.LittleEndian.Uint64(b[8*i:])
		}
		b = b[32:]
	}
	for ; len(b) >= 8; b = b[8:] {
		lanes[0] += binary.LittleEndian.Uint64(b)
	}
	return lanes[0] + lanes[1] + lanes[2] + lanes[3]
}
