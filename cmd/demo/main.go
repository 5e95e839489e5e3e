// Command demo shows Selkie at work, offline, in under a minute:
//
//  1. the flush example of Milvus's documentation;
//  2. 20,000 real word vectors, sealed segment after segment as they come in,
//     and words near to a few words;
//  3. a process killed in the middle of inserting, and every row that it was
//     promised, found again.
//
// It ends with exit code 1 where anything is not as it should be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/selkiedb/selkie/cmd/demo/data"
	"github.com/selkiedb/selkie/engine"
)

func main() {
	if dir := os.Getenv(victimDir); dir != "" {
		exit(victim(context.Background(), dir, os.Stdout))
	}
	dir := flag.String("dir", "", "`folder` for the store, empty or to be made, which stays (default: a temporary one)")
	rows := flag.Int("rows", 20_000, "words to insert")
	keep := flag.Bool("keep", false, "leave the temporary folder behind")
	noColor := flag.Bool("no-color", false, "no colours; the environment variable NO_COLOR does the same")
	flag.Parse()
	if flag.NArg() > 0 {
		exit(fmt.Errorf("demo takes no arguments, only flags: %q", flag.Args()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, newScreen(os.Stdout, *noColor), *dir, *rows, *keep))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, s *screen, dir string, rows int, keep bool) (err error) {
	words, err := data.Load()
	if err != nil {
		return err
	}
	if rows < 1 || rows > len(words.Text) {
		return fmt.Errorf("-rows %d: there are 1 to %d words", rows, len(words.Text))
	}
	dir, remove, err := storeFolder(dir, keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	s.printf("The store is in %s", dir)

	sealBytes := max(int64(rows*rowBytes(words)/8), 64<<10)
	if err := withEngine(dir, sealBytes, func(eng *engine.Engine) error {
		if err := flushExample(ctx, s, eng); err != nil {
			return fmt.Errorf("the flush example: %w", err)
		}
		if err := wordsChapter(ctx, s, eng, words, rows, sealBytes); err != nil {
			return fmt.Errorf("the words: %w", err)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := crashChapter(ctx, s, dir, words); err != nil {
		return fmt.Errorf("the kill: %w", err)
	}
	s.printf("\n%s", s.paint(green, "All is as it should be."))
	return nil
}

// storeFolder returns the folder for the store and what removes it, if it is
// temporary.
func storeFolder(dir string, keep bool) (string, func() error, error) {
	stay := func() error { return nil }
	if dir == "" {
		temp, err := os.MkdirTemp("", "selkie-demo-")
		if err != nil || keep {
			return temp, stay, err
		}
		return temp, func() error { return os.RemoveAll(temp) }, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", nil, err
	}
	there, err := os.ReadDir(dir)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("-dir %s: the folder is not empty", dir)
	}
	return dir, stay, err
}

// withEngine opens the store, and closes it when f returns. Segments are sealed
// when they reach sealBytes.
func withEngine(dir string, sealBytes int64, f func(*engine.Engine) error) (err error) {
	eng, err := engine.Open(dir, &engine.Options{SegmentBytes: sealBytes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	return f(eng)
}
