package graph

import "math/bits"

// Keys pack a distance and a row (vector.DistanceKey); sorting them sorts by
// distance, then row. The sorts below move keys without branching on them:
// their order is random, and half of the branches would be mispredicted.

// fewKeys is the number of keys that insertion sorts fastest.
const fewKeys = 12

// sortKeys sorts keys.
func sortKeys(keys []uint64) { quickSort(keys, 2*bits.Len(uint(len(keys)))) }

func quickSort(keys []uint64, depth int) {
	for len(keys) > fewKeys {
		if depth == 0 {
			heapSort(keys)
			return
		}
		depth--
		p := split(keys)
		if p < len(keys)/2 {
			quickSort(keys[:p], depth)
			keys = keys[p+1:]
		} else {
			quickSort(keys[p+1:], depth)
			keys = keys[:p]
		}
	}
	for i := 1; i < len(keys); i++ {
		k := keys[i]
		j := i
		for ; j > 0 && keys[j-1] > k; j-- {
			keys[j] = keys[j-1]
		}
		keys[j] = k
	}
}

// smallest moves the k smallest keys to the front, in no order.
// REQUIRES: 0 < k < len(keys)
func smallest(keys []uint64, k int) {
	for depth := 2 * bits.Len(uint(len(keys))); len(keys) > fewKeys; depth-- {
		if depth == 0 {
			break
		}
		p := split(keys)
		switch {
		case p == k || p == k-1:
			return
		case p > k:
			keys = keys[:p]
		default:
			keys, k = keys[p+1:], k-p-1
		}
	}
	sortKeys(keys)
}

// split partitions keys around the middle one of three and returns its place.
// REQUIRES: len(keys) > 2
func split(keys []uint64) int {
	last := len(keys) - 1
	a, b, c := keys[0], keys[last/2], keys[last]
	at := last / 2
	switch pivot := max(min(a, b), min(max(a, b), c)); pivot {
	case a:
		at = 0
	case c:
		at = last
	}
	keys[at], keys[last] = keys[last], keys[at]
	pivot := keys[last]
	p := 0
	for i, x := range keys[:last] {
		// p stays within keys: it never passes i.
		y := keys[p]
		keys[i] = y
		keys[p] = x
		less := 0
		if x < pivot {
			less = 1
		}
		p += less
	}
	keys[p], keys[last] = keys[last], keys[p]
	return p
}

func heapSort(keys []uint64) {
	for i := len(keys)/2 - 1; i >= 0; i-- {
		sift(keys, i)
	}
	for n := len(keys) - 1; n > 0; n-- {
		keys[0], keys[n] = keys[n], keys[0]
		sift(keys[:n], 0)
	}
}

func sift(keys []uint64, i int) {
	for {
		c := 2*i + 1
		if c >= len(keys) {
			return
		}
		if c+1 < len(keys) && keys[c+1] > keys[c] {
			c++
		}
		if keys[c] <= keys[i] {
			return
		}
		keys[i], keys[c] = keys[c], keys[i]
		i = c
	}
}

// mergeKeys merges the sorted a and b into out, each key once, and returns
// how many of out it filled: the smallest. REQUIRES: a and b hold each key
// once; out overlaps neither.
func mergeKeys(a, b, out []uint64) int {
	n := 0
	for len(a) > 0 && len(b) > 0 && n < len(out) {
		x, y := a[0], b[0]
		out[n] = min(x, y)
		n++
		i, j := 0, 0
		if x <= y {
			i = 1
		}
		if y <= x {
			j = 1
		}
		a, b = a[i:], b[j:]
	}
	n += copy(out[n:], a)
	n += copy(out[n:], b)
	return n
}
