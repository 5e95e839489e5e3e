//go:build amd64 && !purego

package vector

import (
	"math"
	"unsafe"
)

// selectWide says that the class in use has the compress instruction.
var selectWide = active.name == "avx512"

//go:noescape
func selectBelowAVX512(dots, terms *int32, shift uint, rows *uint32, n int, limit int32, keys *uint64) int

//go:noescape
func selectWeightedAVX512(dots, squares *int32, count int, weight float32, shift uint, rows *uint32, n int, limit int32, keys *uint64) int

//go:noescape
func selectScaledAVX512(dots *int32, factors *float32, count int, bias, scale float32, rows *uint32, n int, limit int32, keys *uint64) int

//go:noescape
func countBelowAVX512(keys *uint64, n int, key uint64) int

//go:noescape
func insertKeysAVX512(pool *uint64, n, limit int, keys *uint64, m int) (count, lowest int)

//go:noescape
func visitRows(row *uint32, n int, visited *uint64, count int, out *uint32) int

//go:noescape
func visitRowsAVX512(row *uint32, n int, visited *uint64, count int, out *uint32) int

//go:noescape
func prefetch(p unsafe.Pointer, lines int)

//go:noescape
func prefetchRows(codes *byte, stride int, rows *uint32, n int)

func selectBelow(dots, terms []int32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	if !selectWide {
		return selectBelowGo(dots, terms, shift, rows, limit, keys)
	}
	return selectBelowAVX512(&dots[0], unsafe.SliceData(terms), shift, &rows[0], len(dots), limit, &keys[0])
}

func selectWeighted(dots, squares []int32, weight float32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	if !selectWide || len(squares) == 0 || len(squares) > 1<<31-1 {
		return selectWeightedGo(dots, squares, weight, shift, rows, limit, keys)
	}
	return selectWeightedAVX512(&dots[0], &squares[0], len(squares), weight, shift, &rows[0], len(dots), limit, &keys[0])
}

func selectScaled(dots []int32, factors []float32, bias, scale float32, rows []uint32, limit int32, keys []uint64) int {
	if !selectWide || len(factors) == 0 || len(factors) > 1<<31-1 {
		return selectScaledGo(dots, factors, bias, scale, rows, limit, keys)
	}
	return selectScaledAVX512(&dots[0], &factors[0], len(factors), bias, scale, &rows[0], len(dots), limit, &keys[0])
}

func countBelow(keys []uint64, key uint64) int {
	if !selectWide || len(keys) > manyKeys {
		return countBelowGo(keys, key)
	}
	return countBelowAVX512(unsafe.SliceData(keys), len(keys), key)
}

func insertKeys(pool []uint64, n, limit int, keys []uint64) (count, lowest int) {
	if !selectWide {
		return insertKeysGo(pool, n, limit, keys)
	}
	return insertKeysAVX512(&pool[0], n, limit, &keys[0], len(keys))
}

func visit(list []uint32, visited []uint64, out []uint32) int {
	if !selectWide || 64*len(visited) > math.MaxUint32 {
		return visitRows(&list[0], len(list), &visited[0], 64*len(visited), &out[0])
	}
	return visitRowsAVX512(&list[0], len(list), &visited[0], 64*len(visited), &out[0])
}

// Prefetch asks for the words' cache lines ahead of their use.
func Prefetch(words []uint32) {
	if len(words) > 0 {
		prefetch(unsafe.Pointer(&words[0]), (len(words)+15)/16)
	}
}

// PrefetchRows asks for the first cache lines, at most four, of the listed
// rows of codes. Rows outside codes do no harm.
func PrefetchRows(codes []byte, stride int, rows []uint32) {
	if len(rows) > 0 && len(codes) > 0 {
		prefetchRows(&codes[0], stride, &rows[0], len(rows))
	}
}
