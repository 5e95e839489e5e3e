package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/selkiedb/selkie/bench/harness/result"
)

func compare(_ context.Context, args []string) error {
	f := newFlags("compare A.jsonl B.jsonl")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return errors.New("which two files?")
	}
	a, err := readRecords(names[0])
	if err != nil {
		return err
	}
	b, err := readRecords(names[1])
	if err != nil {
		return err
	}
	return result.WriteChanges(os.Stdout, result.Compare(a, b))
}

func readRecords(name string) ([]result.Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	records, err := result.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return records, nil
}
