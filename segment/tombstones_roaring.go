package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/RoaringBitmap/roaring/v2"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrBadTombstones is returned for bytes that are no set of rows.
var ErrBadTombstones = errors.New("malformed tombstones")

// EncodeRows appends a set of row offsets, ascending and distinct, to dst: length uint32, CRC-32C uint32 of what follows, then
// the rows as a roaring bitmap in its portable format.
func EncodeRows(dst []byte, rows []uint32) ([]byte, error) {
	bm := roaring.New()
	bm.AddMany(rows)
	bm.RunOptimize()
	body, err := bm.ToBytes()
	if err != nil {
		return nil, err
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
	return append(dst, body...), nil
}

// DecodeRows reads what EncodeRows wrote. Every row must lie below limit.
func DecodeRows(b []byte, limit uint32) (rows []uint32, rest []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			rows, rest, err = nil, nil, fmt.Errorf("%w: %v", ErrBadTombstones, r)
		}
	}()
	if len(b) < 8 {
		return nil, nil, fmt.Errorf("%w: %d bytes, at least 8 expected", ErrBadTombstones, len(b))
	}
	n := binary.LittleEndian.Uint32(b)
	sum := binary.LittleEndian.Uint32(b[4:])
	b = b[8:]
	if uint64(n) > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%w: length %d beyond the %d bytes there", ErrBadTombstones, n, len(b))
	}
	body, rest := b[:n], b[n:]
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, nil, fmt.Errorf("%w: checksum does not match", ErrBadTombstones)
	}
	bm := roaring.New()
	if err := bm.UnmarshalBinary(body); err != nil {
		return nil, nil, fmt.Errorf("%w: %v", ErrBadTombstones, err)
	}
	if err := bm.Validate(); err != nil && !bm.IsEmpty() {
		return nil, nil, fmt.Errorf("%w: %v", ErrBadTombstones, err)
	}
	if !bm.IsEmpty() && bm.Maximum() >= limit {
		return nil, nil, fmt.Errorf("%w: row %d in a segment of %d rows", ErrBadTombstones, bm.Maximum(), limit)
	}
	return bm.ToArray(), rest, nil
}

// DeadOf returns the set of the rows.
func DeadOf(rows []uint32) *Dead {
	if len(rows) == 0 {
		return nil
	}
	return (*Dead)(nil).With(rows)
}
