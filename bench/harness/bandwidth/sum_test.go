package bandwidth

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 5000)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for n := range len(b) {
		at := rng.IntN(len(b) - n)
		want := uint64(0)
		for i := at; i+8 <= at+n; i += 8 {
			want += binary.LittleEndian.Uint64(b[i:])
		}
		require.Equal(t, want, Sum(b[at:at+n]), "%d bytes", n)
		require.Equal(t, want, sumGo(b[at:at+n]), "%d bytes", n)
	}
	require.NotEmpty(t, Name())
}
