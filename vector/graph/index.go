package graph

import (
	"slices"
	"sync"

	"github.com/selkiedb/selkie/vector"
)

// Index finds the rows nearest to a query. It is immutable and safe for
// concurrent use.
//
// Inside, rows that have a vector go by labels, 0 to Vectors-1; outside all rows
// go by row offsets. In an index without a graph (see Options.FlatBytes) labels
// have the order of row offsets.
type Index struct {
	*quantizer
	*codedRows          // by label
	*adjacency          // of labels; nil without a graph
	rows       int      // those without a vector included
	absent     []uint64 // bits of those; nil if there are none
	toRow      []uint32 // by label; nil where labels and rows are the same
	toLabel    []uint32 // by row; none for those without a vector
	maxSquare  int32
	maxNorm    float32 // IP
	uneven     bool    // IP: some rows are much longer than others
	reach      int     // see measureReach

	// entries are the labels a search may start at, ascending; their codes lie
	// together so that they can be scanned.
	entries    []uint32
	entryCodes []byte

	walkers sync.Pool // of *walker
}

func newFlat(z *quantizer, rows *codedRows, o *Options) *Index {
	ix := &Index{quantizer: z, codedRows: rows, rows: rows.n}
	if o.Bits == 4 {
		ix.nibbles(o.Workers)
	}
	ix.dropBuild()
	ix.setMaxSquare()
	return ix
}

// setEntries takes the labels of the entries.
func (ix *Index) setEntries(labels []uint32) {
	ix.entries = labels
	ix.entryCodes = alignedBytes(len(labels) * ix.stride)
	for i, l := range labels {
		copy(ix.entryCodes[i*ix.stride:], ix.at(l))
	}
}

// dropBuild drops what only a build needs.
func (ix *Index) dropBuild() {
	ix.sum = nil
	if ix.norm != nil {
		ix.square = nil
	}
}

func (ix *Index) setMaxSquare() {
	if len(ix.square) > 0 {
		ix.maxSquare = slices.Max(ix.square)
	}
	if len(ix.norm) > 0 {
		ix.maxNorm = slices.Max(ix.norm)
		ix.uneven = unevenNorms(ix.norm)
	}
}

// unevenNorms reports whether the longest of some rows is longer than their mean
// by more than a tenth.
func unevenNorms(norm []float32) bool {
	const sample = 1024
	sum, most, count := 0.0, 0.0, min(len(norm), sample)
	for i := range count {
		x := float64(norm[int64(i)*int64(len(norm))/int64(count)])
		sum += x
		most = max(most, x)
	}
	return most*float64(count) > 1.1*sum
}

// Rows returns the number of rows, those without a vector included.
func (ix *Index) Rows() int { return ix.rows }

// Vectors returns the number of rows that have a vector: those that a search
// may find.
func (ix *Index) Vectors() int { return ix.n }

// Bits returns the size of a code: 8 or 4.
func (ix *Index) Bits() int { return ix.bits }

// isAbsent reports that a row has no vector.
func (ix *Index) isAbsent(row uint32) bool {
	return ix.absent != nil && ix.absent[row>>6]>>(row&63)&1 != 0
}

// Dim returns the number of elements of a vector.
func (ix *Index) Dim() int { return ix.dim }

// Metric returns the metric the index was built for.
func (ix *Index) Metric() vector.Metric { return ix.metric }

// Flat reports that there is no graph: every search reads all codes.
func (ix *Index) Flat() bool { return ix.adjacency == nil }

// Bytes returns the size of what the index holds in memory.
func (ix *Index) Bytes() int {
	n := len(ix.codes) + 4*len(ix.square) + 4*len(ix.norm) + 4*len(ix.center) + 4*len(ix.steps) + len(ix.entryCodes) + 8*len(ix.entries)
	if !ix.Flat() {
		n += 4 * len(ix.next)
	}
	return n + 4*len(ix.toRow) + 4*len(ix.toLabel) + 8*len(ix.absent)
}

// row offset of a label.
func (ix *Index) rowOf(label uint32) uint32 {
	if ix.toRow == nil {
		return label
	}
	return ix.toRow[label]
}

// labelOf is the inverse of rowOf.
func (ix *Index) labelOf(row uint32) uint32 {
	if ix.toLabel == nil {
		return row
	}
	return ix.toLabel[row]
}
