package result

import (
	"fmt"
	"io"
	"text/tabwriter"

	"golang.org/x/perf/benchmath"
)

// Verdict is what a comparison can say.
type Verdict string

// The verdicts of Compare, about B against A.
const (
	Better   Verdict = "better"
	Worse    Verdict = "worse"
	CantTell Verdict = "can't tell"
	OnlyA    Verdict = "only in A"
	OnlyB    Verdict = "only in B"
)

// Change compares what two runs measured of one thing.
type Change struct {
	Record  Record // the first of B, or of A where B has none: it says what was measured
	Figure  Figure
	A, B    Summary // of the medians, or of the rounds' least, median and greatest where a side has one record
	Ratio   float64 // B's median over A's
	Noise   float64 // the wider side's (max-min)/median
	Verdict Verdict
	// RecallA and RecallB are the mean recalls of the sides, None where nothing was searched.
	RecallA, RecallB Num
}

// sameRecall is how far two recalls may lie apart for their speeds to be compared.
const sameRecall = 0.002

// Compare matches the records of two runs, A before B, by their keys, in B's order, A's leftovers last.
//
// Where both sides have four records of a key or more (from several runs, concatenated), the verdict is that of the
// Mann-Whitney U test at 5 %. Otherwise a difference counts if the ranges of the rounds, three at least, do not touch.
func Compare(a, b []Record) []Change {
	byKey := map[string][]Record{}
	for _, r := range a {
		byKey[r.Key()] = append(byKey[r.Key()], r)
	}
	ofB := map[string][]Record{}
	for _, r := range b {
		ofB[r.Key()] = append(ofB[r.Key()], r)
	}
	var changes []Change
	done := map[string]bool{}
	for _, r := range b {
		if key := r.Key(); !done[key] {
			done[key] = true
			changes = append(changes, compareKey(byKey[key], ofB[key]))
		}
	}
	for _, r := range a {
		if key := r.Key(); !done[key] {
			done[key] = true
			changes = append(changes, compareKey(byKey[key], nil))
		}
	}
	return changes
}

func compareKey(a, b []Record) Change {
	c := Change{RecallA: meanRecall(a), RecallB: meanRecall(b), A: summarizeRecords(a), B: summarizeRecords(b)}
	switch {
	case len(a) == 0:
		c.Record, c.Verdict = b[0], OnlyB
	case len(b) == 0:
		c.Record, c.Verdict = a[0], OnlyA
	default:
		c.Record = b[0]
	}
	c.Figure, _ = c.Record.Main()
	if c.Verdict != "" {
		return c
	}
	c.Ratio = c.B.Median / c.A.Median
	c.Noise = max((c.A.Max-c.A.Min)/c.A.Median, (c.B.Max-c.B.Min)/c.B.Median)
	c.Verdict = CantTell
	if c.RecallA.Known() && c.RecallB.Known() && (c.RecallA-c.RecallB > sameRecall || c.RecallB-c.RecallA > sameRecall) {
		return c // not the same work
	}
	if !differ(a, b, c.A, c.B) {
		return c
	}
	if (c.Ratio < 1) == c.Figure.LessIsBetter() {
		c.Verdict = Better
	} else {
		c.Verdict = Worse
	}
	return c
}

func differ(a, b []Record, sumA, sumB Summary) bool {
	const enough = 4 // below it the test cannot reach 5 %
	if len(a) >= enough && len(b) >= enough {
		thresholds := benchmath.DefaultThresholds
		x, y := benchmath.NewSample(medians(a), &thresholds), benchmath.NewSample(medians(b), &thresholds)
		return benchmath.AssumeNothing.Compare(x, y).P < thresholds.CompareAlpha
	}
	const rounds = 3
	for _, side := range [][]Record{a, b} {
		n := 0
		for i := range side {
			n += side[i].Rounds
		}
		if n < rounds {
			return false
		}
	}
	return sumA.Max < sumB.Min || sumB.Max < sumA.Min
}

func medians(records []Record) []float64 {
	var m []float64
	for i := range records {
		_, v := records[i].Main()
		m = append(m, float64(v))
	}
	return m
}

// summarizeRecords takes the median of the records' medians, and the least and greatest round of all.
func summarizeRecords(records []Record) Summary {
	s := Summarize(medians(records))
	for i := range records {
		if r := &records[i]; r.Min.Known() && r.Max.Known() {
			s.Min, s.Max = min(s.Min, float64(r.Min)), max(s.Max, float64(r.Max))
		}
	}
	return s
}

func meanRecall(records []Record) Num {
	if len(records) == 0 {
		return None
	}
	var sum Num
	for i := range records {
		sum += records[i].Recall
	}
	return sum / Num(len(records))
}

// WriteChanges writes a table of changes.
func WriteChanges(w io.Writer, changes []Change) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tsystem\tdataset\tparameters\tthreads\tfigure\tA\tB\tB/A\tnoise\trecall A → B\tverdict")
	for i := range changes {
		c := &changes[i]
		r := &c.Record
		parameters := r.Params.With(nil)
		delete(parameters, ChosenRecall)
		if r.Durability != "" {
			parameters["sync"] = r.Durability
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Case, r.System, r.Dataset, parameters, r.Threads, c.Figure,
			side(c.A), side(c.B), ratio(c), noise(c), recalls(c), c.Verdict)
	}
	return t.Flush()
}

func side(s Summary) string {
	if s.N == 0 {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", Digits(s.Median, 4), Digits(s.Min, 3), Digits(s.Max, 3))
}

func ratio(c *Change) string {
	if c.Ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f×", c.Ratio)
}

func noise(c *Change) string {
	if c.Ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("±%.0f %%", c.Noise*50)
}

func recalls(c *Change) string {
	if !c.RecallA.Known() && !c.RecallB.Known() {
		return "–"
	}
	text := func(n Num) string {
		if !n.Known() {
			return "–"
		}
		return fmt.Sprintf("%.4f", float64(n))
	}
	return text(c.RecallA) + " → " + text(c.RecallB)
}
