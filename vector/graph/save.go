package graph

import (
	"hash/crc32"
	"io"

	"github.com/selkiedb/selkie/vector"
)

// shape returns what the header of ix says.
func (ix *Index) shape() shape {
	s := shape{z: *ix.quantizer, rows: ix.rows, vectors: ix.n}
	if !ix.Flat() {
		s.degree, s.entries, s.reach = ix.degree, len(ix.entries), ix.reach
	}
	return s
}

// Size returns the number of bytes that Save writes.
func (ix *Index) Size() int64 {
	s := ix.shape()
	_, _, size := s.layout()
	return size
}

// Save writes ix in the format of docs/format/index.md, in one pass from the
// first byte to the last. Syncing it, and the name it goes by, are the
// caller's: an index is derived, so a file that is not whole is only removed.
func (ix *Index) Save(w io.Writer, id Identity) error {
	s := ix.shape()
	data := [sections][]byte{
		secCenter:  bytesOf(ix.center),
		secCodes:   ix.codes,
		secTerms:   bytesOf(ix.square),
		secRows:    bytesOf(ix.toRow),
		secLabels:  bytesOf(ix.toLabel),
		secEntries: bytesOf(ix.entries),
		secAbsent:  bytesOf(ix.absent),
		secSteps:   bytesOf(ix.steps),
	}
	if ix.metric == vector.IP {
		data[secTerms] = bytesOf(ix.norm)
	}
	if !ix.Flat() {
		data[secNeighbours] = bytesOf(ix.next)
	}
	var zeros [cacheLine]byte
	pad := func(b []byte) []byte { return zeros[:(cacheLine-len(b)%cacheLine)%cacheLine] }
	var sums [sections]uint32
	for i, b := range data {
		sums[i] = crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, pad(b))
	}
	if _, err := w.Write(s.appendHeader(nil, id, sums)); err != nil {
		return err
	}
	for _, b := range data {
		if _, err := w.Write(b); err != nil {
			return err
		}
		if _, err := w.Write(pad(b)); err != nil {
			return err
		}
	}
	return nil
}
