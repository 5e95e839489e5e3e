package inverted

import (
	"hash/crc32"
	"io"
)

// Size returns the number of bytes that Save writes.
func (ix *Index) Size() int64 {
	_, _, size := ix.layout()
	return size
}

// Save writes ix in the format of docs/format/sparse-index.md, in one pass from
// the first byte to the last. Syncing it, and the name it goes by, are the
// caller's: an index is derived, so a file that is not whole is only removed.
func (ix *Index) Save(w io.Writer, id Identity) error {
	data := [sections][]byte{
		secTerms:   bytesOf(ix.terms),
		secPeaks:   bytesOf(ix.peaks),
		secLists:   bytesOf(ix.lists),
		secHeads:   bytesOf(ix.heads),
		secStarts:  bytesOf(ix.starts),
		secLocals:  bytesOf(ix.locals),
		secWeights: ix.weights,
		secValues:  bytesOf(ix.values),
		secPresent: bytesOf(ix.present),
	}
	var zeros [alignment]byte
	pad := func(b []byte) []byte { return zeros[:(alignment-len(b)%alignment)%alignment] }
	var sums [sections]uint32
	for i, b := range data {
		sums[i] = crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, pad(b))
	}
	if _, err := w.Write(ix.appendHeader(nil, id, sums)); err != nil {
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
