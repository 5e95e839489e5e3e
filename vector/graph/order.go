package graph

import "context"

// breadthFirst returns the rows in the order in which a breadth-first walk
// from start comes to them. Where it ends early it goes on from the first row
// not seen; roots are the places in order of those rows, start's excluded.
func breadthFirst(edges *adjacency, n int, start uint32) (order, roots []uint32) {
	order = alignedUint32(n)[:0]
	seen := make([]uint64, (n+63)/64)
	push := func(row uint32) {
		if seen[row>>6]>>(row&63)&1 == 0 {
			seen[row>>6] |= 1 << (row & 63)
			order = append(order, row)
		}
	}
	push(start)
	unseen := uint32(0)
	for i := 0; len(order) < n || i < len(order); i++ {
		if i == len(order) {
			for seen[unseen>>6]>>(unseen&63)&1 != 0 {
				unseen++
			}
			roots = append(roots, uint32(i))
			push(unseen)
		}
		for _, next := range edges.row(order[i]) {
			if next == none {
				break
			}
			push(next)
		}
	}
	return order, roots
}

// reorder moves records of size elements so that record i becomes what record
// order[i] was. REQUIRES: order is a permutation.
func reorder[E any](elements []E, size int, order []uint32) {
	moved := make([]uint64, (len(order)+63)/64)
	held := make([]E, size)
	at := func(i uint32) []E { return elements[int(i)*size:][:size] }
	for first := range uint32(len(order)) {
		if moved[first>>6]>>(first&63)&1 != 0 || order[first] == first {
			continue
		}
		// A cycle: each place takes over from the next.
		copy(held, at(first))
		to := first
		for {
			moved[to>>6] |= 1 << (to & 63)
			from := order[to]
			if from == first {
				copy(at(to), held)
				break
			}
			copy(at(to), at(from))
			to = from
		}
	}
}

// connect gives every label an incoming path from label 0, at which the walk
// that ordered them began. Labels below the first of roots have one; from each
// root its successors up to the next root do. So each root in turn gets an edge
// from a label below it, the nearest that can take one:
//
//	a place still free, or
//	the place of its farthest neighbour that is reached some other way too,
//
// "some other way" being the tree of first visits, which is never cut.
func connect(ctx context.Context, ix *Index, roots []uint32) error {
	if len(roots) == 0 {
		return nil
	}
	parent := make([]uint32, ix.n)
	for i := range parent {
		parent[i] = none
	}
	for label := range uint32(ix.n) {
		for _, next := range ix.neighbours(label) {
			if next > label && parent[next] == none {
				parent[next] = label
			}
		}
	}
	w := ix.newWalker()
	spare := uint32(0) // labels below it have no place left
	for i, root := range roots {
		if i%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		w.useCode(ix, ix.at(root))
		n := w.walk(ix, connectPool)
		attached := false
		for _, key := range w.pool[:n] {
			if label := keyLabel(key); label < root && ix.attach(label, root, parent) {
				attached = true
				break
			}
		}
		for ; !attached; spare++ {
			// Among the labels below root the tree has root-1 edges, fewer than
			// places: some label has one left.
			attached = ix.attach(spare, root, parent)
			if attached {
				break
			}
		}
	}
	return nil
}

// connectPool is the size of the pool when a place for a root is searched.
const connectPool = 32

// attach makes root a neighbour of label, unless all its places are needed.
func (ix *Index) attach(label, root uint32, parent []uint32) bool {
	row := ix.row(label)
	for i := len(row) - 1; i >= 0; i-- {
		if row[i] == none && i > 0 && row[i-1] == none {
			continue
		}
		if row[i] == none || parent[row[i]] != label {
			row[i] = root
			parent[root] = label
			return true
		}
	}
	return false
}

// reachable returns the number of labels that can be reached from label 0.
func (ix *Index) reachable() int {
	seen := make([]bool, ix.n)
	stack := []uint32{0}
	seen[0] = true
	count := 1
	for len(stack) > 0 {
		label := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, next := range ix.neighbours(label) {
			if !seen[next] {
				seen[next] = true
				count++
				stack = append(stack, next)
			}
		}
	}
	return count
}
