package column_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/column"
)

func TestKeysCompare(t *testing.T) {
	a, b := column.IntKeys(-5, 7), column.IntKeys(7, 3)
	require.Equal(t, []int{-1, -1, 0, 1}, []int{a.Compare(0, b, 0), a.Compare(0, b, 1), a.Compare(1, b, 0), a.Compare(1, b, 1)})
	s, u := column.StringKeys("b", "a\x00"), column.StringKeys("a", "é", "b")
	require.Equal(t, []int{1, -1, 0, 1}, []int{s.Compare(0, u, 0), s.Compare(0, u, 1), s.Compare(0, u, 2), s.Compare(1, u, 0)})
	for i := range s.Len() {
		for j := range u.Len() {
			require.Equal(t, s.At(i).Compare(u.At(j)), s.Compare(i, u, j))
		}
	}
}
