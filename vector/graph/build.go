package graph

import (
	"context"
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
	rows, err := encodeRows(ctx, src, z, nil, o.Workers)
	if err != nil {
		return nil, err
	}
	if flat {
		ix := newFlat(z, rows)
		if o.Bits == 4 {
			ix.nibbles(o.Workers)
		}
		return ix, nil
	}
	edges, spare, err := buildEdges(ctx, rows, &o, p)
	if err != nil {
		return nil, err
	}
	return finish(ctx, z, rows, nil, edges, spare, &o)
}

// buildEdges makes the graph of rows: steps 2 to 4. The second adjacency is
// memory of the same size that is no longer used.
func buildEdges(ctx context.Context, rows *codedRows, o *Options, p plan) (edges, spare *adjacency, err error) {
	workers := make([]*leafWorker, o.Workers)
	pruners := make([]*pruner, o.Workers)
	for i := range workers {
		workers[i] = newLeafWorker(o.workerRows(), rows.stride)
		pruners[i] = newPruner(workers[i], o.Alpha)
	}
	c := carver{codedRows: rows, maxLeaf: o.LeafRows, fan: o.FanOut, seed: o.Seed, workers: workers}
	groups, err := c.carve(ctx)
	if err != nil {
		return nil, nil, err
	}
	first := newAdjacency(rows.n, o.Degree)
	lists := newCandidates(p.passRows, o.Candidates)
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
			}
		})
		each(o.Workers, hi-lo, 64, func(worker, from, to int) {
			if ctx.Err() != nil {
				return
			}
			for r := lo + from; r < lo+to; r++ {
				first.set(uint32(r), pruners[worker].prune(rows, lists.list(r), o.Degree, false))
			}
		})
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	groups, lists = nil, nil
	into := reverse(first, 0, rows.n, rows.n)
	second := newAdjacency(rows.n, o.Degree)
	each(o.Workers, rows.n, 64, func(worker, from, to int) {
		if ctx.Err() != nil {
			return
		}
		for r := from; r < to; r++ {
			pruners[worker].join(rows, first, uint32(r), into.into(uint32(r)), second)
		}
	})
	return second, first, ctx.Err()
}

// finish makes an index of the coded rows and their edges: steps 5 and 6. The
// offset of row i of rows is offsets[i], or i if offsets is nil; spare is
// memory to use.
func finish(ctx context.Context, z *quantizer, rows *codedRows, offsets []uint32, edges, spare *adjacency, o *Options) (*Index, error) {
	entries := drawEntries(rows.n, o)
	order, roots := breadthFirst(edges, rows.n, entries[0])
	ix := &Index{
		quantizer: z,
		codedRows: newCodedRows(rows.n, rows.stride),
		adjacency: spare,
		rows:      rows.n,
		toRow:     order,
		toLabel:   alignedUint32(rows.n),
	}
	for label, row := range order {
		ix.toLabel[row] = uint32(label)
	}
	each(o.Workers, rows.n, 1024, func(_, lo, hi int) {
		for label := lo; label < hi; label++ {
			row := order[label]
			copy(ix.at(uint32(label)), rows.at(row))
			ix.square[label], ix.sum[label] = rows.square[row], rows.sum[row]
			to := ix.row(uint32(label))
			for i, next := range edges.row(row) {
				if next != none {
					next = ix.toLabel[next]
				}
				to[i] = next
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
	ix.sum = nil
	if o.Bits == 4 {
		ix.nibbles(o.Workers)
	}
	if offsets != nil {
		for label, row := range ix.toRow {
			ix.toRow[label] = offsets[row]
			ix.toLabel[offsets[row]] = uint32(label)
		}
	}
	return ix, nil
}

// drawEntries draws the rows at which searches may start.
func drawEntries(n int, o *Options) []uint32 {
	r := rand.New(rand.NewPCG(o.Seed, 0x656e7472696573))
	count := min(o.Entries, n)
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
