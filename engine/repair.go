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

// RepairOptions configure Repair. The zero value, and nil, mean the defaults.
type RepairOptions struct {
	// Copy copies intact segments instead of making hard links: for a disk that is dying.
	Copy bool
	// Progress is called now and then, from one goroutine, with the bytes read of all there are.
	Progress func(done, total int64)
	// FS is the file system of both stores. Default: the operating system's.
	FS vfs.FS
}

// Loss is something that Repair could not save.
type Loss struct {
	Collection string `json:"collection,omitempty"`
	Partition  string `json:"partition,omitempty"`
	Segment    uint64 `json:"segment,omitempty"`
	Path       string `json:"path,omitempty"`
	Rows       int64  `json:"rows"`      // entities that are gone, as far as that can be told; deleted ones may be among them
	Field      string `json:"field"`     // whose values are gone, if the entities themselves were saved with null in it
	FirstLSN   uint64 `json:"first_lsn"` // 0, or the first of the writes that are gone
	LastLSN    uint64 `json:"last_lsn"`
	Text       string `json:"text"`
}

// RepairReport is what Repair did.
type RepairReport struct {
	From      string        `json:"from"`
	To        string        `json:"to"`
	Intact    int           `json:"intact"`    // segments taken over as they were
	Rewritten int           `json:"rewritten"` // segments written anew without what is lost
	Replayed  int           `json:"replayed"`  // damaged segments whose entities are all in the log
	Adopted   int           `json:"adopted"`   // of the intact and rewritten, segments that no catalogue named
	Records   int64         `json:"records"`   // of the log
	Losses    []Loss        `json:"losses"`
	Notes     []string      `json:"notes"` // what may differ from the store as it was, with nothing lost
	Check     *CheckReport  `json:"check"` // of the new store
	Duration  time.Duration `json:"duration_ns"`
}

// OK reports that nothing was lost.
func (r *RepairReport) OK() bool { return len(r.Losses) == 0 && r.Check != nil && r.Check.OK() }

// String gives the report as text, a line for each loss.
func (r *RepairReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s → %s in %v\n", r.From, r.To, r.Duration.Round(time.Millisecond))
	fmt.Fprintf(&b, "%d segments intact, %d rewritten, %d left to the log, of these %d that no catalogue named; %d records of the log\n",
		r.Intact, r.Rewritten, r.Replayed, r.Adopted, r.Records)
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	var rows int64
	for _, l := range r.Losses {
		b.WriteString("lost: ")
		if l.Collection != "" {
			fmt.Fprintf(&b, "%s/%s ", l.Collection, l.Partition)
		}
		if l.Segment != 0 {
			fmt.Fprintf(&b, "segment %s ", segment.ID(l.Segment))
		}
		if l.Field == "" {
			rows += l.Rows
		}
		fmt.Fprintln(&b, l.Text)
	}
	if len(r.Losses) == 0 {
		b.WriteString("nothing is lost\n")
	} else {
		fmt.Fprintf(&b, "%d losses, %d entities of segments\n", len(r.Losses), rows)
	}
	if r.Check != nil {
		b.WriteString(r.Check.String())
	}
	return b.String()
}

// Repair makes a new store in the directory to, which must not exist, out of everything that can still be read of the store in dir, and
// changes no byte of that. It is for stores that Open refuses with ErrCorrupt. Nobody may have the store open for writing.
//
//   - Segments that are whole are taken over, with their indexes. Of a damaged one whose writes are all in the log still, nothing is
//     lost; of any other each chunk that is whole is saved, entity by entity.
//   - Of a damaged log every whole record is saved, also those after the damage.
//   - Of a damaged catalogue every edit before the damage counts, and those after it that still make sense. Segments that it does not name
//     are adopted. Without any catalogue the fields have numbers for names, and each partition becomes a collection.
//   - What is derived is built anew when the new store is opened.
//
// The report says what was lost. The error is one of the directories, or ctx's; the directory to is removed then.
func Repair(ctx context.Context, dir, to string, o *RepairOptions) (*RepairReport, error) {
	r := &repairer{dir: dir, to: to, report: &RepairReport{From: dir, To: to, Losses: []Loss{}, Notes: []string{}}}
	if o != nil {
		r.opts = *o
	}
	if r.opts.FS == nil {
		r.opts.FS = vfs.Default
	}
	start := time.Now()
	err := r.run(ctx)
	r.report.Duration = time.Since(start)
	return r.report, wrap("repair "+dir, err)
}

func (r *RepairReport) lose(l Loss) {
	if len(r.Losses) < maxProblems && !slices.Contains(r.Losses, l) {
		r.Losses = append(r.Losses, l)
	}
}

func (r *RepairReport) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}
