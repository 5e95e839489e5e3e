package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter/index"
	"github.com/selkiedb/selkie/schema"
)

// CheckStats counts what a Check read.
type CheckStats struct {
	Files   int   // of rows and of indexes
	Bytes   int64 // of these
	Rows    int64 // dead ones included
	Chunks  int64
	Indexes int // index files
}

// Check reads the whole segment, and compares all that it says twice:
//
//   - every block and every chunk with its checksum
//   - the bounds and the nulls of each chunk with its values
//   - the order of the primary keys, and the key filter with each of them
//   - the tombstones with the number of rows
//   - the files with those that the manifest names and those of the definitions, specs
//   - every index file with its checksums and this segment, and each graph with its reachability, each scalar index with the values
//
// It calls found for each fault and goes on with what can still be read. derived faults are those of index files, and of files that nothing
// names: they cost speed or room, and no rows. The error returned is that of ctx.
func (s *Sealed) Check(ctx context.Context, specs []IndexSpec, found func(err error, derived bool)) (CheckStats, error) {
	st := CheckStats{Files: len(s.man.Files), Bytes: s.man.Bytes(), Rows: int64(s.man.Rows)}
	c := checker{s: s, specs: specs, found: found}
	for _, step := range []func(ctx context.Context, st *CheckStats) error{c.tables, c.tombstones, c.files, c.indexes} {
		if err := step(ctx, &st); err != nil {
			return st, err
		}
		if err := ctx.Err(); err != nil {
			return st, err
		}
	}
	return st, nil
}

type checker struct {
	s     *Sealed
	specs []IndexSpec
	found func(err error, derived bool)
}

// report tells of a fault. It returns an error only if err says that the context ended.
func (c *checker) report(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
		return ended
	}
	c.found(err, false)
	return nil
}

func (c *checker) tables(ctx context.Context, st *CheckStats) error {
	whole := map[*table]bool{}
	for _, t := range []*table{c.s.rows, c.s.vecs} {
		if t == nil {
			continue
		}
		err := t.verify()
		whole[t] = err == nil
		if err := c.report(ctx, err); err != nil {
			return err
		}
	}
	for i := range c.s.meta.columns {
		col := &c.s.meta.columns[i]
		if !whole[c.s.tableOf(col)] {
			continue // its values cannot be believed
		}
		if err := c.report(ctx, c.s.verifyColumn(ctx, col)); err != nil {
			return err
		}
		if err := c.report(ctx, c.column(ctx, col)); err != nil {
			return err
		}
		st.Chunks += int64(len(col.starts))
	}
	return nil
}

// column compares what the meta says of a column with its values.
func (c *checker) column(ctx context.Context, col *columnMeta) error {
	s := c.s
	path := s.tableOf(col).path
	f := &schema.Field{Type: col.typ, IsPrimaryKey: col == s.key}
	var nulls int
	var last []byte
	err := s.walkChunks(ctx, col, 0, len(col.starts), func(chunk int, d column.Data) error {
		b, n := boundsOf(f, d)
		nulls += n
		if len(col.bounds) > 0 && (!bytes.Equal(b.Min, col.bounds[chunk].Min) || !bytes.Equal(b.Max, col.bounds[chunk].Max)) {
			return s.differs(path, "chunk %d of field %d has bounds %x..%x, its values lie in %x..%x",
				chunk, col.field, col.bounds[chunk].Min, col.bounds[chunk].Max, b.Min, b.Max)
		}
		if col == s.key {
			return c.keys(path, col.starts[chunk], d, &last)
		}
		return nil
	})
	if err == nil && uint32(nulls) != col.nulls {
		err = s.differs(path, "field %d has %d nulls, the meta says %d", col.field, nulls, col.nulls)
	}
	return err
}

// keys checks the order of a chunk of primary keys, and that the filter knows them.
func (c *checker) keys(path string, first uint32, d column.Data, last *[]byte) error {
	var keys column.Keys
	if d.Width == 0 {
		keys = column.Keys{Str: true, Offs: d.Offs, Bytes: d.Bytes}
	} else {
		keys.Ints = make([]int64, d.Rows)
		for i := range keys.Ints {
			keys.Ints[i] = int64(getUint64(d.Value(i)))
		}
	}
	hashes := make([]uint64, d.Rows)
	var enc []byte
	for i := range hashes {
		hashes[i] = keys.Hash(i)
		enc = keys.At(i).Append(enc[:0])
		if *last != nil && bytes.Compare(*last, enc) > 0 {
			return c.s.differs(path, "row %d has primary key %v, which is below the one before", first+uint32(i), keys.At(i))
		}
		*last = append((*last)[:0], enc...)
	}
	known := c.s.filter.among(hashes, nil)
	for i := range hashes {
		if i >= len(known) || known[i] != i {
			return c.s.differs(path, "the key filter does not know primary key %v of row %d", keys.At(i), first+uint32(i))
		}
	}
	return nil
}

func (s *Sealed) differs(path, format string, args ...any) error {
	return &CorruptionError{Path: path, Offset: -1, Kind: "contradiction", Err: fmt.Errorf(format, args...)}
}

func (c *checker) tombstones(ctx context.Context, _ *CheckStats) error {
	dead := c.s.tombs.marked.Load()
	var last uint32
	var n uint32
	dead.Each(func(row uint32) { last = row; n++ })
	switch {
	case n > 0 && last >= c.s.man.Rows:
		return c.report(ctx, c.s.differs(c.s.dir, "row %d is dead, the segment has %d", last, c.s.man.Rows))
	case n != dead.Count():
		return c.report(ctx, c.s.differs(c.s.dir, "%d rows are dead, the set says %d", n, dead.Count()))
	}
	return nil
}

// files looks for what is in the directory and should not be.
func (c *checker) files(ctx context.Context, _ *CheckStats) error {
	names, err := c.s.fs.List(c.s.dir)
	if err != nil {
		return c.report(ctx, err)
	}
	for _, name := range names {
		switch id, ok := indexIDOf(name); {
		case ok && slices.ContainsFunc(c.specs, func(x IndexSpec) bool { return x.ID == id }):
		case slices.ContainsFunc(c.s.man.Files, func(f File) bool { return f.Name == name }):
		default:
			c.found(c.s.differs(c.s.fs.PathJoin(c.s.dir, name), "nothing names this file"), true)
		}
	}
	return nil
}

// indexes reads every index file. One that is not there is being built, or quick to build.
func (c *checker) indexes(ctx context.Context, st *CheckStats) error {
	for _, x := range c.specs {
		size, err := c.s.checkIndexFile(ctx, x)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		st.Indexes++
		st.Files++
		st.Bytes += size
		if ended := ctx.Err(); ended != nil {
			return ended
		}
		if err != nil {
			c.found(err, true)
		}
	}
	return nil
}

func (s *Sealed) checkIndexFile(ctx context.Context, spec IndexSpec) (size int64, err error) {
	if s.cols[uint32(spec.Field.ID)] == nil {
		return 0, fs.ErrNotExist
	}
	var ix fieldIndex
	switch {
	case spec.sparse():
		ix, size, err = s.openSparse(spec, true)
	case spec.scalar():
		ix, size, err = s.openScalar(spec, true)
	default:
		var col *vectorColumn
		if col, err = s.columnOf(spec.Field); err == nil {
			ix, size, err = s.openIndex(col, spec, true)
		}
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ix.close()) }()
	path := s.fs.PathJoin(s.dir, spec.FileName())
	switch x := ix.(type) {
	case *denseIndex:
		return size, x.check(ctx, path)
	case *scalarIndex:
		return size, s.checkScalar(ctx, spec, x, path)
	}
	return size, nil
}

// checkScalar compares an index with one that is made anew.
func (s *Sealed) checkScalar(ctx context.Context, spec IndexSpec, x *scalarIndex, path string) (err error) {
	again, err := index.Build(ctx, &scalarSource{s, s.cols[uint32(spec.Field.ID)], spec}, 0)
	if err != nil {
		return err
	}
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), x.file); fault != nil {
			err = fault
		}
	}()
	if !x.ix.Equal(again) {
		return s.differs(path, "the index says other than the values of field %q", spec.Field.Name)
	}
	return nil
}

func (d *denseIndex) check(ctx context.Context, path string) (err error) {
	was := faultsPanic()
	defer func() {
		if _, fault := catchFault(was, recover(), d.file); fault != nil {
			err = fault
		}
	}()
	if err := d.g.Check(ctx); err != nil {
		return &CorruptionError{Path: path, Offset: -1, Kind: "contradiction", Err: err}
	}
	return nil
}
