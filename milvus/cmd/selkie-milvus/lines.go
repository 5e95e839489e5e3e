package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/selkiedb/selkie/engine"
	"github.com/selkiedb/selkie/milvus/jsonl"
)

// export writes a collection to a file, as lines of JSON. The file appears when it is whole and on disk.
func export(ctx context.Context, args []string, out io.Writer) (err error) {
	set := flag.NewFlagSet("export", flag.ContinueOnError)
	set.SetOutput(out)
	collection := set.String("collection", "", "the collection's `name`")
	filter := set.String("filter", "", "an `expression`; only rows that it lets through are written")
	to := set.String("to", "", "the `file`, which must not be there")
	c, closeStore, err := openCollection(set, args, collection, to, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if _, err := os.Lstat(*to); err == nil {
		return fmt.Errorf("%s is there already", *to)
	}
	part := *to + ".part"
	f, err := os.Create(part)
	if err != nil {
		return err
	}
	n, err := jsonl.Export(ctx, c, *filter, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, *to); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d rows written to %s\n", n, *to)
	return nil
}

// importLines upserts lines of JSON from a file into a collection that is there.
func importLines(ctx context.Context, args []string, out io.Writer) (err error) {
	set := flag.NewFlagSet("import", flag.ContinueOnError)
	set.SetOutput(out)
	collection := set.String("collection", "", "the collection's `name`")
	from := set.String("from", "", "the `file`")
	skip := set.Int64("skip", 0, "`lines` that an import before this one has written")
	batch := set.Int("batch", 1000, "rows written at a time")
	c, closeStore, err := openCollection(set, args, collection, from, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	f, err := os.Open(*from)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := jsonl.Import(ctx, c, f, *skip, *batch)
	if err != nil {
		return fmt.Errorf("%d lines are in the store; go on with -skip %d: %w", n, n, err)
	}
	fmt.Fprintf(out, "%d lines of %s are in the store\n", n, *from)
	return nil
}

func openCollection(set *flag.FlagSet, args []string, collection, file *string, readOnly bool) (*engine.Collection, func() error, error) {
	if err := set.Parse(args); err != nil {
		return nil, nil, err
	}
	if set.NArg() != 1 || *collection == "" || *file == "" {
		return nil, nil, fmt.Errorf("%s takes one directory, -collection and a file", set.Name())
	}
	eng, err := engine.Open(set.Arg(0), &engine.Options{ReadOnly: readOnly, MustExist: true})
	if err != nil {
		return nil, nil, err
	}
	c, err := eng.Collection(*collection)
	if err != nil {
		return nil, nil, errors.Join(err, eng.Close())
	}
	return c, eng.Close, nil
}
