package system_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

func names(systems []system.System) (all []string) {
	for _, s := range systems {
		all = append(all, s.Name)
	}
	return all
}

func TestSelect(t *testing.T) {
	all := system.All()
	for list, want := range map[string][]string{
		"none":                 nil,
		"":                     nil,
		"faiss, selkie":        {"faiss", "selkie"},
		"selkie-index,hnswlib": {"selkie-index", "hnswlib"},
		"all":                  {"hnswlib", "faiss", "usearch", "zvec", "lancedb", "sqlite-vec", "chromem-go"},
	} {
		chosen, err := system.Select(all, list)
		require.NoError(t, err)
		require.Equal(t, want, names(chosen), list)
	}
	_, err := system.Select(all, "hnswlib,oracle")
	require.ErrorContains(t, err, `"oracle"`)
}

// Every system says what it is, and has something to be built and searched with.
func TestSystemsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range []dataset.Meta{{Rows: 300_000, Dim: 100}, {Rows: 60_000, Dim: 784}, {Rows: 2_000_000, Dim: 101}} {
		for _, s := range system.All() {
			seen[s.Name] = true
			require.NotEmpty(t, s.What, s.Name)
			variants := s.Variants(&m)
			require.NotEmpty(t, variants, s.Name)
			if s.Searches == nil {
				require.True(t, s.Stores || s.Extra, s.Name)
				continue
			}
			for _, v := range variants {
				searches := s.Searches(&m, v)
				require.NotEmpty(t, searches, s.Name)
				if s.Effort != "" {
					require.Contains(t, searches[0], s.Effort, s.Name)
				}
			}
		}
	}
	require.Len(t, seen, len(system.All()), "names differ")
}

func TestOnly(t *testing.T) {
	chosen, err := system.Select(system.All(), "faiss")
	require.NoError(t, err)
	s := &chosen[0]
	require.NoError(t, s.Only("IVF"))
	require.Equal(t, []result.Params{{"factory": "IVF1024,PQ50x4fs,RFlat"}}, s.Variants(&dataset.Meta{Rows: 300_000, Dim: 100}))
	require.Error(t, s.Only("("))
}

func TestForeign(t *testing.T) {
	s, err := system.ParseForeign("mine=/bin/worker --fast")
	require.NoError(t, err)
	require.Equal(t, "mine", s.Name)
	require.Equal(t, []string{"/bin/worker", "--fast"}, s.Command)
	for _, text := range []string{"mine", "=x", "mine= "} {
		_, err := system.ParseForeign(text)
		require.Error(t, err, text)
	}
}
