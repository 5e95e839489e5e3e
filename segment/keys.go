package segment

import (
	"context"
	"encoding/binary"
	"unsafe"
)

// IntKeys writes the Int64 primary keys of the listed rows to out, at the price of two loads from memory each once their chunk has been
// touched. REQUIRES: the primary key is an Int64, the rows exist, out is as long as rows.
func (v *SealedView) IntKeys(ctx context.Context, rows []uint32, out []int64) (err error) {
	col := v.s.rowsOfKey()
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), col.file); fault != nil {
			err = fault
		}
	}()
	for i, row := range rows {
		p, err := col.row(ctx, row)
		if err != nil {
			return err
		}
		out[i] = int64(binary.LittleEndian.Uint64(unsafe.Slice((*byte)(p), 8)))
	}
	return nil
}

// rowsOfKey gives single rows of the primary key.
func (s *Sealed) rowsOfKey() *vectorColumn {
	x := &s.indexes
	if c := x.keys.Load(); c != nil {
		return c
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.keys.Load() == nil {
		x.keys.Store(newVectorColumn(s, s.key, nil)) // compressed: mapping the table would not help
	}
	return x.keys.Load()
}
