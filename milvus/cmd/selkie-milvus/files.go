package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/bulk"
)

// transfer is what export and import are told.
type transfer struct {
	set                                    *flag.FlagSet
	collection, path, format, field, other string
}

// formats are those of a file, npy being that of a folder.
var formats = []string{"jsonl", "parquet", "npy", "fvecs"}

func newTransfer(name, flagName, what string, out io.Writer) *transfer {
	t := &transfer{set: flag.NewFlagSet(name, flag.ContinueOnError)}
	t.set.SetOutput(out)
	t.set.StringVar(&t.collection, "collection", "", "the collection's `name`")
	t.set.StringVar(&t.path, flagName, "", what)
	t.set.StringVar(&t.format, "format", "", "jsonl, parquet, npy or fvecs; if it is not given: what the name ends in, npy for a folder, else jsonl")
	t.set.StringVar(&t.field, "field", "", "of fvecs: the `field` of vectors, if there are several")
	return t
}

// open reads the arguments and opens the collection.
func (t *transfer) open(args []string, readOnly bool) (*engine.Collection, func() error, error) {
	if err := t.set.Parse(args); err != nil {
		return nil, nil, err
	}
	if t.set.NArg() != 1 || t.collection == "" || t.path == "" {
		return nil, nil, fmt.Errorf("%s takes one directory, -collection and a file", t.set.Name())
	}
	t.path = filepath.Clean(t.path)
	if t.format == "" {
		t.format = strings.TrimPrefix(filepath.Ext(t.path), ".")
		if info, err := os.Stat(t.path); err == nil && info.IsDir() {
			t.format = "npy"
		}
		if !slices.Contains(formats, t.format) {
			t.format = "jsonl"
		}
	}
	if !slices.Contains(formats, t.format) {
		return nil, nil, fmt.Errorf("no format %q: there are %s", t.format, strings.Join(formats, ", "))
	}
	eng, err := engine.Open(t.set.Arg(0), &engine.Options{ReadOnly: readOnly, MustExist: true})
	if err != nil {
		return nil, nil, err
	}
	c, err := eng.Collection(t.collection)
	if err != nil {
		return nil, nil, errors.Join(err, eng.Close())
	}
	return c, eng.Close, nil
}

// export writes a collection to a file, or a folder, which appears when it is whole and on disk, and beside it its checksums.
func export(ctx context.Context, args []string, out io.Writer) (err error) {
	t := newTransfer("export", "to", "the `file`, or folder for npy, which must not be there", out)
	filter := t.set.String("filter", "", "an `expression`; only rows that it lets through are written")
	t.set.StringVar(&t.other, "fields", "", "of npy: the fields to be written, with commas between; all, if it is not given")
	c, closeStore, err := t.open(args, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if _, err := os.Lstat(t.path); err == nil {
		return fmt.Errorf("%s is there already", t.path)
	}
	part := t.path + ".part"
	if err := os.RemoveAll(part); err != nil { // of an export that was killed
		return err
	}
	n, err := t.write(ctx, c, *filter, part)
	if err == nil {
		err = writeSums(part, t.path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	if err := os.Rename(part, t.path); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d rows written to %s\n", n, t.path)
	return nil
}

// write makes the file, or folder, of an export.
func (t *transfer) write(ctx context.Context, c *engine.Collection, filter, path string) (n int64, err error) {
	if t.format == "npy" {
		var names []string
		if t.other != "" {
			names = strings.Split(t.other, ",")
		}
		if err := os.Mkdir(path, 0o777); err != nil {
			return 0, err
		}
		return bulk.ExportNPY(ctx, c, filter, names, path)
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch t.format {
	case "parquet":
		n, err = bulk.ExportParquet(ctx, c, filter, f)
	case "fvecs":
		n, err = bulk.ExportFvecs(ctx, c, filter, t.field, f)
	default:
		n, err = bulk.ExportJSONL(ctx, c, filter, f)
	}
	return n, errors.Join(err, f.Sync())
}

// importFile upserts the rows of a file, or folder, into a collection that is there.
func importFile(ctx context.Context, args []string, out io.Writer) (err error) {
	t := newTransfer("import", "from", "the `file`, or folder of npy files", out)
	var o bulk.Options
	t.set.Int64Var(&o.Skip, "skip", 0, "`rows`, or lines, that an import before this one has written")
	t.set.IntVar(&o.Batch, "batch", 0, "rows written at a time; 0: 1,000, or fewer that take 16 MiB")
	first := t.set.Int64("first", 0, "of fvecs: the `key` of the first vector")
	t.set.StringVar(&t.other, "position", "", "a `file` that keeps how far the import is, so that the same command goes on from there")
	c, closeStore, err := t.open(args, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if err := checkSums(t.path); err != nil {
		return err
	}
	p, err := openPosition(t.other, t.path)
	if err != nil {
		return err
	}
	o.Skip, o.Progress = max(o.Skip, p.Rows), p.keep
	n, err := t.read(ctx, c, *first, o)
	if err != nil {
		return fmt.Errorf("%s: %w\n%d rows of it are in the store; go on with -skip %d", t.path, err, n, n)
	}
	fmt.Fprintf(out, "%d rows of %s are in the store\n", n, t.path)
	return p.remove()
}

func (t *transfer) read(ctx context.Context, c *engine.Collection, first int64, o bulk.Options) (int64, error) {
	if t.format == "npy" {
		return bulk.ImportNPY(ctx, c, os.DirFS(t.path), o)
	}
	f, err := os.Open(t.path)
	if err != nil {
		return o.Skip, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return o.Skip, err
	}
	switch t.format {
	case "parquet":
		return bulk.ImportParquet(ctx, c, f, info.Size(), o)
	case "fvecs":
		return bulk.ImportFvecs(ctx, c, t.field, first, f, info.Size(), o)
	}
	return bulk.ImportJSONL(ctx, c, f, o)
}
