package report

import (
	"fmt"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/result"
)

// relations are what a filter has to do with its query, in words.
var relations = map[string]string{
	"none": "by chance", "near": "rows around the query", "distant": "rows away from the query",
}

// filtered tells of searches with filters: each system at the parameters that are quickest at a recall of .95.
func (r *Report) filtered(set string, records []result.Record) {
	if len(records) == 0 {
		return
	}
	t := &Table{Texts: 3, Head: []string{"system", "matching", "share, %", "queries/s", "min–max", "recall", "p50 µs", "p99 µs"}}
	chart := &Chart{Name: "plans-" + set, Title: "queries/s under a filter by chance, " + set}
	for i := range records {
		x := &records[i]
		name := x.System
		for _, p := range []string{"codes", "scalar", "plan", "ef"} {
			if v := x.Params[p]; v != "" {
				name += " " + p + "=" + v
			}
		}
		t.Rows = append(t.Rows, []string{
			name, relations[x.Params["relation"]], x.Params["share"], thousands(float64(x.QPS)), span(x), num(x.Recall, 3), num(x.P50, 3), num(x.P99, 3),
		})
		t.Strong = append(t.Strong, own(x) && x.Params["plan"] == "")
		if x.Params["relation"] == "none" && x.Params["plan"] == "" {
			title := fmt.Sprintf("%s %% %s", x.Params["share"], strings.TrimSpace(x.System+" "+x.Params["codes"]+x.Params["scalar"]))
			chart.bar(title, float64(x.QPS), own(x))
		}
	}
	for i := range records {
		x := &records[i]
		for j := range records {
			y := &records[j]
			same := x.Params["share"] == y.Params["share"] && x.Params["relation"] == y.Params["relation"]
			if same && own(y) && y.Params["plan"] == "" && !own(x) && x.QPS > y.QPS && x.Recall >= .95 {
				r.Losses = append(r.Losses, fmt.Sprintf("%s, filter of %s %%, %s: %s answers %s queries/s, %s %s", set, x.Params["share"], relations[x.Params["relation"]],
					x.System, thousands(float64(x.QPS)), y.System, thousands(float64(y.QPS))))
			}
		}
	}
	r.Sections = append(r.Sections, Section{
		ID: "plans-" + set, Title: "Filtered search: " + set,
		Text: strings.TrimSpace("Each query has a filter, which is evaluated with it. Without a plan: the search parameter that is quickest at a recall of .95. " +
			"With one: Selkie at its defaults, choosing (auto) or forced. " + clock(&records[0])),
		Chart: chart.orNil(), Table: t,
	})
}
