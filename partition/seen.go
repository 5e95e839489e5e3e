package partition

import (
	"context"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/segment"
)

// Seen are the live rows that held some keys in a snapshot, by the segments that they lie in: a row never moves within one.
type Seen struct {
	rows map[place]bool
}

// place is where a row lies.
type place struct {
	sealed  *segment.Sealed
	growing *segment.Growing
	row     uint32
}

// Look finds the live rows that hold each of the keys: refs[i] are those of key i, and seen is all of them.
func (s *Snapshot) Look(ctx context.Context, keys column.Keys) (refs [][]segment.RowRef, seen *Seen, err error) {
	refs, seen = make([][]segment.RowRef, keys.Len()), &Seen{rows: map[place]bool{}}
	for i, v := range s.views {
		err := v.Find(ctx, keys, func(k int, row uint32) {
			refs[k] = append(refs[k], segment.RowRef{View: uint32(i), Row: row})
			at := place{row: row}
			switch v := v.(type) {
			case *segment.SealedView:
				at.sealed = v.Segment()
			case *segment.GrowingView:
				at.growing = v.Segment()
			}
			seen.rows[at] = true
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return refs, seen, nil
}

// same reports whether exactly the rows found were seen.
func (s *Seen) same(found []located) bool {
	n := 0
	for _, l := range found {
		if l.expired {
			continue
		}
		if n++; !s.rows[place{l.sealed, l.growing, l.row}] {
			return false
		}
	}
	return n == len(s.rows)
}

// PartitionOf is the partition that a row of the snapshot lies in.
func (s *Snapshot) PartitionOf(r segment.RowRef) *Partition { return s.parts[r.View] }
