package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/result"
)

// Report is what is told of a list of records.
type Report struct {
	Facts    []string // what everything was measured on
	Losses   []string
	Sections []Section
}

// Section is a table, a chart, or both.
type Section struct {
	ID, Title string
	Text      string
	Chart     *Chart
	Table     *Table
}

// Table is text in rows. Columns after the first few hold numbers.
type Table struct {
	Head   []string
	Texts  int // columns that are text, on the left
	Rows   [][]string
	Strong []bool // rows of Selkie's own
}

// recalls are those that tables tell speeds of.
var recalls = []float64{.90, .95, .99}

// New makes the report of records.
func New(records []result.Record) *Report {
	r := &Report{Facts: facts(records)}
	for _, set := range datasets(records) {
		of := filter(records, func(x *result.Record) bool { return x.Dataset == set })
		r.search(set, filter(of, isCase("search")))
		r.build(set, filter(of, isCase("build")))
		r.concurrent(set, filter(of, isCase("concurrent")))
		r.segments(set, filter(of, isCase("segments")), "segments", "Many segments", "segments")
		r.segments(set, filter(of, isCase("deleted")), "deleted", "Deleted rows", "deleted, %")
		r.filtered(set, filter(of, isCase("plans")))
		r.ingest(set, filter(of, isCase("ingest")))
		r.others(set, of)
	}
	return r
}

func isCase(name string) func(*result.Record) bool {
	return func(r *result.Record) bool { return r.Case == name }
}

func filter(records []result.Record, keep func(*result.Record) bool) (kept []result.Record) {
	for i := range records {
		if keep(&records[i]) {
			kept = append(kept, records[i])
		}
	}
	return kept
}

// uniques are the different values of records, in the order of their first.
func uniques(records []result.Record, of func(*result.Record) string) (all []string) {
	for i := range records {
		if v := of(&records[i]); !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

func datasets(records []result.Record) []string {
	return uniques(records, func(r *result.Record) string { return r.Dataset })
}

func facts(records []result.Record) []string {
	var all []string
	tell := func(name string, values []string) {
		if len(values) > 0 {
			all = append(all, name+": "+strings.Join(values, "; "))
		}
	}
	tell("Processor", uniques(records, func(r *result.Record) string { return r.CPU }))
	tell("Go", uniques(records, func(r *result.Record) string { return r.Go }))
	tell("Commit", uniques(records, func(r *result.Record) string { return r.Commit }))
	tell("Data", uniques(records, func(r *result.Record) string {
		return fmt.Sprintf("%s, %d × %d, %s, SHA-256 %.12s…", r.Dataset, r.Rows, r.Dim, r.Metric, r.SHA256)
	}))
	tell("Versions", uniques(records, func(r *result.Record) string {
		if own(r) {
			return "Selkie at the commit"
		}
		return r.System + " " + r.Version
	}))
	return all
}

func own(r *result.Record) bool { return strings.HasPrefix(r.System, "selkie") }

// searchParams are the parameters that a system is searched with. The others it is built with, and are part of a
// curve's name.
var searchParams = []string{"ef", "efSearch", "nprobe", "k_factor", result.ChosenRecall}

func buildParams(p result.Params) result.Params {
	kept := maps.Clone(p)
	delete(kept, "clock")
	delete(kept, "peak_per_index")
	for _, name := range searchParams {
		delete(kept, name)
	}
	return kept
}

// variant names a system and how it was built.
func variant(r *result.Record) string {
	p := buildParams(r.Params)
	if p["factory"] != "" { // says it all
		return r.System + " " + p["factory"]
	}
	return strings.TrimSpace(r.System + " " + p.String())
}

// curve is the search of one variant.
type curve struct {
	name     string
	own      bool
	records  []result.Record
	frontier []result.Point
}

func curves(records []result.Record) []curve {
	var all []curve
	for _, name := range uniques(records, variant) {
		c := curve{name: name, records: filter(records, func(r *result.Record) bool { return variant(r) == name })}
		c.own = own(&c.records[0])
		var points []result.Point
		for i := range c.records {
			points = append(points, result.Point{Recall: float64(c.records[i].Recall), QPS: float64(c.records[i].QPS)})
		}
		c.frontier = result.Frontier(points)
		all = append(all, c)
	}
	return all
}

// tail is how much slower the 99th of a hundred queries is than the middle one, at the setting nearest above a recall.
func (c *curve) tail(recall float64) string {
	best := -1
	for i := range c.records {
		r := &c.records[i]
		if float64(r.Recall) >= recall && r.P50.Known() && (best < 0 || r.QPS > c.records[best].QPS) {
			best = i
		}
	}
	if best < 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", float64(c.records[best].P99/c.records[best].P50))
}

func (r *Report) search(set string, records []result.Record) {
	if len(records) == 0 {
		return
	}
	all := curves(records)
	var reference *curve
	for _, c := range all {
		if c.own && (reference == nil || c.records[0].System == "selkie" && reference.records[0].System != "selkie") {
			reference = &c
		}
	}
	t := &Table{Texts: 1, Head: []string{"system"}}
	for _, x := range recalls {
		t.Head = append(t.Head, fmt.Sprintf("at %.2f", x))
	}
	if reference != nil {
		for _, x := range recalls[1:] {
			t.Head = append(t.Head, fmt.Sprintf("%s is × at %.2f", reference.name, x))
		}
	}
	t.Head = append(t.Head, "best recall", "p99/p50 at .95", "RSS MiB")
	slices.SortStableFunc(all, func(a, b curve) int { return cmp.Compare(speed(&b, .95), speed(&a, .95)) })
	for i := range all {
		c := &all[i]
		row := []string{c.name}
		for _, x := range recalls {
			row = append(row, qpsAt(c.frontier, x))
		}
		if reference != nil {
			for _, x := range recalls[1:] {
				row = append(row, r.ratio(set, c, reference, x))
			}
		}
		last := c.records[len(c.records)-1]
		t.Rows = append(t.Rows, append(row, fmt.Sprintf("%.4f", c.frontier[len(c.frontier)-1].Recall), c.tail(.95), num(last.RSS, 3)))
		t.Strong = append(t.Strong, c.own)
	}
	first := records[0]
	r.Sections = append(r.Sections, Section{
		ID: "search-" + set, Title: fmt.Sprintf("Search: %s, recall@%d", set, first.K),
		Text: fmt.Sprintf("Queries a second of one thread on one core, at equal recall, interpolated between the measured points; %d rows of %d dimensions, %s. "+
			"Medians of %d rounds, all systems in turns.%s", first.Rows, first.Dim, first.Metric, first.Rounds, clock(&first)),
		Chart: recallChart("search-"+set, "queries/s over recall, "+set, all), Table: t,
	})
}

// clock tells what time is counted, where it is not the time that passes.
func clock(r *result.Record) string {
	if r.Params["clock"] == "cpu" {
		return " Processor time is counted (the machine had other work); p50 and p99 are of the time that passed."
	}
	return ""
}

func speed(c *curve, recall float64) float64 {
	qps, _ := result.AtRecall(c.frontier, recall)
	return qps
}

func qpsAt(frontier []result.Point, recall float64) string {
	if qps, ok := result.AtRecall(frontier, recall); ok {
		return thousands(qps)
	}
	return "–"
}

// ratio is how many times the reference's speed is a rival's. Where it is less than 1, that is a loss.
func (r *Report) ratio(set string, c, reference *curve, recall float64) string {
	if c.own {
		return ""
	}
	ours, ok := result.AtRecall(reference.frontier, recall)
	theirs, ok2 := result.AtRecall(c.frontier, recall)
	if !ok || !ok2 {
		if ok2 && !ok {
			r.Losses = append(r.Losses, fmt.Sprintf("%s: %s reaches recall %.2f, %s did not in this sweep", set, c.name, recall, reference.name))
		}
		return "–"
	}
	if theirs > ours {
		r.Losses = append(r.Losses, fmt.Sprintf("%s, recall %.2f: %s answers %s queries/s, %s %s", set, recall, c.name, thousands(theirs), reference.name, thousands(ours)))
	}
	return fmt.Sprintf("%.2f", ours/theirs)
}

func (r *Report) build(set string, records []result.Record) {
	if len(records) == 0 {
		return
	}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b result.Record) int {
		return cmp.Or(cmp.Compare(a.Threads, b.Threads), cmp.Compare(a.Build, b.Build))
	})
	t := &Table{Texts: 1, Head: []string{"system", "threads", "seconds", "min–max", "rows/s", "RSS MiB", "peak ÷ index", "files MiB"}}
	times, memory := &Chart{Name: "build-" + set, Title: "seconds to make the index, one core, " + set}, &Chart{Name: "memory-" + set, Title: "resident MiB after the build, " + set}
	fastest := map[int]*result.Record{}
	for i := range records {
		x := &records[i]
		if x.Params["segments"] != "" || x.Params["deleted"] != "" {
			continue
		}
		t.Rows = append(t.Rows, []string{
			variant(x), fmt.Sprint(x.Threads), num(x.Build, 3), span(x), thousands(float64(x.Rate)), num(x.RSS, 3), told(x.Params["peak_per_index"]), num(x.Disk, 3),
		})
		t.Strong = append(t.Strong, own(x))
		if x.Threads == 1 {
			times.bar(variant(x), float64(x.Build), own(x))
			if x.RSS.Known() {
				memory.bar(variant(x), float64(x.RSS), own(x))
			}
		}
		if own(x) && fastest[x.Threads] == nil {
			fastest[x.Threads] = x
		}
	}
	for i := range records {
		if x, ours := &records[i], fastest[records[i].Threads]; ours != nil && !own(x) && x.Build < ours.Build {
			r.Losses = append(r.Losses, fmt.Sprintf("%s, build on %d thread(s): %s takes %s s, %s %s s", set, x.Threads, variant(x), num(x.Build, 3), variant(ours), num(ours.Build, 3)))
		}
	}
	r.Sections = append(r.Sections,
		Section{ID: "build-" + set, Title: "Index build: " + set, Text: strings.TrimSpace(clock(&records[0])), Chart: times.orNil(), Table: t},
		Section{ID: "memory-" + set, Title: "Memory: " + set, Text: "Resident memory of the system's process after the build, rows included where it keeps them.", Chart: memory.orNil()})
}

func (r *Report) concurrent(set string, records []result.Record) {
	if len(records) == 0 {
		return
	}
	t := &Table{Texts: 1, Head: []string{"system", "threads", "recall", "queries/s", "min–max", "p50 µs", "p99 µs", "× one thread"}}
	one := map[string]result.Num{}
	for i := range records {
		x := &records[i]
		if x.Threads == 1 {
			one[variant(x)] = x.QPS
		}
		times := "–"
		if base, ok := one[variant(x)]; ok {
			times = fmt.Sprintf("%.2f", float64(x.QPS/base))
		}
		t.Rows = append(t.Rows, []string{
			variant(x), fmt.Sprint(x.Threads), fmt.Sprintf("%.4f", float64(x.Recall)), thousands(float64(x.QPS)), span(x), num(x.P50, 3), num(x.P99, 3), times,
		})
		t.Strong = append(t.Strong, own(x))
	}
	r.Sections = append(r.Sections, Section{ID: "concurrent-" + set, Title: "Concurrent search: " + set, Text: "Threads on all cores.", Table: t})
}

// segments tells of searches of Selkie's own in different states.
func (r *Report) segments(set string, records []result.Record, name, title, state string) {
	if len(records) == 0 {
		return
	}
	all := curves(records)
	t := &Table{Texts: 1, Head: []string{state}}
	for _, x := range recalls {
		t.Head = append(t.Head, fmt.Sprintf("queries/s at %.2f", x))
	}
	for i := range all {
		row := []string{all[i].name}
		for _, x := range recalls {
			row = append(row, qpsAt(all[i].frontier, x))
		}
		t.Rows = append(t.Rows, row)
		t.Strong = append(t.Strong, false)
	}
	r.Sections = append(r.Sections, Section{
		ID: name + "-" + set, Title: title + ": " + set, Text: strings.TrimSpace(clock(&records[0])),
		Chart: recallChart(name+"-"+set, "queries/s over recall, "+title+", "+set, all), Table: t,
	})
}

func (r *Report) ingest(set string, records []result.Record) {
	if len(records) == 0 {
		return
	}
	chart := &Chart{Name: "ingest-" + set, Title: "rows/s, batches of 1,000, one writer, " + set}
	t := &Table{Texts: 2, Head: []string{"system", "sync", "batch", "writers", "rows/s", "min–max", "p50 µs", "p99 µs"}}
	for i := range records {
		x := &records[i]
		t.Rows = append(t.Rows, []string{
			x.System, x.Durability, x.Params["batch"], x.Params["writers"], thousands(float64(x.Rate)), span(x), num(x.P50, 3), num(x.P99, 3),
		})
		t.Strong = append(t.Strong, own(x))
		if x.Params["batch"] == "1000" && x.Params["writers"] == "1" {
			chart.bar(x.System+" "+x.Durability, float64(x.Rate), own(x))
		}
		for j := range records {
			y := &records[j]
			if own(y) && !own(x) && x.System != "plain-file" && x.Durability == y.Durability && x.Params.String() == y.Params.String() && x.Rate > y.Rate {
				r.Losses = append(r.Losses, fmt.Sprintf("%s, ingest, batch %s, sync %s: %s writes %s rows/s, %s %s", set, x.Params["batch"], x.Durability,
					x.System, thousands(float64(x.Rate)), y.System, thousands(float64(y.Rate))))
			}
		}
	}
	r.Sections = append(r.Sections, Section{
		ID: "ingest-" + set, Title: "Ingest: " + set,
		Text:  "always: a call returns when its rows survive a power cut; interval: when they survive a killed process, and a power cut but for the last 100 ms; none: when they survive a killed process. plain-file is no store: it writes the same bytes to a file.",
		Chart: chart.orNil(), Table: t,
	})
}

// others are the cases without a chart of their own.
func (r *Report) others(set string, records []result.Record) {
	for _, name := range uniques(records, func(x *result.Record) string { return x.Case }) {
		switch name {
		case "search", "build", "concurrent", "segments", "deleted", "plans", "ingest":
			continue
		}
		t := &Table{Texts: 2, Head: []string{"system", "what", "sync", "median", "min–max", "p50 µs", "p95 µs", "p99 µs", "recall", "files MiB"}}
		for _, x := range filter(records, isCase(name)) {
			f, v := x.Main()
			unit := map[result.Figure]string{result.P50: " µs", result.Rate: " rows/s", result.QPS: " /s", result.Build: " s"}[f]
			t.Rows = append(t.Rows, []string{x.System, x.Params.String(), x.Durability, thousands(float64(v)) + unit, span(&x), num(x.P50, 3), num(x.P95, 3), num(x.P99, 3), num(x.Recall, 4), num(x.Disk, 3)})
			t.Strong = append(t.Strong, own(&x))
		}
		title := strings.ToUpper(name[:1]) + name[1:]
		var chart *Chart
		switch name {
		case "filter":
			chart = filterChart(set, filter(records, isCase(name)))
		case "flush-each":
			chart = flushChart(set, filter(records, isCase(name)))
		}
		r.Sections = append(r.Sections, Section{ID: name + "-" + set, Title: title + ": " + set, Chart: chart, Table: t})
	}
}

// told is a parameter that may be missing.
func told(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func num(n result.Num, digits int) string {
	if !n.Known() {
		return "–"
	}
	if n >= 1000 {
		return thousands(float64(n))
	}
	return result.Digits(float64(n), digits)
}

func span(r *result.Record) string {
	if !r.Min.Known() {
		return "–"
	}
	return num(r.Min, 3) + "–" + num(r.Max, 3)
}

// thousands writes three significant digits, with commas.
func thousands(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	text := result.Digits(x, 3)
	whole, rest, _ := strings.Cut(text, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if rest != "" {
		return whole + "." + rest
	}
	return whole
}
