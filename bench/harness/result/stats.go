package result

import (
	"math"
	"slices"
	"strconv"
)

// Summary is what is told of a sample.
type Summary struct {
	N                int
	Min, Median, Max float64
}

// Summarize sorts a copy of samples. All figures of an empty sample are NaN.
func Summarize(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{0, math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(samples))
	return Summary{len(s), s[0], Median(s), s[len(s)-1]}
}

// Median is the middle of a sample, of an even number the mean of the two in the middle.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Quantile is the smallest value of a sorted sample that at least the share p of it does not exceed (nearest rank).
func Quantile(sorted []float32, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := int(math.Ceil(p*float64(len(sorted)))) - 1
	return float64(sorted[min(max(at, 0), len(sorted)-1)])
}

// SetLatencies puts the quantiles of single operations' times, in microseconds, in the record. It sorts them.
func (r *Record) SetLatencies(us []float32) {
	slices.Sort(us)
	if len(us) > 0 {
		r.P50, r.P95, r.P99 = Num(Quantile(us, .5)), Num(Quantile(us, .95)), Num(Quantile(us, .99))
	}
}

// Digits writes x with n significant digits at most, without an exponent and without digits that say nothing.
func Digits(x float64, n int) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	places := n - 1 - int(math.Floor(math.Log10(math.Abs(x))))
	if places <= 0 {
		scale := math.Pow(10, float64(-places))
		return strconv.FormatFloat(math.Round(x/scale)*scale, 'f', 0, 64)
	}
	scale := math.Pow(10, float64(places))
	return strconv.FormatFloat(math.Round(x*scale)/scale, 'f', -1, 64)
}

// Point is a search at one setting: the recall it reached and its speed.
type Point struct{ Recall, QPS float64 }

// Frontier returns the points that no other one beats in both recall and speed, by rising recall.
func Frontier(points []Point) []Point {
	s := slices.Clone(points)
	slices.SortFunc(s, func(a, b Point) int {
		if a.Recall != b.Recall {
			if a.Recall > b.Recall {
				return -1
			}
			return 1
		}
		if a.QPS > b.QPS {
			return -1
		}
		return 1
	})
	var kept []Point
	for _, p := range s {
		if len(kept) == 0 || p.QPS > kept[len(kept)-1].QPS {
			kept = append(kept, p)
		}
	}
	slices.Reverse(kept)
	return kept
}

// AtRecall is the speed of a frontier at a recall, interpolated between the two points around it: log of the speed
// over the log of what recall lacks of 1, in which such curves are nearly straight. It is false where the curve does
// not reach: nothing is extrapolated, except that a frontier whose worst point is better than asked for counts with it.
func AtRecall(frontier []Point, recall float64) (float64, bool) {
	for i, p := range frontier {
		if p.Recall < recall {
			continue
		}
		if i == 0 || p.Recall == recall {
			return p.QPS, true
		}
		q := frontier[i-1]
		lack := func(r float64) float64 { return math.Log(1 - r + 1e-4) }
		share := (lack(recall) - lack(q.Recall)) / (lack(p.Recall) - lack(q.Recall))
		return math.Exp(math.Log(q.QPS) + share*(math.Log(p.QPS)-math.Log(q.QPS))), true
	}
	return 0, false
}
