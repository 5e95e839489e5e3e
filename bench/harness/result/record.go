package result

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// Num is a figure that may be missing: NaN, which is null in JSON.
type Num float64

// None is the figure that was not measured.
var None = Num(math.NaN())

// Known reports whether the figure was measured.
func (n Num) Known() bool { return !math.IsNaN(float64(n)) }

// MarshalJSON writes five significant digits at most: more would be noise.
func (n Num) MarshalJSON() ([]byte, error) {
	if !n.Known() || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, "%s", Digits(float64(n), 5)), nil
}

// UnmarshalJSON reads null as None.
func (n *Num) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*n = None
		return nil
	}
	var f float64
	err := json.Unmarshal(b, &f)
	*n = Num(f)
	return err
}

// Params are the parameters of a system or a case, by name.
type Params map[string]string

// String lists the parameters by name, as in "M=16 ef=64".
func (p Params) String() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p)) {
		parts = append(parts, name+"="+p[name])
	}
	return strings.Join(parts, " ")
}

// With returns a copy of p with the parameters of others added.
func (p Params) With(others ...Params) Params {
	all := Params{}
	maps.Copy(all, p)
	for _, o := range others {
		maps.Copy(all, o)
	}
	return all
}

// Record is one measurement. Its JSON names are the harness's interface to scripts.
type Record struct {
	Case       string `json:"case"`
	System     string `json:"system"`
	Version    string `json:"version"`
	Dataset    string `json:"dataset"`
	SHA256     string `json:"sha256"` // of the rows and queries
	Rows       int    `json:"rows"`
	Dim        int    `json:"dim"`
	Metric     string `json:"metric"`
	K          int    `json:"k"` // 0 where nothing is searched
	Params     Params `json:"params"`
	Threads    int    `json:"threads"`
	Durability string `json:"durability"` // what a write that returned survives; "" where nothing is written

	Recall Num `json:"recall"` // of the k nearest, ties tolerated
	QPS    Num `json:"qps"`    // queries or operations a second
	P50    Num `json:"p50_us"` // of one query or operation, in microseconds
	P95    Num `json:"p95_us"`
	P99    Num `json:"p99_us"`
	Build  Num `json:"build_s"`    // making the index, in seconds
	Rate   Num `json:"rows_per_s"` // rows written, built or read a second
	RSS    Num `json:"rss_mb"`     // resident memory of the system's process, in MiB
	Heap   Num `json:"heap_mb"`    // of it, what the Go heap holds
	Disk   Num `json:"disk_mb"`    // files, in MiB

	CPU    string `json:"cpu"`
	Go     string `json:"go"`
	Commit string `json:"commit"` // of Selkie and the harness
	Rounds int    `json:"rounds"`
	Min    Num    `json:"min"` // of the main figure over the rounds
	Max    Num    `json:"max"`
}

// Blank returns a record in which nothing was measured.
func Blank() Record {
	return Record{
		Params: Params{},
		Recall: None, QPS: None, P50: None, P95: None, P99: None, Build: None, Rate: None, RSS: None, Heap: None, Disk: None,
		Min: None, Max: None,
	}
}

// Figure is one of a record's figures, by its JSON name.
type Figure string

// The figures that can be a record's main one.
const (
	QPS   Figure = "qps"
	Rate  Figure = "rows_per_s"
	Build Figure = "build_s"
	P50   Figure = "p50_us"
)

// LessIsBetter reports whether a smaller figure is the better one.
func (f Figure) LessIsBetter() bool { return f == Build || f == P50 }

// Main is the figure that a record was made for, to which Min and Max belong: the first that was measured of build
// time, rows a second, operations a second and the median time of one.
func (r *Record) Main() (Figure, Num) {
	for _, f := range []struct {
		name  Figure
		value Num
	}{{Build, r.Build}, {QPS, r.QPS}, {Rate, r.Rate}, {P50, r.P50}} {
		if f.value.Known() {
			return f.name, f.value
		}
	}
	return "", None
}

// SetMain puts the median of samples in the main figure f, and their least and greatest in Min and Max.
func (r *Record) SetMain(f Figure, samples []float64) {
	r.Rounds = len(samples)
	s := Summarize(samples)
	r.Min, r.Max = Num(s.Min), Num(s.Max)
	switch f {
	case QPS:
		r.QPS = Num(s.Median)
	case Rate:
		r.Rate = Num(s.Median)
	case Build:
		r.Build = Num(s.Median)
	case P50:
		r.P50 = Num(s.Median)
	}
}

// Key says what was measured, without what came of it: two runs are compared by it.
func (r *Record) Key() string {
	parameters := maps.Clone(r.Params)
	for _, name := range outcomes {
		delete(parameters, name)
	}
	return fmt.Sprintf("%s|%s|%s|%d|%d|%s|%d|%s|%d|%s", r.Case, r.System, r.Dataset, r.Rows, r.Dim, r.Metric, r.K, parameters, r.Threads, r.Durability)
}

// outcomes are parameters that tell what came of a measurement, not what was asked for.
var outcomes = []string{
	ChosenRecall, "segments_after", "search_us_after", "inserted", "compact_s", "rebuild_s", "of_rebuild", "compact_passed_s", "rebuild_passed_s",
	"merged_recall", "rebuilt_recall", "scan_gb_per_s", "sum_gb_per_s", "code_mb", "share_of_sum", "anonymous_mb", "anonymous_bytes_per_row", "peak_per_index",
	"mb_per_s", "write_mb_per_s", "share_of_write",
}

// ChosenRecall is the parameter that holds the recall on the half of the queries by which search parameters are chosen.
const ChosenRecall = "chosen_recall"

// Write appends records to w, one JSON object a line.
func Write(w io.Writer, records ...Record) error {
	for i := range records {
		line, err := json.Marshal(&records[i])
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// Read reads what Write wrote. An unknown field is an error: it would be a figure that nobody looks at.
func Read(r io.Reader) ([]Record, error) {
	var records []Record
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 {
			rec := Blank()
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&rec); err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			records = append(records, rec)
		}
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
