package graph

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/selkiedb/selkie/vector"
)

// Build makes the index of all rows of src. Its steps:
//
//  1. Train the quantizer by a sample, encode all rows.
//  2. Carve the rows into overlapping leaves (see carver).
//  3. Compare all rows of a leaf with all, keep the nearest few for each row.
//  4. Prune each row's list to its neighbours; join each row's edges with
//     those that lead to it and prune again.
//  5. Relabel the rows in breadth-first order, so that rows that are visited
//     together lie together.
//  6. Add edges to rows that cannot be reached (see connect).
//  7. Options.Bits 4: code all rows anew (see nibbles).
//
// A source of few rows gets steps 1 only; searching such an index reads all
// codes. The error is ctx.Err() when ctx ends first, wraps ErrInvalid or
// ErrMemory, or is src's.
func Build(ctx context.Context, src Source, metric vector.Metric, options Options) (*Index, error) {
	if err := checkSource(src, metric); err != nil {
		return nil, err
	}
	d := newDense(src)
	ix, err := build(ctx, d, metric, options)
	if err != nil {
		return nil, err
	}
	return d.spread(ix), nil
}

// build is Build where all rows have a vector.
func build(ctx context.Context, src Source, metric vector.Metric, options Options) (*Index, error) {
	o, err := options.withDefaults(src.Rows())
	if err != nil {
		return nil, err
	}
	z, err := train(ctx, src, metric)
	if err != nil {
		return nil, err
	}
	n := src.Rows()
	flat := n <= 2 || n*z.finalBytes(o.Bits) <= o.FlatBytes
	var p plan
	if !flat {
		if p, err = o.plan(n, z.rowBytes()); err != nil {
			return nil, err
		}
	}
	said := newProgress(&o, n)
	rows, err := encodeRows(ctx, src, z, nil, o.Workers, said, shareEncode)
	if err != nil {
		return nil, err
	}
	if flat {
		ix := newFlat(z, rows, &o)
		said.finish()
		return ix, nil
	}
	edges, err := buildEdges(ctx, rows, &o, p, said)
	if err != nil {
		return nil, err
	}
	ix, err := finish(ctx, z, rows, nil, edges, &o)
	if err == nil {
		said.finish()
	}
	return ix, err
}

// buildEdges makes the graph of rows: steps 2 to 4.
func buildEdges(ctx context.Context, rows *codedRows, o *Options, p plan, said *progress) (*adjacency, error) {
	workers := make([]*leafWorker, o.Workers)
	pruners := make([]*pruner, o.Workers)
	for i := range workers {
		workers[i] = newLeafWorker(o.workerRows(), rows.stride)
		pruners[i] = newPruner(workers[i], o.Alpha)
	}
	c := carver{codedRows: rows, maxLeaf: o.LeafRows, fan: o.FanOut, seed: o.Seed, workers: workers, progress: said}
	groups, err := c.carve(ctx)
	if err != nil {
		return nil, err
	}
	defer groups.memory.free()
	edges := newAdjacency(rows.n, o.Degree)
	lists := newCandidates(p.passRows, o.Candidates)
	defer lists.memory.free()
	for lo := 0; lo < rows.n; lo += p.passRows {
		hi := min(lo+p.passRows, rows.n)
		lists.start(lo, hi)
		each(o.Workers, groups.count(), 1, func(worker, i, _ int) {
			if ctx.Err() != nil {
				return
			}
			leaf := groups.leaf(i)
			from, _ := slices.BinarySearch(leaf, uint32(lo))
			to, _ := slices.BinarySearch(leaf, uint32(hi))
			if from < to {
				w := workers[worker]
				w.load(rows, leaf)
				lists.addLeaf(w, rows, from, to)
				said.add(shareLeaves, to-from, len(groups.rows))
			}
		})
		each(o.Workers, hi-lo, pieceRows, func(worker, from, to int) {
			if ctx.Err() != nil {
				return
			}
			for r := lo + from; r < lo+to; r++ {
				edges.set(uint32(r), pruners[worker].prune(rows, lists.list(r), o.Degree, false))
			}
			said.add(sharePrune, to-from, rows.n)
		})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	groups.memory.free()
	lists.memory.free()
	into := reverse(edges, 0, rows.n, rows.n)
	defer into.memory.free()
	each(o.Workers, rows.n, pieceRows, func(worker, from, to int) {
		if ctx.Err() != nil {
			return
		}
		for r := from; r < to; r++ {
			pruners[worker].join(rows, edges, uint32(r), into.into(uint32(r)))
		}
		said.add(shareJoin, to-from, rows.n)
	})
	return edges, ctx.Err()
}

// finish makes an index of the coded rows and their edges, which become its
// own: steps 5 and 6. The offset of row i of rows is offsets[i], or i if
// offsets is nil.
func finish(ctx context.Context, z *quantizer, rows *codedRows, offsets []uint32, edges *adjacency, o *Options) (*Index, error) {
	entries := drawEntries(rows, o)
	order, roots := breadthFirst(edges, rows.n, entries[0])
	ix := &Index{
		quantizer: z,
		codedRows: rows,
		adjacency: edges,
		rows:      rows.n,
		toRow:     order,
		toLabel:   alignedUint32(rows.n),
	}
	for label, row := range order {
		ix.toLabel[row] = uint32(label)
	}
	each(o.Workers, len(edges.next), 1<<16, func(_, lo, hi int) {
		for i, next := range edges.next[lo:hi] {
			if next != none {
				edges.next[lo+i] = ix.toLabel[next]
			}
		}
	})
	rows.sum = nil
	// In place, as twice the memory would be the most a build needs.
	each(o.Workers, 2, 1, func(_, part, _ int) {
		if part == 0 {
			reorder(edges.next, edges.degree, order)
		} else {
			reorder(rows.codes, rows.stride, order)
			reorder(rows.square, 1, order)
			if rows.norm != nil {
				reorder(rows.norm, 1, order)
			}
		}
	})
	for i, row := range entries {
		entries[i] = ix.toLabel[row]
	}
	slices.Sort(entries)
	ix.setEntries(entries)
	ix.setMaxSquare()
	if err := connect(ctx, ix, roots); err != nil {
		return nil, err
	}
	ix.measureReach()
	if o.Bits == 4 {
		ix.nibbles(o.Workers)
	}
	ix.dropBuild()
	if offsets != nil {
		for label, row := range ix.toRow {
			ix.toRow[label] = offsets[row]
			ix.toLabel[offsets[row]] = uint32(label)
		}
	}
	return ix, nil
}

// drawEntries draws the rows at which searches may start. The longest rows are
// entries as well if they are much longer than others: most great products may
// be theirs.
func drawEntries(rows *codedRows, o *Options) []uint32 {
	entries := drawRows(rows.n, o.entries(rows.stride), o.Seed)
	if rows.norm == nil || !unevenNorms(rows.norm) {
		return entries
	}
	keys := make([]uint64, rows.n)
	for row, norm := range rows.norm {
		keys[row] = uint64(^math.Float32bits(norm))<<32 | uint64(row)
	}
	if count := len(entries) + longRows; count < rows.n {
		smallest(keys, count)
		keys = keys[:count]
	}
	sortKeys(keys)
	taken := make(map[uint32]bool, len(entries))
	for _, row := range entries {
		taken[row] = true
	}
	most := min(len(entries)+longRows, maxEntries)
	for _, key := range keys {
		if row := uint32(key); !taken[row] && len(entries) < most {
			entries = append(entries, row)
		}
	}
	return entries
}

// longRows is how many of the longest rows are entries: 5 to 10 % of the time
// of a search.
const longRows = 3584

// drawRows draws rows by chance.
func drawRows(n, count int, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, 0x656e7472696573))
	count = min(count, n)
	entries := make([]uint32, 0, count)
	seen := make(map[uint32]bool, count)
	for len(entries) < count {
		row := r.Uint32N(uint32(n))
		if !seen[row] {
			seen[row] = true
			entries = append(entries, row)
		}
	}
	return entries
}
