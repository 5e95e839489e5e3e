package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/selkiedb/selkie/vector"
)

// raw is a set before it has its truth.
type raw struct {
	name            string
	metric          vector.Metric
	dim             int
	base            func(yield func(rows []float32) error) error // in pieces of whole rows
	queries         []float32
	source, licence string
}

// Options are what Prepare may be told.
type Options struct {
	// From names the file or folder that the source's package would bring, for machines without its registry.
	From string
	// Base, Queries and Metric describe a set of the user's own. Without Queries, held-out rows are taken.
	Base, Queries string
	Metric        string
	// Depth is how many true neighbours are kept; 0 means 100.
	Depth int
	// Progress is told how far a piece of work is.
	Progress func(work string, done, of int)
	// Log is told what is done.
	Log func(format string, args ...any)
}

// Known are the sets that need no files of the user's.
var Known = []struct{ Name, What string }{
	{"glove100", "339k English words × 100 d, COSINE; npm package " + glovePackage + " " + gloveVersion + "; PDDL 1.0"},
	{"fashion", "60k pictures of clothes × 784 d, L2; Debian package " + fashionPackage + "; MIT"},
	{"glove100-ROWS", "the words and copies of them with noise, as in glove100-1m, glove100-3m: real data as far as it goes"},
	{"made-ROWS[-dDIM][-l2]", "made: clustered, anisotropic, with near-duplicates, as in made-1m, made-4m, made-5k-d32; default 100 d, COSINE"},
}

// heldOut is the number of queries taken where a source has none of its own.
const heldOut = 2000

// Prepare makes the set of a name in the cache, if it is not there.
func (c Cache) Prepare(ctx context.Context, name string, o Options) (*Set, error) {
	if c.Has(name) {
		return c.Open(name)
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	r, err := c.source(ctx, name, &o)
	if err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	if err := c.write(ctx, r, &o); err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	return c.Open(name)
}

func (c Cache) source(ctx context.Context, name string, o *Options) (*raw, error) {
	switch {
	case o.Base != "":
		return fromFiles(name, o)
	case name == "glove100":
		return glove(ctx, o)
	case name == "fashion":
		return fashion(ctx, o)
	}
	copies, ok, err := parseNoisy(name)
	if err != nil {
		return nil, err
	}
	if ok {
		return copies.raw(ctx, c, name, o)
	}
	spec, err := parseMade(name)
	if err != nil {
		return nil, err
	}
	return spec.raw(name), nil
}

var madeName = regexp.MustCompile(`^made-(\d+)([km]?)(?:-d(\d+))?(-l2)?$`)

// ErrUnknown is returned for a name that is no set's.
var ErrUnknown = errors.New("no such data set; `list` shows those there are")

func parseMade(name string) (made, error) {
	m := madeName.FindStringSubmatch(name)
	if m == nil {
		return made{}, ErrUnknown
	}
	rows, err := strconv.Atoi(m[1])
	if err != nil {
		return made{}, err
	}
	rows *= map[string]int{"": 1, "k": 1000, "m": 1_000_000}[m[2]]
	spec := made{Rows: rows, Dim: 100, Queries: heldOut, Metric: vector.Cosine, Seed: 1}
	if m[3] != "" {
		if spec.Dim, err = strconv.Atoi(m[3]); err != nil {
			return made{}, err
		}
	}
	if m[4] != "" {
		spec.Metric = vector.L2
	}
	if spec.Rows < 100 || spec.Rows > 100_000_000 || spec.Dim < 2 || spec.Dim > vector.MaxDim {
		return made{}, fmt.Errorf("%d rows of %d dimensions: 100 to 100 million of 2 to %d can be made", spec.Rows, spec.Dim, vector.MaxDim)
	}
	spec.Queries = min(spec.Queries, spec.Rows/5)
	return spec, nil
}

// write makes the set's folder: rows and queries with their hash, then the truth.
func (c Cache) write(ctx context.Context, r *raw, o *Options) (err error) {
	parent := filepath.Join(string(c), "data")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(parent, "."+r.name+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
		}
	}()
	rows, err := writeRows(ctx, filepath.Join(tmp, BaseFile), r)
	if err != nil {
		return err
	}
	if r.metric == vector.Cosine {
		normalize(r.queries, r.dim)
	}
	if err := os.WriteFile(filepath.Join(tmp, QueriesFile), bytesOf(r.queries), 0o644); err != nil {
		return err
	}
	s := &Set{
		Dir: tmp,
		Meta: Meta{
			Name: r.name, Rows: rows, Dim: r.dim, Queries: len(r.queries) / r.dim, Metric: r.metric.String(),
			Source: r.source, Licence: r.licence,
		},
	}
	if s.base, err = os.Open(filepath.Join(tmp, BaseFile)); err != nil {
		return err
	}
	defer s.Close()
	s.SHA256, err = hash(filepath.Join(tmp, BaseFile), filepath.Join(tmp, QueriesFile))
	if err != nil {
		return err
	}
	s.Depth = 100
	if o.Depth > 0 {
		s.Depth = o.Depth
	}
	s.Depth = min(s.Depth, rows)
	truth, err := exact(ctx, setRows{s}, r.queries, r.metric, s.Depth, func(done, of int) { o.Progress("exact neighbours", done, of) })
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, truthFile), encodeTruth(truth), 0o644); err != nil {
		return err
	}
	meta, err := json.MarshalIndent(&s.Meta, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, metaFile), append(meta, '\n'), 0o644); err != nil {
		return err
	}
	o.Log("%s: %d rows × %d, %d queries, %s, SHA-256 %s", r.name, rows, r.dim, s.Meta.Queries, s.Meta.Metric, s.SHA256)
	if err := os.RemoveAll(c.Dir(r.name)); err != nil { // what an older version left
		return err
	}
	return os.Rename(tmp, c.Dir(r.name))
}

func writeRows(ctx context.Context, name string, r *raw) (rows int, err error) {
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	err = r.base(func(piece []float32) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r.metric == vector.Cosine {
			normalize(piece, r.dim)
		}
		rows += len(piece) / r.dim
		_, err := f.Write(bytesOf(piece))
		return err
	})
	return rows, errors.Join(err, f.Close())
}

// normalize gives each row length 1. Zero rows stay.
func normalize(rows []float32, dim int) {
	for i := 0; i+dim <= len(rows); i += dim {
		vector.Normalize(rows[i : i+dim])
	}
}

func hash(names ...string) (string, error) {
	sum := sha256.New()
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// holdOut takes count random rows out of rows, as queries; the others keep their order.
func holdOut(rows []float32, dim, count int, seed uint64) (base, queries []float32) {
	n := len(rows) / dim
	chosen := rand.New(rand.NewPCG(seed, 0x686f6c646f7574)).Perm(n)[:min(count, n/5)]
	slices.Sort(chosen)
	base = make([]float32, 0, len(rows)-len(chosen)*dim)
	for i := range n {
		row := rows[i*dim : (i+1)*dim]
		if _, held := slices.BinarySearch(chosen, i); held {
			queries = append(queries, row...)
		} else {
			base = append(base, row...)
		}
	}
	return base, queries
}

// whole yields rows in one piece.
func whole(rows []float32) func(func([]float32) error) error {
	return func(yield func([]float32) error) error { return yield(rows) }
}
