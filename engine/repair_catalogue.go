package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

// salvageCatalogue reads the newest catalogue that says anything. seq is the largest sequence that is there.
// whole tells that nothing is missing in it.
func (r *repairer) salvageCatalogue() (st *state, seq uint64, whole bool, err error) {
	fs := r.opts.FS
	names, err := fs.List(r.dir)
	if err != nil {
		return nil, 0, false, err
	}
	seqs := catalogues(names)
	for i, n := range slices.Backward(seqs) {
		path := fs.PathJoin(r.dir, catalogueName(n))
		raw, err := readFile(fs, path)
		if err != nil {
			r.report.lose(Loss{Path: path, Text: fmt.Sprintf("catalogue %s cannot be read: %v", path, err)})
			continue
		}
		c := &catalogue{fs: fs, dir: r.dir, seq: n, state: newState()}
		_, rerr := c.read(path, raw)
		if rerr == nil && i == len(seqs)-1 && r.place > c.opened {
			r.report.lose(Loss{Path: path, Text: fmt.Sprintf("edits of the catalogue: it ends with edit %d of file %d; the log knows of edit %d of file %d",
				uint32(c.opened), c.opened>>32, uint32(r.place), r.place>>32)})
			return c.state, seqs[len(seqs)-1], false, nil
		}
		if rerr == nil {
			return c.state, seqs[len(seqs)-1], i == len(seqs)-1, nil
		}
		if errors.Is(rerr, ErrVersion) {
			return nil, 0, false, rerr
		}
		edits, skipped := 0, 0
		st, edits, skipped = salvageEdits(raw)
		r.report.lose(Loss{Path: path, Text: fmt.Sprintf("edits of the catalogue: %d were read, %d or more were not: %v", edits, skipped, rerr)})
		if edits > 0 {
			return st, seqs[len(seqs)-1], false, nil
		}
	}
	if len(seqs) > 0 {
		seq = seqs[len(seqs)-1]
	}
	r.report.lose(Loss{Path: fs.PathJoin(r.dir, catalogueName(max(seq, 1))), Text: "no catalogue: names of collections, partitions and fields, limits, defaults, deletions"})
	return newState(), seq, false, nil
}

// salvageEdits applies every whole edit of a catalogue file that makes sense.
func salvageEdits(raw []byte) (st *state, edits, skipped int) {
	st = newState()
	var number, salt uint64
	gap := false
	for at := min(catFramesAt, len(raw)); at+catFrameHeader <= len(raw); {
		e, n, frameSalt, size := wholeEdit(raw[at:], salt)
		if e == nil || n <= number {
			gap = gap || raw[at] != 0
			at += 8
			continue
		}
		salt = frameSalt
		if n != number+1 || gap {
			skipped += int(max(n-number-1, 1))
		}
		gap = false
		number = n
		at += size
		if err := st.check(e); err != nil {
			skipped++
			continue
		}
		st.apply(e)
		edits++
	}
	if gap {
		skipped++
	}
	return st, edits, skipped
}

// wholeEdit reads the frame at the start of b, of the file with the salt; 0 is any.
func wholeEdit(b []byte, salt uint64) (e *edit, number, frameSalt uint64, size int) {
	n := int64(binary.LittleEndian.Uint32(b))
	span := (catFrameHeader + n + 7) &^ 7
	if n == 0 || n > maxEdit || span > int64(len(b)) {
		return nil, 0, 0, 0
	}
	frameSalt = binary.LittleEndian.Uint64(b[16:])
	if salt != 0 && frameSalt != salt || crc32.Checksum(b[8:catFrameHeader+n], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, 0, 0
	}
	e, err := decodeEdit(slices.Clone(b[catFrameHeader : catFrameHeader+n]))
	if err != nil {
		return nil, 0, 0, 0
	}
	return e, binary.LittleEndian.Uint64(b[8:]), frameSalt, int(span)
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	return raw, errors.Join(err, f.Close())
}

// adopt makes the state name the segments that are there and that it does not name. REQUIRES: the catalogue is not whole.
func (r *repairer) adopt(ctx context.Context, st *state) error {
	fs := r.opts.FS
	root := fs.PathJoin(r.dir, segmentsDir)
	names, err := fs.List(root)
	if err != nil {
		if isNotExist(err) {
			return nil
		}
		return err
	}
	slices.Sort(names)
	type discovery struct {
		man  segment.Manifest
		meta *segment.Meta
		dir  string
	}
	var found []discovery
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !isSegmentName(name) {
			continue
		}
		if _, named := st.segments[idOf(name)]; named {
			continue
		}
		dir := fs.PathJoin(root, name)
		man, meta, err := segment.Discover(ctx, fs, dir, r.cache)
		if err == nil && meta.ID.String() != name {
			err = fmt.Errorf("it is segment %s", meta.ID)
		}
		if err != nil {
			r.report.lose(Loss{Segment: uint64(idOf(name)), Path: dir, Text: fmt.Sprintf("no catalogue names it, and it does not say what it is: %v", err)})
			continue
		}
		found = append(found, discovery{man, meta, dir})
		st.nextSegment = max(st.nextSegment, man.ID+1)
		st.nextID = max(st.nextID, meta.Partition+1)
	}
	for coll := range r.writes {
		st.nextID = max(st.nextID, coll+1)
	}
	for part := range r.owner {
		st.nextID = max(st.nextID, part+1)
	}
	shards := map[uint64]int{} // by collection, or by partition where that is not known
	group := func(part uint64) uint64 {
		if coll, ok := r.owner[part]; ok {
			return coll
		}
		return part
	}
	for _, d := range found {
		g := group(d.meta.Partition)
		shards[g] = max(shards[g], d.man.Shard+1)
	}
	for _, d := range found {
		part, id := d.meta.Partition, d.man.ID
		if _, known := st.partitions[part]; !known && !r.invent(st, d.meta, d.dir, shards[group(part)]) {
			continue
		}
		st.segments[id] = segmentRecord{part, d.man}
		r.adopted[id] = true
		r.report.note("segment %s of partition %d was not named by the catalogue: what was deleted of it may be back", id, part)
	}
	// The edits that are lost may have had cuts: what is in a segment must not be replayed beside it.
	for _, rec := range st.segments {
		cuts := st.cuts[rec.partition]
		if cuts == nil {
			cuts = map[int]uint64{}
			st.cuts[rec.partition] = cuts
		}
		cuts[rec.manifest.Shard] = max(cuts[rec.manifest.Shard], rec.manifest.MaxLSN)
	}
	for coll, n := range r.writes {
		if _, ok := st.collections[coll]; !ok {
			r.report.lose(Loss{Text: fmt.Sprintf("%d writes of the log to collection %d, which nothing describes", n, coll)})
		}
	}
	return nil
}

func idOf(name string) segment.ID {
	var id uint64
	_, _ = fmt.Sscanf(name, "%d", &id) // isSegmentName says that it is one
	return segment.ID(id)
}

// invent makes a collection for the rows of a partition that nothing describes.
func (r *repairer) invent(st *state, meta *segment.Meta, dir string, shards int) bool {
	id := r.owner[meta.Partition]
	if have, ok := st.collections[id]; ok {
		name := fmt.Sprintf("partition_%d", meta.Partition)
		st.partitions[meta.Partition] = partitionRecord{id: meta.Partition, collection: id, name: name}
		r.report.note("partition %d became partition %q of collection %q", meta.Partition, name, have.name)
		return true
	}
	if id == 0 {
		id = st.nextID
		st.nextID++
	}
	fields, key := meta.Fields()
	s := schema.New(fmt.Sprintf("salvaged_%d", id))
	s.Shards, s.AllowDuplicateKeys = shards, true // nothing says that they were not
	for i, f := range fields {
		if f.Type == schema.TypeArray {
			r.report.lose(Loss{
				Path: dir, Segment: uint64(meta.ID), Field: f.Name, Rows: int64(meta.Rows), Text: fmt.Sprintf("field %d: nothing says what its arrays hold", f.ID),
			})
			continue
		}
		f.IsPrimaryKey = i == key
		s.With(f)
	}
	s, err := s.Finish()
	if err != nil {
		r.report.lose(Loss{Path: dir, Segment: uint64(meta.ID), Rows: int64(meta.Rows), Text: fmt.Sprintf("no schema can be made for it: %v", err)})
		return false
	}
	st.collections[id] = collectionRecord{id: id, name: s.Name, schema: s}
	r.invented[id] = true
	st.partitions[meta.Partition] = partitionRecord{id: meta.Partition, collection: id, name: DefaultPartition}
	r.report.note("partition %d became the default partition of collection %q", meta.Partition, s.Name)
	return true
}
