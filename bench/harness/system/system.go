package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/selkiedb/selkie/bench/harness/dataset"
	"github.com/selkiedb/selkie/bench/harness/machine"
	"github.com/selkiedb/selkie/bench/harness/native"
	"github.com/selkiedb/selkie/bench/harness/node"
	"github.com/selkiedb/selkie/bench/harness/result"
	"github.com/selkiedb/selkie/bench/harness/worker"
)

// Kind says how a system's worker is started.
type Kind string

// The kinds of workers.
const (
	Hosted  Kind = "hosted"  // this program
	Native  Kind = "native"  // a C++ program that build.sh makes
	Node    Kind = "node"    // a script for node, with npm packages
	Foreign Kind = "foreign" // a command of the user's
)

// System is something to be measured.
type System struct {
	Name  string
	What  string
	Kind  Kind
	Rival bool
	// Stores marks a system that knows the verbs of stores.
	Stores bool
	// Filters marks a system that knows filters.
	Filters bool
	// Extra marks a system that is measured only when it is named: it is too slow, or a part of another.
	Extra bool
	// Variants are the parameters to build with, each measured as a system of its own.
	Variants func(m *dataset.Meta) []result.Params
	// Searches are the parameters to search with; nil of a system that searches nothing. Effort is the name of the one that is a number of candidates, for which
	// a value that reaches a recall can be looked for; "" if there is none.
	Searches func(m *dataset.Meta, build result.Params) []result.Params
	Effort   string
	// Environ is added to the environment of a Hosted one.
	Environ []string
	// Command is a Foreign system's.
	Command []string
}

// Env is what starting a system needs.
type Env struct {
	Cache string // built workers, installed packages and kept indexes
	Self  string // this program
	Core  int    // to which workers are bound; -1: none
	Log   io.Writer
}

// ErrMissing is returned for a system that is not here.
var ErrMissing = errors.New("not here")

// Start starts a worker of the system. store is a folder of its own.
func (s *System) Start(ctx context.Context, env *Env, store string) (*worker.Proc, error) {
	argv, extra, err := s.argv(ctx, env, store)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	var p *worker.Proc
	err = machine.Pinned(env.Core, func() error {
		var err error
		p, err = worker.Start(ctx, s.Name, argv, extra, env.Log)
		return err
	})
	return p, err
}

func (s *System) argv(ctx context.Context, env *Env, store string) (argv, extra []string, err error) {
	switch s.Kind {
	case Hosted:
		return []string{env.Self, "worker", s.Name, store}, s.Environ, nil
	case Native:
		program, err := native.Build(ctx, filepath.Join(env.Cache, "native"), s.Name)
		if errors.Is(err, native.ErrMissing) {
			err = fmt.Errorf("%w: %w", ErrMissing, err)
		}
		return []string{program}, []string{"OPENBLAS_NUM_THREADS=1"}, err
	case Node:
		argv, err := node.Command(ctx, filepath.Join(env.Cache, "node"), s.Name, store)
		if errors.Is(err, node.ErrMissing) {
			err = fmt.Errorf("%w: %w", ErrMissing, err)
		}
		return argv, nil, err
	default:
		return append(slices.Clone(s.Command), store), nil, nil
	}
}

// Only leaves the variants whose parameters match a regular expression.
func (s *System) Only(expression string) error {
	match, err := regexp.Compile(expression)
	if err != nil {
		return err
	}
	all := s.Variants
	s.Variants = func(m *dataset.Meta) []result.Params {
		return slices.DeleteFunc(slices.Clone(all(m)), func(p result.Params) bool { return !match.MatchString(p.String()) })
	}
	return nil
}

// plain is one variant without parameters.
func plain(*dataset.Meta) []result.Params { return []result.Params{{}} }

// exact is one search without parameters.
func exact(*dataset.Meta, result.Params) []result.Params { return []result.Params{{}} }

// sweep is a search for each value of one parameter.
func sweep(name string, values ...int) func(*dataset.Meta, result.Params) []result.Params {
	return func(*dataset.Meta, result.Params) []result.Params {
		var all []result.Params
		for _, v := range values {
			all = append(all, result.Params{name: strconv.Itoa(v)})
		}
		return all
	}
}

var efs = []int{10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024}

// All lists the systems, Selkie's first.
func All() []System {
	return []System{
		{
			Name: "selkie", What: "Selkie's Partition.Search on a flushed, indexed partition (AUTOINDEX)", Kind: Hosted, Stores: true, Filters: true,
			Variants: plain, Searches: sweep("ef", efs...), Effort: "ef",
		},
		{
			Name: "selkie-exact", What: "the same without its index: every row is compared", Kind: Hosted, Extra: true,
			Variants: plain, Searches: exact,
		},
		{
			Name: "selkie-index", What: "Selkie's graph alone, without the engine", Kind: Hosted, Extra: true,
			Variants: plain, Searches: sweep("ef", efs...), Effort: "ef",
		},
		{
			Name: "selkie-avx2", What: "Selkie on a processor without AVX-512, as far as its kernels are told", Kind: Hosted, Extra: true,
			Variants: plain, Searches: sweep("ef", efs...), Effort: "ef", Environ: []string{"GODEBUG=cpu.avx512f=off"},
		},
		{
			Name: "selkie-go", What: "Selkie by its kernels in plain Go, as with the build tag purego", Kind: Hosted, Extra: true,
			Variants: plain, Searches: sweep("ef", efs...), Effort: "ef", Environ: []string{"GODEBUG=cpu.avx512f=off,cpu.avx2=off"},
		},
		{
			Name: "selkie-codes", What: "Selkie's scan of the 8-bit codes of all rows, without the engine; for the case scan", Kind: Hosted, Extra: true,
			Variants: plain,
		},
		{
			Name: "plain-file", What: "no store: writes the same bytes to a file, and syncs it if asked; the limit of ingest", Kind: Hosted, Stores: true,
			Variants: plain,
		},
		{
			Name: "hnswlib", What: "C++ library, Debian's libhnswlib-dev", Kind: Native, Rival: true,
			Variants: hnswVariants, Searches: sweep("ef", efs...), Effort: "ef",
		},
		{
			Name: "faiss", What: "C++ library, Debian's libfaiss-dev (compiled for any x86-64, without AVX2)", Kind: Native, Rival: true,
			Variants: faissVariants, Searches: faissSearches,
		},
		{
			Name: "usearch", What: "C++ library through its npm package", Kind: Node, Rival: true,
			Variants: variant(result.Params{"M": "32", "efConstruction": "200"}), Searches: sweep("ef", efs...), Effort: "ef",
		},
		{
			Name: "zvec", What: "embedded database, npm package @zvec/zvec", Kind: Node, Rival: true, Stores: true, Filters: true,
			Variants: variant(result.Params{"M": "32", "efConstruction": "200", "codes": "f32"}, result.Params{"M": "32", "efConstruction": "200", "codes": "i8"}),
			Searches: sweep("ef", efs...), Effort: "ef",
		},
		{
			Name: "lancedb", What: "embedded database, npm package @lancedb/lancedb", Kind: Node, Rival: true, Stores: true,
			Variants: variant(result.Params{"kind": "HNSW_SQ", "M": "20", "efConstruction": "300"}),
			Searches: sweep("ef", 16, 32, 64, 128, 256, 512), Effort: "ef",
		},
		{
			Name: "sqlite-vec", What: "extension of SQLite, npm packages sqlite-vec and better-sqlite3; exact", Kind: Node, Rival: true, Stores: true,
			Variants: plain, Searches: exact,
		},
		{
			Name: "chromem-go", What: "Go module, exact, in memory", Kind: Hosted, Rival: true,
			Variants: plain, Searches: exact,
		},
		{
			Name: "coder-hnsw", What: "Go module, in memory", Kind: Hosted, Rival: true, Extra: true,
			Variants: variant(result.Params{"M": "16", "efConstruction": "200"}), Searches: sweep("ef", 16, 32, 64, 128, 256, 512), Effort: "ef",
		},
	}
}

func variant(all ...result.Params) func(*dataset.Meta) []result.Params {
	return func(*dataset.Meta) []result.Params { return all }
}

func hnswVariants(*dataset.Meta) []result.Params {
	return []result.Params{{"M": "16", "efConstruction": "200"}, {"M": "32", "efConstruction": "200"}}
}

// faissVariants are its fast-scan of product-quantized lists with exact refinement, which is its quickest, and its HNSW. The
// number of lists follows faiss's guide (4√n to 16√n), the codes have two dimensions each up to 200, four beyond.
func faissVariants(m *dataset.Meta) []result.Params {
	lists, codes := 256, m.Dim/2
	switch {
	case m.Rows >= 1_000_000:
		lists = 4096
	case m.Rows >= 200_000:
		lists = 1024
	case m.Rows < 20_000:
		lists = 64
	}
	if m.Dim > 200 {
		codes = m.Dim / 4
	}
	all := []result.Params{{"factory": "HNSW32,Flat", "efConstruction": "200"}}
	if m.Dim%codes == 0 {
		all = append(all, result.Params{"factory": fmt.Sprintf("IVF%d,PQ%dx4fs,RFlat", lists, codes)})
	}
	return all
}

func faissSearches(m *dataset.Meta, build result.Params) []result.Params {
	if strings.HasPrefix(build["factory"], "HNSW") {
		return sweep("efSearch", efs...)(m, build)
	}
	var all []result.Params
	for _, refine := range []int{8, 16, 32} {
		for _, probes := range []int{2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192} {
			all = append(all, result.Params{"nprobe": strconv.Itoa(probes), "k_factor": strconv.Itoa(refine)})
		}
	}
	return all
}

// ParseForeign reads NAME=COMMAND, a system of the user's whose worker speaks the protocol of package worker. Its
// effort is named ef.
func ParseForeign(text string) (System, error) {
	name, command, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.TrimSpace(command) == "" {
		return System{}, fmt.Errorf("%q is not NAME=COMMAND", text)
	}
	return System{
		Name: name, What: command, Kind: Foreign, Rival: true, Command: strings.Fields(command),
		Variants: plain, Searches: sweep("ef", efs...), Effort: "ef",
	}, nil
}

// Select returns the systems of a comma-separated list of names; "all" are all rivals but the extra ones, "none" is none.
func Select(all []System, list string) ([]System, error) {
	var chosen []System
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		switch name {
		case "", "none":
			continue
		case "all":
			for _, s := range all {
				if s.Rival && !s.Extra {
					chosen = append(chosen, s)
				}
			}
			continue
		}
		at := slices.IndexFunc(all, func(s System) bool { return s.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("no system %q; `list` shows those there are", name)
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

// Store makes an empty folder for a worker.
func Store(parent string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, "store-")
}
