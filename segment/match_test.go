package segment

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeptMatches(t *testing.T) {
	var k keptMatches
	require.Nil(t, k.find("a"))
	sets := map[string]*RowSet{}
	keep := func(key string) {
		sets[key] = &RowSet{Words: make([]uint64, 3)}
		k.keep(key, sets[key])
	}
	for i := range keptSets {
		keep(fmt.Sprint(i))
	}
	require.EqualValues(t, keptSets*3*8, k.bytes())
	require.Same(t, sets["0"], k.find("0"), "the oldest, and from now on the newest")
	keep("x")
	require.Nil(t, k.find("1"), "the oldest had to go")
	for _, key := range []string{"0", "x", "2", "7"} {
		require.Same(t, sets[key], k.find(key))
	}
	k.keep("2", sets["x"]) // somebody else was quicker
	require.Same(t, sets["x"], k.find("2"))
	require.EqualValues(t, keptSets*3*8, k.bytes())
}
