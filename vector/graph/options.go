package graph

import (
	"fmt"
	"runtime"
)

// Options are the choices of a build. The zero value is a good one.
type Options struct {
	// Bits is the size of a code: 8, or 4 for an index that is smaller by a
	// third to a half, and faster where memory is what its searches wait for,
	// but leaves more rows to be scored exactly. 0 means 8. Vectors of up to
	// about 64 elements get 8 in any case, as their rows would be no smaller;
	// so do clusters so dense that 4 bits do not tell their rows apart.
	Bits int
	// Degree is the greatest number of neighbours of a row; 0 means 64.
	Degree int
	// Candidates is the number of near rows from which a row's neighbours are
	// chosen; 0 means 96.
	Candidates int
	// Alpha is the factor of pruning: greater values keep more and longer
	// edges. 0 means 1.1.
	Alpha float64
	// LeafRows is the greatest number of rows that are compared all with all;
	// 0 means 1000.
	LeafRows int
	// FanOut is the number of groups that a row joins on the first and second
	// level of the partition. 0 means what the number of rows asks for: 6×2,
	// from 700,000 rows on 8×3.
	FanOut [2]int
	// Entries is the number of rows that a search scans to find where to
	// start; 0 means as many as have 64 KiB of codes, 64 at least, 512 at most.
	Entries int
	// FlatBytes is the size of codes up to which no graph is built, because
	// reading them all is as fast; 0 means 768 KiB, less than 0 never.
	FlatBytes int
	// Seed chooses among equally good graphs. The same seed, options and rows
	// give the same index, whatever the number of workers.
	Seed uint64
	// Workers is the number of goroutines; 0 means GOMAXPROCS.
	Workers int
	// MemoryBudget bounds the memory of a build in bytes. A build that cannot
	// keep to it is refused with ErrMemory. 0 means no bound: a build then takes
	// about one and a half times the finished index. See Memory.
	MemoryBudget int64
	// Progress, if not nil, is told now and then, at most some hundred times,
	// how much of a build or merge is done: done of total, which is the number
	// of rows, growing and at last equal. It is never called twice at once, and
	// holds the build up while it runs.
	Progress func(done, total int)

	leastOnly bool // plan stops at the least memory
}

// Bounds of the options.
const (
	maxDegree   = 256
	maxEntries  = 4096
	manyRows    = 700_000
	maxPasses   = 64
	maxLeafRows = 4096
)

// Entries unless told.
const (
	entryBytes   = 64 << 10
	leastEntries = 64
	mostEntries  = 512
)

// withDefaults fills in zeros for n rows.
func (o Options) withDefaults(n int) (Options, error) {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&o.Bits, 8)
	set(&o.Degree, 64)
	set(&o.Candidates, max(96, o.Degree))
	set(&o.LeafRows, 1000)
	if n < manyRows {
		set(&o.FanOut[0], 6)
		set(&o.FanOut[1], 2)
	} else {
		set(&o.FanOut[0], 8)
		set(&o.FanOut[1], 3)
	}
	set(&o.FlatBytes, 768<<10)
	set(&o.Workers, runtime.GOMAXPROCS(0))
	if o.Alpha == 0 {
		o.Alpha = 1.1
	}
	for _, b := range []struct {
		name          string
		value, lo, hi int
	}{
		{"degree", o.Degree, 4, maxDegree},
		{"candidates", o.Candidates, 4, maxList},
		{"leaf rows", o.LeafRows, 64, maxLeafRows},
		{"fan-out", o.FanOut[0], 1, 64},
		{"fan-out", o.FanOut[1], 1, 64},
		{"entries", o.Entries, 0, maxEntries},
		{"workers", o.Workers, 1, 1024},
	} {
		if b.value < b.lo || b.value > b.hi {
			return o, fmt.Errorf("%w: %s %d, want %d to %d", ErrInvalid, b.name, b.value, b.lo, b.hi)
		}
	}
	if o.Bits != 4 && o.Bits != 8 {
		return o, fmt.Errorf("%w: codes of %d bits, want 4 or 8", ErrInvalid, o.Bits)
	}
	if !(o.Alpha >= 1 && o.Alpha <= 4) {
		return o, fmt.Errorf("%w: alpha %v, want 1 to 4", ErrInvalid, o.Alpha)
	}
	if o.MemoryBudget < 0 {
		return o, fmt.Errorf("%w: memory budget %d", ErrInvalid, o.MemoryBudget)
	}
	return o, nil
}

// entries is the number of entries in a graph of rows of stride bytes.
func (o *Options) entries(stride int) int {
	if o.Entries > 0 {
		return o.Entries
	}
	return min(max(entryBytes/stride, leastEntries), mostEntries)
}

// plan is how a build keeps to its memory.
type plan struct {
	passes   int   // parts in which the lists of candidates are made
	passRows int   // rows of a part
	peak     int64 // bytes at most
}

// plan works out the memory of a build of n rows:
//
//	codes    n · (stride + 8)
//	carving  n · (8 · first + 6 · all), first and all being the fan-out of the
//	         first level and that of both
//	leaves   n · 4 · all
//	lists    passRows · (8 · Candidates + 2)
//	edges    n · 4 · Degree, and once more reversed with 8 · n
//
// They are not all there at once: codes, leaves and what carving takes; then
// codes, leaves, lists and edges; then codes and edges both ways; then codes,
// edges, and some numbers. Lists are made for a part of the rows at a time, as
// large as the other steps leave room for; more parts cost little time.
func (o *Options) plan(n, stride int) (plan, error) {
	rows := int64(n)
	codes := rows * int64(stride+8)
	all := int64(o.FanOut[0] * o.FanOut[1])
	leaves := rows * 4 * all
	edges := rows * int64(4*o.Degree)
	workers := int64(o.Workers) * int64(o.workerRows()) * int64(stride+40)
	perRow := int64(8*o.Candidates + 2)
	least := max(
		codes+leaves+rows*(8*int64(o.FanOut[0])+6*all),
		codes+leaves+edges+perRow*(rows+maxPasses-1)/maxPasses,
		codes+2*edges+8*rows,
		codes+edges+24*rows,
	) + workers
	if o.leastOnly {
		return plan{peak: least}, nil
	}
	// Edges both ways are seldom as many as there is room for, so what they
	// might need is not spent on lists.
	room := max((codes+edges)*7/5, 16<<20)
	if o.MemoryBudget > 0 {
		if least > o.MemoryBudget {
			return plan{}, fmt.Errorf("%w: a graph of %d rows needs %d bytes to build, the budget is %d",
				ErrMemory, n, least, o.MemoryBudget)
		}
		room = o.MemoryBudget
	}
	passRows := min(rows, max((rows+maxPasses-1)/maxPasses, (room-workers-codes-leaves-edges)/perRow))
	p := plan{passes: int((rows + passRows - 1) / passRows)}
	p.passRows = (n + p.passes - 1) / p.passes
	p.peak = max(least, workers+codes+leaves+edges+perRow*int64(p.passRows))
	return p, nil
}

// workerRows is the number of rows a leafWorker must hold.
func (o *Options) workerRows() int { return max(o.LeafRows, maxLeaders, pruneRows) }

// Memory returns the bytes that a build of rows vectors of dim elements
// allocates at most with these options, apart from what its Source needs.
func (o Options) Memory(rows, dim int) (int64, error) {
	o, err := o.withDefaults(rows)
	if err != nil {
		return 0, err
	}
	p, err := o.plan(rows, codeBytes(dim))
	return p.peak, err
}
