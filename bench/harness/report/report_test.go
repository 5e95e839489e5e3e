package report_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/bench/harness/report"
	"github.com/selkiedb/selkie/bench/harness/result"
)

func record(name, system string, change func(r *result.Record)) result.Record {
	r := result.Blank()
	r.Case, r.System, r.Version, r.Dataset, r.SHA256 = name, system, "1.2", "words", "0123456789abcdef"
	r.Rows, r.Dim, r.Metric, r.Threads, r.Rounds, r.CPU, r.Go, r.Commit = 1000, 100, "COSINE", 1, 5, "a processor", "go1.26", "abc"
	change(&r)
	return r
}

// synthetic is a run in which Selkie wins at recall .95 and loses at .99, and loses the build.
func synthetic() []result.Record {
	var all []result.Record
	search := func(system, m string, points ...float64) {
		for i := 0; i < len(points); i += 2 {
			all = append(all, record("search", system, func(r *result.Record) {
				r.K, r.Params = 10, result.Params{"ef": fmt.Sprint(16 << i), result.ChosenRecall: "0.9"}
				if m != "" {
					r.Params["M"] = m
				}
				r.Recall, r.QPS, r.P50, r.P99, r.RSS = result.Num(points[i]), result.Num(points[i+1]), 100, 250, 300
			}))
		}
	}
	search("selkie", "", .90, 20_000, .95, 10_000, .99, 900, .9999, 100)
	search("hnswlib", "16", .90, 5000, .95, 2500, .99, 1000)
	search("exact <b>", "", 1, 10)
	for system, seconds := range map[string]float64{"selkie": 20, "quick": 5, "slow": 100} {
		all = append(all, record("build", system, func(r *result.Record) { r.SetMain(result.Build, []float64{seconds}); r.RSS = 200 }))
	}
	for i, sync := range []string{"always", "none"} {
		all = append(all, record("ingest", "selkie", func(r *result.Record) {
			r.Durability, r.Params = sync, result.Params{"batch": "1000", "writers": "1"}
			r.SetMain(result.Rate, []float64{float64(300_000 * (i + 1))})
		}))
	}
	for i, percent := range []string{"90", "0.1", "10"} { // in no order
		all = append(all, record("filter", "selkie", func(r *result.Record) {
			r.K, r.Recall, r.Params = 10, .97, result.Params{"kind": "correlated", "percent": percent}
			r.SetMain(result.QPS, []float64{float64(3000 * (i + 1))})
		}))
	}
	for i, count := range []string{"100", "10"} {
		all = append(all, record("flush-each", "selkie", func(r *result.Record) {
			r.Params = result.Params{"count": count, "search_us_after": "40"}
			r.SetMain(result.P50, []float64{float64(4000 * (i + 1))})
		}))
	}
	all = append(all, record("reopen", "selkie", func(r *result.Record) {
		r.Params = result.Params{"after": "kill"}
		r.SetMain(result.P50, []float64{5000, 6000, 7000})
	}))
	for t := range 2 {
		all = append(all, record("concurrent", "selkie", func(r *result.Record) {
			r.Threads, r.K, r.Recall = t+1, 10, .951
			r.SetMain(result.QPS, []float64{1000 * float64(t+1)})
		}))
	}
	return all
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	require.NoError(t, report.New(synthetic()).Markdown(&b, "pictures"))
	text := b.String()
	for _, want := range []string{
		"- Processor: a processor", "words, 1000 × 100, COSINE, SHA-256 0123456789ab…",
		"| **selkie** | 20,000 | 10,000 | 900 |  |  |",
		"| hnswlib M=16 | 5,000 | 2,500 | 1,000 | 4.00 | 0.90 |",
		"![queries/s over recall, words](pictures/search-words.svg)",
		"- words, recall 0.99: hnswlib M=16 answers 1,000 queries/s, selkie 900",
		"- words, build on 1 thread(s): quick takes 5 s, selkie 20 s",
		"| **selkie** | 2 | 0.9510 | 2,000 | 2,000–2,000 | – | – | 2.00 |", "| quick | 1 | 5 | 5–5 | – | 200 | – |",
		"| **selkie** | after=kill |  | 6,000 µs | 5,000–7,000 |",
		"300,000",
	} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "recall 0.95: hnswlib", "that is no loss")
	require.NotContains(t, text, "slow takes")
}

func TestNothingMeasured(t *testing.T) {
	var b strings.Builder
	require.NoError(t, report.New(nil).Markdown(&b, ""))
	require.NoError(t, report.New(nil).HTML(&b))
}

// The page is whole: all in one file, well-formed pictures, nothing to fetch, no script.
func TestHTML(t *testing.T) {
	r := report.New(synthetic())
	var b bytes.Buffer
	require.NoError(t, r.HTML(&b))
	page := b.String()
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "exact <b>", "names are escaped")
	require.NotRegexp(t, regexp.MustCompile(`(src|href)="[^#]`), page)
	require.NotContains(t, strings.ReplaceAll(page, "http://www.w3.org/", ""), "http")
	require.Equal(t, 6, strings.Count(page, "<svg"), "search, build, memory, ingest, filter, flush-each")
	for _, s := range r.Sections {
		if s.Chart == nil {
			continue
		}
		svg, err := s.Chart.SVG()
		require.NoError(t, err)
		require.NotContains(t, string(svg), "#010203")
		require.NotContains(t, string(svg), "#-")
		require.Contains(t, string(svg), "var(--chart-ink")
		require.NoError(t, wellFormed(svg))
	}
}

func wellFormed(doc []byte) error {
	for dec := xml.NewDecoder(bytes.NewReader(doc)); ; {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A real browser shows the page: each chart has a size, and its log tells of no error.
func TestInBrowser(t *testing.T) {
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("no Chromium here (Debian: chromium)")
	}
	if testing.Short() {
		t.Skip("a browser is not for a short run")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	require.NoError(t, report.New(synthetic()).HTML(&b))
	// What the browser laid out is told by a script that only the test adds.
	const probe = `<script>
window.onerror = (m) => document.body.dataset.error = m
window.onload = () => {
  const boxes = [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect())
  document.body.dataset.charts = boxes.filter(b => b.width > 300 && b.height > 80).length
  document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth
  document.body.dataset.fetched = performance.getEntriesByType('resource').length
}</script></body>`
	name := filepath.Join(dir, "page.html")
	require.NoError(t, os.WriteFile(name, []byte(strings.Replace(b.String(), "</body>", probe, 1)), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+dir,
		"--virtual-time-budget=2000", "--dump-dom", "file://"+name)
	out, err := cmd.Output()
	require.NoError(t, err)
	body := regexp.MustCompile(`<body[^>]*>`).FindString(string(out))
	require.Contains(t, body, `data-charts="6"`)
	require.Contains(t, body, `data-fetched="0"`)
	require.Contains(t, body, `data-wide="false"`)
	require.NotContains(t, body, "data-error")
}
