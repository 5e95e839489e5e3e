package cases_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/cases"
	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/hosted"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/system"
)

// TestMain is the hosted workers' program, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "worker" {
		if hosted.Serve(context.Background(), os.Args[2], os.Args[3]) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// transcript is what the harness and its workers, which write side by side, have said.
type transcript struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func bench(t *testing.T, systems string) (*cases.Bench, *[]result.Record, *transcript) {
	cache := dataset.Cache(t.TempDir())
	set, err := cache.Prepare(t.Context(), "made-4k-d16-l2", dataset.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { set.Close() })
	chosen, err := system.Select(system.All(), systems)
	require.NoError(t, err)
	records, said := &[]result.Record{}, &transcript{}
	return &cases.Bench{
		Env:     system.Env{Cache: string(cache), Self: os.Args[0], Core: -1, Log: said},
		Systems: chosen, Sets: []*dataset.Set{set}, K: 10, Quick: true, Seconds: .02, Temp: t.TempDir(), Commit: "test",
		Show: cases.Quiet{W: said}, Emit: func(r result.Record) error { *records = append(*records, r); return nil },
	}, records, said
}

func run(t *testing.T, name string, b *cases.Bench) error {
	for _, c := range cases.All() {
		if c.Name == name {
			return c.Run(t.Context(), b)
		}
	}
	t.Fatal(name)
	return nil
}

func TestSearch(t *testing.T) {
	b, records, _ := bench(t, "selkie,selkie-exact,selkie-index")
	require.NoError(t, run(t, "search", b))
	seen := map[string]int{}
	for _, r := range *records {
		seen[r.Case+" "+r.System]++
		require.Equal(t, []any{"made-4k-d16-l2", 4000, 16, "L2", "test"}, []any{r.Dataset, r.Rows, r.Dim, r.Metric, r.Commit})
		require.Len(t, r.SHA256, 64)
		if r.Case == "search" {
			require.Positive(t, float64(r.QPS))
			require.LessOrEqual(t, r.Min, r.QPS)
			require.LessOrEqual(t, r.QPS, r.Max)
			require.Equal(t, 2, r.Rounds)
			require.Greater(t, float64(r.P99), 0.0)
			require.Greater(t, float64(r.Recall), .5)
			chosen, err := strconv.ParseFloat(r.Params[result.ChosenRecall], 64)
			require.NoError(t, err)
			require.InDelta(t, chosen, float64(r.Recall), .1)
		}
		if r.System == "selkie-exact" {
			require.InDelta(t, 1, float64(r.Recall), 0, "an exact search finds all")
		}
	}
	require.Equal(t, 1, seen["search selkie-exact"])
	require.Equal(t, 1, seen["build selkie"])
	require.Positive(t, seen["search selkie-index"])
}

func TestScan(t *testing.T) {
	b, records, said := bench(t, "selkie")
	require.NoError(t, run(t, "scan", b), "%s", said)
	require.Len(t, *records, 1)
	r := (*records)[0]
	require.Equal(t, "selkie-codes", r.System)
	require.InDelta(t, 1, float64(r.Recall), .01, "all codes were read")
	for _, name := range []string{"scan_gb_per_s", "sum_gb_per_s", "share_of_sum"} {
		x, err := strconv.ParseFloat(r.Params[name], 64)
		require.NoError(t, err, name)
		require.Positive(t, x, name)
	}
}

// Searches with filters find what the filters let through.
func TestFilter(t *testing.T) {
	b, records, said := bench(t, "selkie")
	require.NoError(t, run(t, "filter", b), "%s", said)
	require.Len(t, *records, len(dataset.FilterKinds)*2)
	for _, r := range *records {
		require.Equal(t, 10, r.K)
		require.Greater(t, float64(r.Recall), .9, "%s", r.Params)
		require.Positive(t, float64(r.QPS), "%s", r.Params)
	}
}

func TestPlans(t *testing.T) {
	b, records, said := bench(t, "selkie")
	require.NoError(t, run(t, "plans", b), "%s", said)
	seen := map[string]int{}
	for _, r := range *records {
		if r.Case != "plans" {
			continue
		}
		seen[r.Params["plan"]]++
		require.Positive(t, float64(r.QPS))
		if r.Params["plan"] == "scan" || r.Params["plan"] == "auto" {
			require.Greater(t, float64(r.Recall), .9, "%s", r.Params)
		}
	}
	require.Equal(t, map[string]int{"": 12, "auto": 6, "scan": 6, "post": 6, "inside": 6}, seen)
}

// Every case of stores gives records of every kind.
func TestStores(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the disk often")
	}
	b, records, said := bench(t, "selkie,plain-file")
	for _, name := range []string{"ingest", "flush", "searchable", "reopen", "get", "count", "iterate", "delete", "upsert", "flush-each", "flush-many", "mixed", "backup", "checkpoint", "text"} {
		*records = nil
		require.NoError(t, run(t, name, b), "%s: %s", name, said)
		require.NotEmpty(t, *records, name)
		for _, r := range *records {
			f, v := r.Main()
			require.NotEmpty(t, f, name)
			require.Positive(t, float64(v), "%s %s", name, r.Params)
			require.LessOrEqual(t, r.Min, v)
		}
	}
	entries, err := filepath.Glob(filepath.Join(b.Temp, "store-*"))
	require.NoError(t, err)
	require.Empty(t, entries, "stores are removed")
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	b, records, said := bench(t, "hnswlib")
	t.Setenv("CXX", "no-such-compiler")
	require.ErrorContains(t, run(t, "search", b), "no system could run it")
	require.Contains(t, said.String(), "skipped: hnswlib: not here: not installed: no-such-compiler is not here")
	require.Empty(t, *records)
}

// A system that dies fails the case, says so, and takes nobody with it.
func TestSystemThatDies(t *testing.T) {
	for _, script := range []string{
		`exit 3`,
		`read l; echo "ok?version=1"; read l; echo "ok?"; exit 3`,                             // in the build
		`read l; echo "ok?version=1"; read l; echo "ok?"; read l; echo "ok?"; read l; exit 3`, // in a search
	} {
		b, records, said := bench(t, "selkie-index")
		dying, err := system.ParseForeign("dying=x")
		require.NoError(t, err)
		dying.Command = []string{"sh", "-c", script}
		b.Systems = append([]system.System{dying}, b.Systems...)
		require.ErrorContains(t, run(t, "search", b), "the process ended", script)
		require.Contains(t, said.String(), "FAILED: dying")
		require.NotEmpty(t, *records)
		for _, r := range *records {
			require.Equal(t, "selkie-index", r.System)
		}
	}
}

func TestInterruptLeavesWhatIsFinished(t *testing.T) {
	b, records, _ := bench(t, "selkie")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.Rounds = 1000
	show := &interrupting{after: 25, cancel: cancel}
	b.Show = show
	for _, c := range cases.All() {
		if c.Name == "count" {
			require.ErrorIs(t, c.Run(ctx, b), context.Canceled)
		}
	}
	require.NotEmpty(t, *records)
	for _, r := range *records {
		require.Less(t, r.Rounds, 1000)
		require.Positive(t, r.Rounds)
	}
}

// interrupting ends a context when some work was done.
type interrupting struct {
	cases.Quiet
	after  int
	cancel func()
}

func (i *interrupting) Line(string, ...any) {}

func (i *interrupting) Done(done, _ int) {
	if done >= i.after {
		i.cancel()
	}
}
