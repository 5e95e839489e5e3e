package result_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/result"
)

func search(system, ef string, recall, qps, low, high float64, rounds int) result.Record {
	r := result.Blank()
	r.Case, r.System, r.Dataset, r.Metric, r.K, r.Threads = "search", system, "words", "COSINE", 10, 1
	r.Params = result.Params{"ef": ef, result.ChosenRecall: result.Digits(recall+.001, 4)}
	r.Recall, r.QPS, r.Min, r.Max, r.Rounds = result.Num(recall), result.Num(qps), result.Num(low), result.Num(high), rounds
	return r
}

// The fields are an interface: scripts read them.
func TestRecordHasExactlyItsFields(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, result.Write(&b, search("selkie", "64", .95, 12345.678, 12000, 13000, 5)))
	require.Equal(t, `{"case":"search","system":"selkie","version":"","dataset":"words","sha256":"","rows":0,"dim":0,"metric":"COSINE","k":10,`+
		`"params":{"chosen_recall":"0.951","ef":"64"},"threads":1,"durability":"","recall":0.95,"qps":12346,"p50_us":null,"p95_us":null,"p99_us":null,`+
		`"build_s":null,"rows_per_s":null,"rss_mb":null,"heap_mb":null,"disk_mb":null,"cpu":"","go":"","commit":"","rounds":5,"min":12000,"max":13000}`+"\n", b.String())

	records, err := result.Read(&b)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.InDelta(t, 12346, float64(records[0].QPS), 1e-9)
	require.False(t, records[0].Build.Known())
	f, v := records[0].Main()
	require.Equal(t, result.QPS, f)
	require.Equal(t, records[0].QPS, v)
}

func TestReadRefuses(t *testing.T) {
	for _, text := range []string{`{"case":`, `{"speed":1}`, `[]`} {
		_, err := result.Read(strings.NewReader("{}\n" + text))
		require.ErrorContains(t, err, "line 2", text)
	}
}

func TestSummaries(t *testing.T) {
	require.Equal(t, result.Summary{N: 3, Min: 1, Median: 2, Max: 9}, result.Summarize([]float64{9, 1, 2}))
	require.InDelta(t, 2.5, result.Median([]float64{4, 1, 2, 3}), 0)
	require.True(t, math.IsNaN(result.Summarize(nil).Median))
	sorted := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	require.InDelta(t, 5, result.Quantile(sorted, .5), 0)
	require.InDelta(t, 10, result.Quantile(sorted, .99), 0)
	require.InDelta(t, 1, result.Quantile(sorted, 0), 0)
	require.True(t, math.IsNaN(result.Quantile(nil, .5)))
}

func TestDigits(t *testing.T) {
	for want, x := range map[string]float64{"0": 0, "12346": 12345.678, "1234600": 1234567, "0.95124": .951236, "-0.0012": -.0012, "99999": 99999.4, "1": .9999999} {
		require.Equal(t, want, result.Digits(x, 5))
	}
}

func TestFrontierAndInterpolation(t *testing.T) {
	points := []result.Point{{.9, 1000}, {.95, 500}, {.94, 400}, {.99, 100}, {.99, 90}}
	frontier := result.Frontier(points)
	require.Equal(t, []result.Point{{.9, 1000}, {.95, 500}, {.99, 100}}, frontier)
	at := func(recall float64) float64 {
		qps, ok := result.AtRecall(frontier, recall)
		require.True(t, ok)
		return qps
	}
	require.InDelta(t, 500, at(.95), 1e-9)
	require.InDelta(t, 1000, at(.5), 1e-9, "a curve that is better than asked for")
	between := at(.97)
	require.Less(t, between, 500.0)
	require.Greater(t, between, 100.0)
	_, ok := result.AtRecall(frontier, .999)
	require.False(t, ok, "nothing is extrapolated")
	_, ok = result.AtRecall(nil, .9)
	require.False(t, ok)
}

func verdicts(changes []result.Change) (v []result.Verdict) {
	for _, c := range changes {
		v = append(v, c.Verdict)
	}
	return v
}

func TestCompareByRanges(t *testing.T) {
	build := func(seconds, low, high float64) result.Record {
		r := result.Blank()
		r.Case, r.System, r.Rounds, r.Build, r.Min, r.Max = "build", "selkie", 3, result.Num(seconds), result.Num(low), result.Num(high)
		return r
	}
	for name, c := range map[string]struct {
		a, b result.Record
		want result.Verdict
	}{
		"faster":            {search("s", "64", .95, 100, 95, 105, 5), search("s", "64", .95, 120, 110, 125, 5), result.Better},
		"slower":            {search("s", "64", .95, 120, 110, 125, 5), search("s", "64", .95, 100, 95, 105, 5), result.Worse},
		"ranges touch":      {search("s", "64", .95, 100, 95, 112, 5), search("s", "64", .95, 120, 110, 125, 5), result.CantTell},
		"too few rounds":    {search("s", "64", .95, 100, 100, 100, 1), search("s", "64", .95, 120, 120, 120, 1), result.CantTell},
		"another recall":    {search("s", "64", .95, 100, 95, 105, 5), search("s", "64", .90, 200, 190, 210, 5), result.CantTell},
		"less time is more": {build(10, 9, 11), build(5, 4, 6), result.Better},
		"more time is less": {build(5, 4, 6), build(10, 9, 11), result.Worse},
	} {
		require.Equal(t, []result.Verdict{c.want}, verdicts(result.Compare([]result.Record{c.a}, []result.Record{c.b})), name)
	}
}

// With as many runs as the U test needs, touching ranges no longer hide a difference, and one outlier makes none.
func TestCompareByRuns(t *testing.T) {
	runs := func(qps ...float64) (all []result.Record) {
		for _, q := range qps {
			all = append(all, search("s", "64", .95, q, q*.8, q*1.2, 5))
		}
		return all
	}
	base := runs(100, 101, 99, 102, 98)
	require.Equal(t, []result.Verdict{result.Better}, verdicts(result.Compare(base, runs(110, 111, 109, 112, 108))))
	require.Equal(t, []result.Verdict{result.CantTell}, verdicts(result.Compare(base, runs(101, 100, 98, 99, 300))))
}

func TestCompareMatchesByWhatWasMeasured(t *testing.T) {
	a := []result.Record{search("s", "64", .95, 100, 95, 105, 5), search("s", "32", .9, 100, 95, 105, 5)}
	b := []result.Record{search("s", "128", .98, 100, 95, 105, 5), search("s", "64", .951, 100, 95, 105, 5)}
	changes := result.Compare(a, b)
	require.Equal(t, []result.Verdict{result.OnlyB, result.CantTell, result.OnlyA}, verdicts(changes))

	var out strings.Builder
	require.NoError(t, result.WriteChanges(&out, changes))
	require.Contains(t, out.String(), "can't tell")
	require.Contains(t, out.String(), "1.000×")
	require.Contains(t, out.String(), "0.9500 → 0.9510")
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 4)
}
