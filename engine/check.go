package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/selkiedb/selkie/segment"
)

// CheckOptions configure Check. The zero value, and nil, mean the defaults.
type CheckOptions struct {
	// Samples is how many entities of each indexed vector field and partition are searched for by their own vector, once with the index and once
	// exactly. Default 32; negative: none.
	Samples int
	// Progress is called now and then, from one goroutine, with the bytes read of all there are.
	Progress func(done, total int64)
	// FS is the file system that Check of a directory reads. Default: the operating system's.
	FS vfs.FS
}

// ProblemKind says what a problem costs.
type ProblemKind string

// The kinds of problems.
const (
	ProblemDamage   ProblemKind = "damage"   // rows cannot be read, or cannot be believed
	ProblemDerived  ProblemKind = "derived"  // an index: searches are slower, and right; it is built anew
	ProblemLeftover ProblemKind = "leftover" // a file that nothing names: it takes room
)

// Problem is one thing that Check found wrong.
type Problem struct {
	Kind       ProblemKind `json:"kind"`
	Collection string      `json:"collection,omitempty"`
	Partition  string      `json:"partition,omitempty"`
	Segment    uint64      `json:"segment,omitempty"`
	Path       string      `json:"path,omitempty"`
	Offset     int64       `json:"offset"` // in the file; -1 where the whole of it is meant
	Text       string      `json:"text"`
}

// RecallSample tells how well an index finds the entities of a sample by their own vectors.
type RecallSample struct {
	Collection string  `json:"collection"`
	Partition  string  `json:"partition"`
	Field      string  `json:"field"`
	Queries    int     `json:"queries"`
	Recall     float64 `json:"recall"` // at k = 10, beside the exact search: 0 to 1
}

// CheckReport is what Check read and found.
type CheckReport struct {
	Dir         string         `json:"dir"`
	LSN         uint64         `json:"lsn"`
	Edits       uint64         `json:"edits"`   // of the catalogue file
	Records     int64          `json:"records"` // of the log
	Collections int            `json:"collections"`
	Partitions  int            `json:"partitions"`
	Segments    int            `json:"segments"`
	Files       int            `json:"files"` // of segments and their indexes
	Bytes       int64          `json:"bytes"` // of these
	Rows        int64          `json:"rows"`  // in sealed segments, dead ones included
	Live        int64          `json:"live"`  // in all segments
	Indexes     int            `json:"indexes"`
	Recall      []RecallSample `json:"recall,omitempty"`
	Problems    []Problem      `json:"problems"`
	Duration    time.Duration  `json:"duration_ns"`
}

// OK reports that no row is damaged or missing.
func (r *CheckReport) OK() bool {
	return !slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind == ProblemDamage })
}

// maxProblems bounds a report.
const maxProblems = 10_000

// Check reads every byte of the store and compares all that it says twice: the catalogue with the files and with what is in memory, each block
// and chunk with its checksum, bounds, nulls and the key filter with the values, keys with their order and, where a partition holds a key once,
// with each other, tombstones with rows, the counts with a walk over all entities, each index with its checksums, its segment and the
// exact search. The store may be in use. What is wrong is in the report; the error is ctx's, or says that the engine is closed.
func (e *Engine) Check(ctx context.Context, o *CheckOptions) (*CheckReport, error) {
	if err := e.usable(); err != nil {
		return nil, wrap("check", err)
	}
	ctx, stop := e.bind(ctx)
	defer stop()
	c := newCheck(e.dir, o)
	start := time.Now()
	err := c.engine(ctx, e)
	c.report.Duration = time.Since(start)
	return c.report, wrap("check", err)
}

// Check reads the store in a directory, which nobody has open for writing, as Engine.Check does, and changes no byte of it. A store that cannot
// be opened is read as far as it goes. The error is one of the directory, or ctx's.
func Check(ctx context.Context, dir string, o *CheckOptions) (*CheckReport, error) {
	c := newCheck(dir, o)
	start := time.Now()
	err := c.store(ctx, dir)
	c.report.Duration = time.Since(start)
	return c.report, wrap("check "+dir, err)
}

// String gives the report as text, a line for each problem.
func (r *CheckReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d collections, %d partitions, %d segments, %d live entities (%d rows sealed), LSN %d\n",
		r.Dir, r.Collections, r.Partitions, r.Segments, r.Live, r.Rows, r.LSN)
	fmt.Fprintf(&b, "read %d files of %d bytes, %d indexes, %d edits of the catalogue, %d records of the log in %v\n",
		r.Files, r.Bytes, r.Indexes, r.Edits, r.Records, r.Duration.Round(time.Millisecond))
	for _, s := range r.Recall {
		fmt.Fprintf(&b, "%s/%s %s: recall %.3f of %d searches for entities by their own vectors\n", s.Collection, s.Partition, s.Field, s.Recall, s.Queries)
	}
	counts := map[ProblemKind]int{}
	for _, p := range r.Problems {
		counts[p.Kind]++
		fmt.Fprintf(&b, "%s: ", p.Kind)
		if p.Collection != "" {
			fmt.Fprintf(&b, "%s/%s ", p.Collection, p.Partition)
		}
		if p.Segment != 0 {
			fmt.Fprintf(&b, "segment %s: ", segment.ID(p.Segment))
		}
		b.WriteString(p.Text)
		b.WriteByte('\n')
	}
	if len(r.Problems) == 0 {
		b.WriteString("no problems\n")
		return b.String()
	}
	fmt.Fprintf(&b, "%d damaged, %d derived, %d left over\n", counts[ProblemDamage], counts[ProblemDerived], counts[ProblemLeftover])
	return b.String()
}
