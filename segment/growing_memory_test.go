package segment

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Chunks made ahead are used, counted once, and bounded.
func TestChunksAhead(t *testing.T) {
	const width = 400
	c := newChunks(width)
	rows := uint32(1) << c.shift
	full := int64(width) << c.shift
	require.EqualValues(t, full, c.reserve(rows))
	require.EqualValues(t, 2*full, c.ahead(int(rows)+1))
	require.Zero(t, c.ahead(int(rows)+1), "they are there")
	require.Zero(t, c.reserve(3*rows), "both were counted when they were made")
	require.EqualValues(t, full, c.reserve(3*rows+1), "none is left")
	require.Zero(t, c.ahead(10), "too few rows to be worth it")
	require.LessOrEqual(t, c.ahead(1<<20), int64(spareBytes))

	src := bytes.Repeat([]byte{1, 2, 3, 4}, width/4)
	for row := range 5 * rows {
		c.reserve(row + 1)
		src[0] = byte(row)
		c.write(row, src)
	}
	for row := range 5 * rows {
		src[0] = byte(row)
		require.Equal(t, src, c.at(row))
	}
}
