package graph

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// NoRow stands in Part.Rows for a row that the merged segment lacks.
const NoRow = math.MaxUint32

// Part is one of the indexes that Merge starts from.
type Part struct {
	Index *Index
	// Rows holds for each row of Index its offset in the merged segment, or
	// NoRow. A row without a vector must lack one there too.
	Rows []uint32
}

// mergeShare is the least share of the merged rows that the largest part must
// have. Below it a build from nothing is about as fast, and better.
const mergeShare = 0.4

// Merge makes the index of a merged segment, whose rows src gives, from those
// of the segments that were merged. Its steps:
//
//  1. Encode all rows anew, the largest part's first. The quantizer is that of
//     all rows, as a build would train it.
//  2. Keep each part's edges. Where an edge led to a row that is gone, its
//     neighbours take its place.
//  3. Part by part, search each row in the graph of the parts before; prune
//     what was found with its own edges; join the reverse edges.
//  4. Relabel and connect, as a build does.
//
// Where the largest part is small against the whole (or none has a graph),
// Merge builds from nothing. Errors are those of Build; ErrInvalid if the
// parts' rows are not exactly those of src.
func Merge(ctx context.Context, parts []Part, src Source, metric vector.Metric, options Options) (*Index, error) {
	if err := checkSource(src, metric); err != nil {
		return nil, err
	}
	if err := checkParts(parts, src, metric); err != nil {
		return nil, err
	}
	d := newDense(src)
	parts, err := d.renumber(parts)
	if err != nil {
		return nil, err
	}
	ix, err := merge(ctx, parts, d, metric, options)
	if err != nil {
		return nil, err
	}
	return d.spread(ix), nil
}

// merge is Merge where all rows of src have a vector. It may reorder parts.
func merge(ctx context.Context, parts []Part, src Source, metric vector.Metric, options Options) (*Index, error) {
	n := src.Rows()
	o, err := options.withDefaults(n)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(parts, func(a, b Part) int { return b.live() - a.live() })
	if len(parts) == 0 || parts[0].Index.Flat() || float64(parts[0].live()) < mergeShare*float64(n) {
		return build(ctx, src, metric, options)
	}
	z, err := train(ctx, src, metric)
	if err != nil {
		return nil, err
	}
	if n <= 2 || n*z.finalBytes(o.Bits) <= o.FlatBytes {
		return build(ctx, src, metric, options)
	}
	if err := o.planMerge(n, z.rowBytes()); err != nil {
		return nil, err
	}
	m := newMerger(parts, n, &o)
	place := make([]uint32, n)
	for i, row := range m.offsets {
		place[row] = uint32(i)
	}
	said := newProgress(&o, n)
	if m.rows, err = encodeRows(ctx, src, z, place, o.Workers, said, .2); err != nil {
		return nil, err
	}
	for i := range m.workers {
		m.workers[i] = newPruner(newLeafWorker(o.workerRows(), m.rows.stride), o.Alpha)
	}
	for i := range parts {
		if err := m.keepEdges(ctx, i); err != nil {
			return nil, err
		}
	}
	for i := 1; i < len(parts); i++ {
		if err := m.joinPart(ctx, z, i, said); err != nil {
			return nil, err
		}
	}
	ix, err := finish(ctx, z, m.rows, m.offsets, m.edges, &o)
	if err == nil {
		said.finish()
	}
	return ix, err
}

// live returns the number of rows that are in the merged segment.
func (p *Part) live() int {
	n := 0
	for _, r := range p.Rows {
		if r != NoRow {
			n++
		}
	}
	return n
}

// checkParts requires that the parts' rows are those of src, each once.
func checkParts(parts []Part, src Source, metric vector.Metric) error {
	n := src.Rows()
	seen := make([]uint64, (n+63)/64)
	count := 0
	for i, p := range parts {
		if p.Index.metric != metric || p.Index.dim != src.Dim() {
			return fmt.Errorf("%w: part %d has %v and %d dimensions, want %v and %d",
				ErrInvalid, i, p.Index.metric, p.Index.dim, metric, src.Dim())
		}
		if len(p.Rows) != p.Index.rows {
			return fmt.Errorf("%w: part %d has %d rows, and offsets for %d", ErrInvalid, i, p.Index.rows, len(p.Rows))
		}
		for r, row := range p.Rows {
			if row == NoRow {
				continue
			}
			if int64(row) >= int64(n) || seen[row>>6]>>(row&63)&1 != 0 {
				return fmt.Errorf("%w: row %d of part %d has offset %d, which is beyond %d rows or taken", ErrInvalid, r, i, row, n)
			}
			seen[row>>6] |= 1 << (row & 63)
			count++
		}
	}
	if count != n {
		return fmt.Errorf("%w: the parts have %d of %d rows", ErrInvalid, count, n)
	}
	return nil
}

// mergeMemory is what a merge takes.
func (o *Options) mergeMemory(n, stride int) int64 {
	return int64(n)*int64(stride+8+8*o.Degree+40) + int64(o.Workers)*int64(o.workerRows())*int64(stride+40)
}

// planMerge checks that a merge keeps to its memory: the codes, the edges, those
// from a part to the ones before, and some numbers a row.
func (o *Options) planMerge(n, stride int) error {
	need := o.mergeMemory(n, stride)
	if o.MemoryBudget > 0 && need > o.MemoryBudget {
		return fmt.Errorf("%w: a graph of %d rows needs %d bytes to merge, the budget is %d", ErrMemory, n, need, o.MemoryBudget)
	}
	return nil
}

// merger numbers the merged rows part by part, each part's in the order of its
// labels, so that its graph keeps the locality it had.
type merger struct {
	*Options
	parts   []Part
	ends    []int // part i has the numbers ends[i-1] to ends[i]-1
	offsets []uint32
	numbers [][]uint32 // of each part's labels; none for rows that are gone
	rows    *codedRows
	edges   *adjacency
	workers []*pruner
}

func newMerger(parts []Part, n int, o *Options) *merger {
	m := &merger{Options: o, parts: parts, offsets: make([]uint32, 0, n), workers: make([]*pruner, o.Workers)}
	for _, p := range parts {
		numbers := make([]uint32, p.Index.n)
		for label := range numbers {
			row := p.Rows[p.Index.rowOf(uint32(label))]
			if row == NoRow {
				numbers[label] = none
				continue
			}
			numbers[label] = uint32(len(m.offsets))
			m.offsets = append(m.offsets, row)
		}
		m.numbers = append(m.numbers, numbers)
		m.ends = append(m.ends, len(m.offsets))
	}
	m.edges = newAdjacency(n, o.Degree)
	for i := range m.edges.next {
		m.edges.next[i] = none
	}
	return m
}

// start returns the first number of part i.
func (m *merger) start(i int) int {
	if i == 0 {
		return 0
	}
	return m.ends[i-1]
}

// keepEdges takes over the edges of part i. A part without a graph gets one.
func (m *merger) keepEdges(ctx context.Context, i int) error {
	ix, numbers := m.parts[i].Index, m.numbers[i]
	lo, hi := m.start(i), m.ends[i]
	if ix.Flat() {
		return m.buildPart(ctx, lo, hi)
	}
	each(m.Workers, ix.n, pieceRows, func(worker, from, to int) {
		if ctx.Err() != nil {
			return
		}
		p := m.workers[worker]
		for label := from; label < to; label++ {
			number := numbers[label]
			if number == none {
				continue
			}
			list := p.joined[:0]
			gone := false
			for _, next := range ix.neighbours(uint32(label)) {
				if numbers[next] == none {
					gone = true
				} else {
					list = append(list, numbers[next])
				}
			}
			if gone {
				list = m.bridge(ix, numbers, uint32(label), list)
			}
			p.joined = list[:0]
			if len(list) > m.Degree {
				list = p.prune(m.rows, p.rank(m.rows, number, list), m.Degree, true)
			}
			m.edges.set(number, list)
		}
	})
	return ctx.Err()
}

// bridge appends to list, the numbers of a label's neighbours, those of the
// neighbours of its neighbours that are gone.
func (m *merger) bridge(ix *Index, numbers []uint32, label uint32, list []uint32) []uint32 {
	self := numbers[label]
	for _, next := range ix.neighbours(label) {
		if numbers[next] != none {
			continue
		}
		for _, far := range ix.neighbours(next) {
			if number := numbers[far]; number != none && number != self && len(list) < pruneRows && !slices.Contains(list, number) {
				list = append(list, number)
			}
		}
	}
	return list
}

// buildPart builds a graph among the rows lo to hi-1.
func (m *merger) buildPart(ctx context.Context, lo, hi int) error {
	if hi-lo < 2 {
		return nil
	}
	o := *m.Options
	o.MemoryBudget, o.Progress = 0, nil
	rows := m.rows.part(lo, hi)
	p, err := o.plan(rows.n, rows.stride)
	if err != nil {
		return err
	}
	edges, err := buildEdges(ctx, rows, &o, p, nil)
	if err != nil {
		return err
	}
	for i, next := range edges.next {
		if next != none {
			next += uint32(lo)
		}
		m.edges.next[lo*m.Degree+i] = next
	}
	return nil
}

const (
	// mergePool is the number of near rows that a row is given to choose its
	// neighbours in an earlier part from. It may be small: the search starts
	// where it ended for the row's own neighbours. At 120,000 rows, merged half
	// and half, 24 / 40 / 64 took .38 / .50 / .62 of a build's time for a recall
	// of .963 / .967 / .967 at ef 48; the build's was .961.
	mergePool = 28
	// mergeBlock is the number of rows that are searched side by side: they do
	// not start from each other's findings.
	mergeBlock = 1024
	// mergeSeeds bounds the findings of neighbours that a search starts from.
	mergeSeeds = 8
)

// joinPart connects the graph of part i with that of the parts before it.
func (m *merger) joinPart(ctx context.Context, z *quantizer, i int, said *progress) error {
	lo, hi := m.start(i), m.ends[i]
	before := &Index{quantizer: z, codedRows: m.rows.part(0, lo), adjacency: m.edges, rows: lo}
	before.setMaxSquare()
	entries := drawRows(lo, m.entries(m.rows.stride), m.Seed)
	slices.Sort(entries)
	before.setEntries(entries)
	walkers := make([]*walker, m.Workers)
	for w := range walkers {
		walkers[w] = before.newWalker()
	}
	const keep = 2 // findings remembered for each row
	found := make([]uint32, (hi-lo)*keep)
	for block := lo; block < hi; block += mergeBlock {
		if err := ctx.Err(); err != nil {
			return err
		}
		each(m.Workers, min(mergeBlock, hi-block), 16, func(worker, from, to int) {
			w, p := walkers[worker], m.workers[worker]
			for row := uint32(block + from); row < uint32(block+to); row++ {
				own := m.edges.neighbours(row)
				w.useCode(before, m.rows.at(row))
				n := w.start(before, min(mergePool, lo))
				seeds := p.joined[:0]
				for _, next := range own {
					if int(next) >= lo && int(next) < block && len(seeds) < mergeSeeds {
						seeds = append(seeds, found[(int(next)-lo)*keep:][:keep]...)
					}
				}
				n = w.goOn(before, w.seed(before, seeds, n))
				for j := range keep {
					found[(int(row)-lo)*keep+j] = keyLabel(w.pool[min(j, n-1)])
				}
				list := append(p.joined[:0], own...)
				for _, key := range w.pool[:n] {
					list = append(list, keyLabel(key))
				}
				p.joined = list[:0]
				m.edges.set(row, p.prune(m.rows, p.rank(m.rows, row, list), m.Degree, false))
			}
			said.add(.7, to-from, m.rows.n-m.ends[0])
		})
	}
	into := reverse(m.edges, lo, hi, lo)
	defer into.memory.free()
	each(m.Workers, lo, pieceRows, func(worker, from, to int) {
		for r := from; r < to; r++ {
			if extra := into.into(uint32(r)); len(extra) > 0 {
				m.workers[worker].join(m.rows, m.edges, uint32(r), extra)
			}
		}
	})
	return ctx.Err()
}

// seed puts labels into a pool of n, and returns how many it has then.
func (w *walker) seed(ix *Index, labels []uint32, n int) int {
	at := len(w.touched)
	for _, l := range labels {
		if w.visited[l>>6]>>(l&63)&1 == 0 {
			w.visited[l>>6] |= 1 << (l & 63)
			w.touched = append(w.touched, l)
		}
	}
	labels = w.touched[at:]
	if len(labels) == 0 {
		return n
	}
	m := w.below(ix, labels, math.MaxInt32)
	for _, key := range w.keys[:m] {
		n, _ = insert(w.pool, n, len(w.pool), poolKey(key))
	}
	return n
}
