package engine

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/selkiedb/selkie/engine/internal/fb"
	"github.com/selkiedb/selkie/partition"
	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/segment"
)

//go:generate flatc --go --gen-onefile --go-namespace fb -o internal/fb catalogue.fbs

// catalogueVersion is the version of the edits that this code writes. It reads this version and all before it.
const catalogueVersion = 1

var errBadEdit = errors.New("malformed catalogue edit")

// encode gives the edit as a flatbuffer.
func (e *edit) encode() ([]byte, error) {
	b := flatbuffers.NewBuilder(1024)
	cols := make([]flatbuffers.UOffsetT, len(e.putCollections))
	for i, c := range e.putCollections {
		name, sch := b.CreateString(c.name), b.CreateByteVector(schema.Encode(nil, c.schema))
		fb.CollectionStart(b)
		fb.CollectionAddId(b, c.id)
		fb.CollectionAddName(b, name)
		fb.CollectionAddSchema(b, sch)
		fb.CollectionAddCreated(b, c.created)
		cols[i] = fb.CollectionEnd(b)
	}
	parts := make([]flatbuffers.UOffsetT, len(e.putPartitions))
	for i, p := range e.putPartitions {
		name := b.CreateString(p.name)
		fb.PartitionStart(b)
		fb.PartitionAddId(b, p.id)
		fb.PartitionAddCollection(b, p.collection)
		fb.PartitionAddName(b, name)
		fb.PartitionAddHidden(b, p.hidden)
		fb.PartitionAddCreated(b, p.created)
		parts[i] = fb.PartitionEnd(b)
	}
	indexes := make([]flatbuffers.UOffsetT, len(e.putIndexes))
	for i, x := range e.putIndexes {
		indexes[i] = encodeIndex(b, x)
	}
	segs := make([]flatbuffers.UOffsetT, len(e.addSegments))
	for i, s := range e.addSegments {
		segs[i] = encodeSegment(b, s)
	}
	tombs := make([]flatbuffers.UOffsetT, len(e.tombstones))
	for i, t := range e.tombstones {
		raw, err := segment.EncodeRows(nil, t.Rows)
		if err != nil {
			return nil, err
		}
		rows := b.CreateByteVector(raw)
		fb.TombstonesStart(b)
		fb.TombstonesAddSegment(b, uint64(t.Segment))
		fb.TombstonesAddRows(b, rows)
		tombs[i] = fb.TombstonesEnd(b)
	}
	cuts := make([]flatbuffers.UOffsetT, len(e.cuts))
	for i, c := range e.cuts {
		fb.CutStart(b)
		fb.CutAddPartition(b, c.partition)
		fb.CutAddShard(b, uint32(c.cut.Shard))
		fb.CutAddLsn(b, c.cut.LSN)
		cuts[i] = fb.CutEnd(b)
	}
	putCols, putParts, addSegs := offsetVector(b, cols), offsetVector(b, parts), offsetVector(b, segs)
	putIndexes, dropIndexes := offsetVector(b, indexes), uint64Vector(b, e.dropIndexes)
	tombVec, cutVec := offsetVector(b, tombs), offsetVector(b, cuts)
	dropCols, dropParts := uint64Vector(b, e.dropCollections), uint64Vector(b, e.dropPartitions)
	ids := make([]uint64, len(e.dropSegments))
	for i, id := range e.dropSegments {
		ids[i] = uint64(id)
	}
	dropSegs := uint64Vector(b, ids)
	fb.EditStart(b)
	fb.EditAddVersion(b, catalogueVersion)
	fb.EditAddWhole(b, e.whole)
	fb.EditAddPutCollections(b, putCols)
	fb.EditAddDropCollections(b, dropCols)
	fb.EditAddPutPartitions(b, putParts)
	fb.EditAddDropPartitions(b, dropParts)
	fb.EditAddAddSegments(b, addSegs)
	fb.EditAddDropSegments(b, dropSegs)
	fb.EditAddTombstones(b, tombVec)
	fb.EditAddCuts(b, cutVec)
	fb.EditAddNextId(b, e.nextID)
	fb.EditAddNextSegment(b, uint64(e.nextSegment))
	fb.EditAddWalFirst(b, e.walFirst)
	fb.EditAddLogLsn(b, e.logLSN)
	fb.EditAddPutIndexes(b, putIndexes)
	fb.EditAddDropIndexes(b, dropIndexes)
	b.Finish(fb.EditEnd(b))
	return b.FinishedBytes(), nil
}

func encodeIndex(b *flatbuffers.Builder, x indexRecord) flatbuffers.UOffsetT {
	var params []flatbuffers.UOffsetT
	for _, k := range slices.Sorted(maps.Keys(x.def.Params)) {
		key, value := b.CreateString(k), b.CreateString(x.def.Params[k])
		fb.ParamStart(b)
		fb.ParamAddKey(b, key)
		fb.ParamAddValue(b, value)
		params = append(params, fb.ParamEnd(b))
	}
	list := offsetVector(b, params)
	name, field := b.CreateString(x.def.Name), b.CreateString(x.def.Field)
	kind, metric := b.CreateString(string(x.def.Kind)), b.CreateString(x.def.Metric)
	fb.IndexStart(b)
	fb.IndexAddId(b, x.id)
	fb.IndexAddCollection(b, x.collection)
	fb.IndexAddName(b, name)
	fb.IndexAddField(b, field)
	fb.IndexAddKind(b, kind)
	fb.IndexAddMetric(b, metric)
	fb.IndexAddParams(b, list)
	fb.IndexAddCreated(b, x.created)
	return fb.IndexEnd(b)
}

func encodeSegment(b *flatbuffers.Builder, s segmentRecord) flatbuffers.UOffsetT {
	files := make([]flatbuffers.UOffsetT, len(s.manifest.Files))
	for i, f := range s.manifest.Files {
		name := b.CreateString(f.Name)
		fb.FileStart(b)
		fb.FileAddName(b, name)
		fb.FileAddSize(b, f.Size)
		files[i] = fb.FileEnd(b)
	}
	list := offsetVector(b, files)
	fb.SegmentStart(b)
	fb.SegmentAddId(b, uint64(s.manifest.ID))
	fb.SegmentAddPartition(b, s.partition)
	fb.SegmentAddShard(b, uint32(s.manifest.Shard))
	fb.SegmentAddRows(b, s.manifest.Rows)
	fb.SegmentAddToken(b, s.manifest.Token)
	fb.SegmentAddMinLsn(b, s.manifest.MinLSN)
	fb.SegmentAddMaxLsn(b, s.manifest.MaxLSN)
	fb.SegmentAddMetaSum(b, s.manifest.MetaSum)
	fb.SegmentAddFiles(b, list)
	return fb.SegmentEnd(b)
}

func offsetVector(b *flatbuffers.Builder, v []flatbuffers.UOffsetT) flatbuffers.UOffsetT {
	b.StartVector(4, len(v), 4)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependUOffsetT(v[i])
	}
	return b.EndVector(len(v))
}

func uint64Vector(b *flatbuffers.Builder, v []uint64) flatbuffers.UOffsetT {
	b.StartVector(8, len(v), 8)
	for i := len(v) - 1; i >= 0; i-- {
		b.PrependUint64(v[i])
	}
	return b.EndVector(len(v))
}

// decodeEdit reads an edit. REQUIRES: the caller checked its checksum. It panics at nothing and checks every count.
func decodeEdit(raw []byte) (e *edit, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, err = nil, fmt.Errorf("%w: %v", errBadEdit, r)
		}
	}()
	if len(raw) < 8 {
		return nil, fmt.Errorf("%w: %d bytes", errBadEdit, len(raw))
	}
	t := fb.GetRootAsEdit(raw, 0)
	if v := t.Version(); v == 0 || v > catalogueVersion {
		return nil, fmt.Errorf("%w: catalogue version %d; this program reads up to %d", ErrVersion, v, catalogueVersion)
	}
	for _, n := range []int{
		t.PutCollectionsLength(), t.PutPartitionsLength(), t.AddSegmentsLength(), t.TombstonesLength(), t.CutsLength(),
		t.DropCollectionsLength(), t.DropPartitionsLength(), t.DropSegmentsLength(), t.PutIndexesLength(), t.DropIndexesLength(),
	} {
		if n < 0 || n > len(raw)/4 {
			return nil, fmt.Errorf("%w: a list of %d in %d bytes", errBadEdit, n, len(raw))
		}
	}
	e = &edit{
		whole: t.Whole(), nextID: t.NextId(), nextSegment: segment.ID(t.NextSegment()), walFirst: t.WalFirst(),
		logLSN: t.LogLsn(),
	}
	for i := range t.PutCollectionsLength() {
		var c fb.Collection
		t.PutCollections(&c, i)
		s, err := schema.Decode(c.SchemaBytes())
		if err != nil {
			return nil, fmt.Errorf("%w: collection %d: %w", errBadEdit, c.Id(), err)
		}
		e.putCollections = append(e.putCollections, collectionRecord{c.Id(), string(c.Name()), s, c.Created()})
	}
	for i := range t.PutPartitionsLength() {
		var p fb.Partition
		t.PutPartitions(&p, i)
		e.putPartitions = append(e.putPartitions, partitionRecord{p.Id(), p.Collection(), string(p.Name()), p.Hidden(), p.Created()})
	}
	for i := range t.PutIndexesLength() {
		var x fb.Index
		t.PutIndexes(&x, i)
		r, err := decodeIndex(&x, len(raw))
		if err != nil {
			return nil, err
		}
		e.putIndexes = append(e.putIndexes, r)
	}
	for i := range t.DropIndexesLength() {
		e.dropIndexes = append(e.dropIndexes, t.DropIndexes(i))
	}
	for i := range t.AddSegmentsLength() {
		var s fb.Segment
		t.AddSegments(&s, i)
		r, err := decodeSegment(&s)
		if err != nil {
			return nil, err
		}
		e.addSegments = append(e.addSegments, r)
	}
	for i := range t.TombstonesLength() {
		var x fb.Tombstones
		t.Tombstones(&x, i)
		rows, rest, err := segment.DecodeRows(x.RowsBytes(), math.MaxUint32)
		if err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("%w: tombstones of segment %d: %v", errBadEdit, x.Segment(), err)
		}
		e.tombstones = append(e.tombstones, partition.TombstoneEdit{Segment: segment.ID(x.Segment()), Rows: rows})
	}
	for i := range t.CutsLength() {
		var c fb.Cut
		t.Cuts(&c, i)
		e.cuts = append(e.cuts, cutRecord{c.Partition(), partition.Cut{Shard: int(c.Shard()), LSN: c.Lsn()}})
	}
	for i := range t.DropCollectionsLength() {
		e.dropCollections = append(e.dropCollections, t.DropCollections(i))
	}
	for i := range t.DropPartitionsLength() {
		e.dropPartitions = append(e.dropPartitions, t.DropPartitions(i))
	}
	for i := range t.DropSegmentsLength() {
		e.dropSegments = append(e.dropSegments, segment.ID(t.DropSegments(i)))
	}
	return e, nil
}

func decodeIndex(x *fb.Index, size int) (indexRecord, error) {
	if n := x.ParamsLength(); x.Id() == 0 || n < 0 || n > size/4 {
		return indexRecord{}, fmt.Errorf("%w: index %d with %d parameters in %d bytes", errBadEdit, x.Id(), n, size)
	}
	r := indexRecord{
		id: x.Id(), collection: x.Collection(), created: x.Created(),
		def: schema.Index{
			Name: string(x.Name()), Field: string(x.Field()), Kind: schema.IndexKind(x.Kind()), Metric: string(x.Metric()),
			Params: map[string]string{},
		},
	}
	for i := range x.ParamsLength() {
		var p fb.Param
		x.Params(&p, i)
		r.def.Params[string(p.Key())] = string(p.Value())
	}
	return r, nil
}

func decodeSegment(s *fb.Segment) (segmentRecord, error) {
	m := segment.Manifest{
		ID: segment.ID(s.Id()), Shard: int(s.Shard()), Rows: s.Rows(), Token: s.Token(),
		MinLSN: s.MinLsn(), MaxLSN: s.MaxLsn(), MetaSum: s.MetaSum(),
	}
	if m.ID == 0 || m.Rows == 0 || s.FilesLength() < 1 || s.FilesLength() > 64 {
		return segmentRecord{}, fmt.Errorf("%w: segment %d of %d rows in %d files", errBadEdit, m.ID, m.Rows, s.FilesLength())
	}
	for i := range s.FilesLength() {
		var f fb.File
		s.Files(&f, i)
		m.Files = append(m.Files, segment.File{Name: string(f.Name()), Size: f.Size()})
	}
	return segmentRecord{s.Partition(), m}, nil
}
