package engine

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// dedupe buries all but the newest row of each primary key of a partition: a catalogue that lost edits names segments that were merged, and rows
// that were replaced.
func (r *repairer) dedupe(ctx context.Context, to string, st *state) error {
	for id, part := range st.partitions {
		coll := st.collections[part.collection]
		if coll.schema == nil || coll.schema.AllowDuplicateKeys && !r.invented[coll.id] {
			continue
		}
		var list []segmentRecord
		for _, rec := range st.segments {
			if rec.partition == id {
				list = append(list, rec)
			}
		}
		slices.SortFunc(list, func(a, b segmentRecord) int { // newest first
			return cmp.Or(cmp.Compare(b.manifest.MaxLSN, a.manifest.MaxLSN), cmp.Compare(b.manifest.ID, a.manifest.ID))
		})
		buried, err := r.buryOlder(ctx, to, st, coll.schema, list)
		if err != nil {
			return err
		}
		if buried > 0 {
			r.report.note("%d rows of partition %s/%s gave way to newer ones of the same key", buried, coll.name, part.name)
		}
	}
	return ctx.Err()
}

func (r *repairer) buryOlder(ctx context.Context, to string, st *state, s *schema.Schema, list []segmentRecord) (buried int, err error) {
	fs, key := r.opts.FS, s.PrimaryKey()
	var open []*segment.Sealed
	defer func() {
		for _, x := range open {
			x.Unref()
		}
	}()
	for _, rec := range list {
		man := rec.manifest
		x, err := segment.Open(fs, fs.PathJoin(to, segmentsDir, man.ID.String()), man, s, r.cache, st.dead[man.ID], 0)
		if err != nil {
			return 0, err
		}
		open = append(open, x)
		if twice, err := holdsTwice(ctx, x, key); err != nil || twice {
			return 0, err // the collection allowed duplicates
		}
	}
	for i, x := range open {
		rows, err := older(ctx, x, open[:i], key)
		if err != nil {
			return 0, err
		}
		if len(rows) > 0 {
			st.dead[x.ID()] = st.dead[x.ID()].With(rows)
			buried += len(rows)
		}
	}
	return buried, nil
}

// holdsTwice reports whether two live rows of a segment have the same primary key.
func holdsTwice(ctx context.Context, s *segment.Sealed, key *schema.Field) (twice bool, err error) {
	view, _ := s.At(0)
	var last []byte
	seen := false
	err = view.Scan(ctx, key, 0, view.Rows(), func(first uint32, d column.Data) error {
		for i := range d.Rows {
			if view.Dead().Has(first + uint32(i)) {
				continue
			}
			twice = twice || seen && bytes.Equal(last, d.Value(i))
			last, seen = append(last[:0], d.Value(i)...), true
		}
		return nil
	})
	return twice, err
}

// older lists the live rows of a segment whose primary key a newer segment holds too.
func older(ctx context.Context, s *segment.Sealed, newer []*segment.Sealed, key *schema.Field) ([]uint32, error) {
	view, _ := s.At(0)
	found := map[uint32]bool{}
	for _, n := range newer {
		other, _ := n.At(0)
		err := view.Scan(ctx, key, 0, view.Rows(), func(first uint32, d column.Data) error {
			return other.Find(ctx, column.KeysOf(key, d), func(i int, _ uint32) {
				if row := first + uint32(i); !view.Dead().Has(row) {
					found[row] = true
				}
			})
		})
		if err != nil {
			return nil, err
		}
	}
	rows := make([]uint32, 0, len(found))
	for row := range found {
		rows = append(rows, row)
	}
	return rows, nil
}
