package dataset

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAttributes(t *testing.T) {
	s, err := Cache(t.TempDir()).Prepare(t.Context(), "made-4k-d16-l2", Options{})
	require.NoError(t, err)
	defer s.Close()
	a, err := s.Attributes()
	require.NoError(t, err)
	for _, values := range [][]int64{a.Even, a.Along} {
		sorted := slices.Sorted(slices.Values(values))
		for i, v := range sorted {
			require.EqualValues(t, i, v, "each number once")
		}
	}
	// How many of the nearest rows a filter of a tenth lets through tells its kinds apart.
	near := map[string]int{}
	for _, kind := range FilterKinds {
		for i := range 50 {
			r, err := a.Filter(kind, .1, s.Query(i))
			require.NoError(t, err)
			matches := 0
			for row := range s.Rows {
				if a.Holds(r, row) {
					matches++
				}
			}
			require.Equal(t, s.Rows/10, matches, "%s", r)
			for _, row := range s.Truth[i*s.Depth : i*s.Depth+10] {
				if a.Holds(r, int(row)) {
					near[kind]++
				}
			}
		}
	}
	require.Greater(t, near[Correlated], 2*near[Uncorrelated])
	require.Less(t, near[Anticorrelated], near[Uncorrelated]/2)
	r, err := a.Filter(Uncorrelated, 0, s.Query(0))
	require.NoError(t, err)
	require.Equal(t, Range{"even", 0, 1}, r, "one row at least")
	require.Equal(t, "even < 1", r.String())
	require.Equal(t, "along >= 3 and along < 5", Range{"along", 3, 5}.String())
	_, err = a.Filter("other", .1, s.Query(0))
	require.Error(t, err)
}
