package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/selkiedb/selkie/bench/harness/report"
	"github.com/selkiedb/selkie/bench/harness/result"
)

// writeReport writes report.md, its pictures and report.html.
func writeReport(_ context.Context, args []string) error {
	f := newFlags("report [flags] [FILE…]")
	cache := cacheFlag(f)
	folder := f.String("o", filepath.Join("bench", "report"), "`folder` to write to")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		last, err := lastRun(*cache)
		if err != nil {
			return err
		}
		names = []string{last}
	}
	var records []result.Record
	for _, name := range names {
		more, err := readRecords(name)
		if err != nil {
			return err
		}
		records = append(records, more...)
	}
	if len(records) == 0 {
		return errors.New("no records in " + fmt.Sprint(names))
	}
	return writeFiles(*folder, report.New(records))
}

func writeFiles(folder string, r *report.Report) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, s := range r.Sections {
		if s.Chart == nil {
			continue
		}
		svg, err := s.Chart.SVG()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, s.Chart.Name+".svg"), svg, 0o644); err != nil {
			return err
		}
	}
	for name, write := range map[string]func(*os.File) error{
		"report.md":   func(f *os.File) error { return r.Markdown(f, ".") },
		"report.html": func(f *os.File) error { return r.HTML(f) },
	} {
		f, err := os.Create(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Println(f.Name())
	}
	return nil
}

// lastRun is the newest file of records in the cache: their names sort by time.
func lastRun(cache string) (string, error) {
	names, err := filepath.Glob(filepath.Join(resultsFolder(cache), "*.jsonl"))
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", errors.New("no run yet: name files of records, or `run` something")
	}
	return slices.Max(names), nil
}
