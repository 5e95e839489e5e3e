package vector

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error of this package that blames its
// input: an unknown name, an unsupported combination, a malformed vector.
var ErrInvalid = errors.New("invalid vector input")

// Metric says how two vectors are compared. The zero value is MetricInvalid,
// so that a forgotten metric is refused instead of being taken for L2.
//
// The numbers are those Milvus returns to its users; each is finite for every
// pair of finite vectors (a score beyond the range of float32 is clamped to
// its largest value).
type Metric uint8

const (
	MetricInvalid Metric = iota
	// L2 is the squared Euclidean distance: no square root is taken.
	L2
	// IP is the inner product.
	IP
	// Cosine is the similarity dot(a,b)/(|a|·|b|) in [-1, 1]; 0 when either
	// vector is zero. A vector's similarity to itself is exactly 1.
	Cosine
	// Hamming is the number of bits that differ.
	Hamming
	// Jaccard is the distance 1 - |a∧b|/|a∨b| in [0, 1]; 0 for two empty sets.
	Jaccard
	// BM25 is the relevance of a text to the terms of another; see NewBM25Query. The score depends on the collection that the text is part of.
	BM25
)

var metricNames = [...]string{"INVALID", "L2", "IP", "COSINE", "HAMMING", "JACCARD", "BM25"}

// String returns Milvus's name of the metric.
func (m Metric) String() string {
	if int(m) < len(metricNames) {
		return metricNames[m]
	}
	return fmt.Sprintf("Metric(%d)", uint8(m))
}

// ParseMetric is the inverse of String; it ignores case. The error wraps
// ErrInvalid.
func ParseMetric(s string) (Metric, error) {
	for i, name := range metricNames {
		if Metric(i) != MetricInvalid && strings.EqualFold(s, name) {
			return Metric(i), nil
		}
	}
	return MetricInvalid, fmt.Errorf("%w: unknown metric %q", ErrInvalid, s)
}

// Descending reports whether a bigger score is a better one.
func (m Metric) Descending() bool { return m == IP || m == Cosine || m == BM25 }

// Better reports whether score a is strictly better than score b.
func (m Metric) Better(a, b float32) bool {
	if m.Descending() {
		return a > b
	}
	return a < b
}
