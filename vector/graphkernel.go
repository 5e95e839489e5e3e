package vector

import (
	"fmt"
	"math"
)

// SelectBelow turns the scores of one list of coded rows into distances and
// picks those that are small enough: for each i in order, with the distance
//
//	d = terms[i] - dots[i]<<shift
//
// (wrapping; terms may be nil and then counts as zeros), it appends to keys,
// if d < limit, DistanceKey(d, rows[i]). It returns the number of keys
// written. It is what a graph search does between CodeQuery.Gather and its
// pool of candidates, where most rows fail the limit.
//
// REQUIRES: the lengths below; it panics when terms (unless nil) or rows is shorter than dots, or keys is
// shorter than len(dots)+SelectSlack.
func SelectBelow(dots, terms []int32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	n := len(dots)
	if terms != nil && len(terms) < n || len(rows) < n || len(keys) < n+SelectSlack {
		panic(fmt.Sprintf("vector: select of %d dots, %d terms, %d rows into %d keys", n, len(terms), len(rows), len(keys)))
	}
	if n == 0 {
		return 0
	}
	return selectBelow(dots, terms, shift, rows, limit, keys)
}

// SelectWeighted is SelectBelow with the terms
//
//	terms[i] = int32(float32(squares[rows[i]]) * weight)
//
// which must be within the range of int32. REQUIRES: every row lies within
// squares, and the lengths of SelectBelow; it panics otherwise.
func SelectWeighted(dots, squares []int32, weight float32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	n := len(dots)
	if len(rows) < n || len(keys) < n+SelectSlack {
		panic(fmt.Sprintf("vector: select of %d dots, %d rows into %d keys", n, len(rows), len(keys)))
	}
	if n == 0 {
		return 0
	}
	m := selectWeighted(dots, squares, weight, shift, rows, limit, keys)
	if m < 0 {
		panic(outOfRange(rows[:n], len(squares)))
	}
	return m
}

// SelectScaled is SelectBelow with the distances
//
//	-int32((float32(dots[i]) + bias) * scale * factors[rows[i]])
//
// which must be within the range of int32. REQUIRES: every row lies within
// factors, and the lengths of SelectBelow; it panics otherwise.
func SelectScaled(dots []int32, factors []float32, bias, scale float32, rows []uint32, limit int32, keys []uint64) int {
	n := len(dots)
	if len(rows) < n || len(keys) < n+SelectSlack {
		panic(fmt.Sprintf("vector: select of %d dots, %d rows into %d keys", n, len(rows), len(keys)))
	}
	if n == 0 {
		return 0
	}
	m := selectScaled(dots, factors, bias, scale, rows, limit, keys)
	if m < 0 {
		panic(outOfRange(rows[:n], len(factors)))
	}
	return m
}

// Visit marks the rows of list, up to the first that is beyond visited, and
// writes those that were not marked before into out, in their order. It
// returns their number. Bit r%64 of visited[r/64] stands for row r.
// REQUIRES: out is longer than list by VisitSlack; it panics otherwise.
func Visit(list []uint32, visited []uint64, out []uint32) int {
	if len(list) == 0 || len(visited) == 0 {
		return 0
	}
	if len(out) < len(list)+VisitSlack {
		panic(fmt.Sprintf("vector: visit of %d rows into %d", len(list), len(out)))
	}
	return visit(list, visited, out)
}

// InsertKeys puts keys, which DistanceKey or SelectBelow made, into a pool of
// candidates: pool[:n] is sorted, of keys with the row moved up by one bit, so
// that the lowest bit is free for a mark. Where pool[:limit] is full the greatest drop
// out. It returns how many are then in use, and the lowest place that a key was put
// into, or limit if none was. REQUIRES: 0 ≤ n ≤ limit ≤ len(pool), 0 < limit; it panics
// otherwise.
func InsertKeys(pool []uint64, n, limit int, keys []uint64) (count, lowest int) {
	if n < 0 || n > limit || limit < 1 || limit > len(pool) {
		panic(fmt.Sprintf("vector: keys for %d of %d places in a pool of %d", n, limit, len(pool)))
	}
	if len(keys) == 0 {
		return n, limit
	}
	return insertKeys(pool, n, limit, keys)
}

// CountBelow returns the number of keys less than key. REQUIRES: keys are
// sorted.
func CountBelow(keys []uint64, key uint64) int { return countBelow(keys, key) }

// manyKeys is the number of sorted keys from which halving is faster than
// comparing all, eight at a time.
const manyKeys = 512

// SelectSlack is the room that SelectBelow needs in keys beyond one for each
// row: it writes whole registers.
const SelectSlack = 8

// VisitSlack is the room that Visit needs in out beyond its list: it writes
// whole registers.
const VisitSlack = 16

// DistanceKey packs a distance and a row so that keys order by distance, then
// row.
func DistanceKey(d int32, row uint32) uint64 {
	return uint64(uint32(d)^1<<31)<<32 | uint64(row)
}

// KeyDistance returns the distance of a key.
func KeyDistance(key uint64) int32 { return int32(uint32(key>>32) ^ 1<<31) }

// selectBelowGo is the oracle of the assembly, and what runs without it.
func selectBelowGo(dots, terms []int32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	m := 0
	rows = rows[:len(dots)]
	if terms == nil {
		for i, s := range dots {
			if d := -(s << shift); d < limit {
				keys[m] = DistanceKey(d, rows[i])
				m++
			}
		}
		return m
	}
	terms = terms[:len(dots)]
	for i, s := range dots {
		if d := terms[i] - s<<shift; d < limit {
			keys[m] = DistanceKey(d, rows[i])
			m++
		}
	}
	return m
}

// selectWeightedGo is the oracle of the assembly, and what runs without it.
func selectWeightedGo(dots, squares []int32, weight float32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	m := 0
	rows = rows[:len(dots)]
	for i, s := range dots {
		if int64(rows[i]) >= int64(len(squares)) {
			return -1
		}
		if d := int32(float32(squares[rows[i]])*weight) - s<<shift; d < limit {
			keys[m] = DistanceKey(d, rows[i])
			m++
		}
	}
	return m
}

// selectScaledGo is the oracle of the assembly, and what runs without it.
func selectScaledGo(dots []int32, factors []float32, bias, scale float32, rows []uint32, limit int32, keys []uint64) int {
	m := 0
	rows = rows[:len(dots)]
	for i, s := range dots {
		if int64(rows[i]) >= int64(len(factors)) {
			return -1
		}
		if d := -int32(float32(float32(s)+bias) * scale * factors[rows[i]]); d < limit {
			keys[m] = DistanceKey(d, rows[i])
			m++
		}
	}
	return m
}

// insertKeysGo is the oracle of the assembly, and what runs without it.
func insertKeysGo(pool []uint64, n, limit int, keys []uint64) (count, lowest int) {
	lowest = limit
	for _, key := range keys {
		key += key & math.MaxUint32
		if n == limit && key >= pool[n-1] {
			continue
		}
		lo := countBelowGo(pool[:n], key+1)
		if n < limit {
			n++
		}
		copy(pool[lo+1:n], pool[lo:n-1])
		pool[lo] = key
		lowest = min(lowest, lo)
	}
	return n, lowest
}

// countBelowGo is the oracle of the assembly, and what runs without it.
func countBelowGo(keys []uint64, key uint64) int {
	lo, hi := 0, len(keys)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if keys[mid] < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
