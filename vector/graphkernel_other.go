//go:build !amd64 || purego

package vector

func selectBelow(dots, terms []int32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	return selectBelowGo(dots, terms, shift, rows, limit, keys)
}

func selectWeighted(dots, squares []int32, weight float32, shift uint, rows []uint32, limit int32, keys []uint64) int {
	return selectWeightedGo(dots, squares, weight, shift, rows, limit, keys)
}

func selectScaled(dots []int32, factors []float32, bias, scale float32, rows []uint32, limit int32, keys []uint64) int {
	return selectScaledGo(dots, factors, bias, scale, rows, limit, keys)
}

func countBelow(keys []uint64, key uint64) int { return countBelowGo(keys, key) }

func insertKeys(pool []uint64, n, limit int, keys []uint64) (count, lowest int) {
	return insertKeysGo(pool, n, limit, keys)
}

// visit does not branch on what is marked, which would be mispredicted.
func visit(list []uint32, visited []uint64, out []uint32) int {
	m := 0
	for _, row := range list {
		if int(row>>6) >= len(visited) {
			break
		}
		word, bit := visited[row>>6], row&63
		out[m] = row
		visited[row>>6] = word | 1<<bit
		m += int(^word >> bit & 1)
	}
	return m
}

// Prefetch asks for the words' cache lines ahead of their use.
func Prefetch([]uint32) {}

// PrefetchRows asks for the first cache lines, at most four, of the listed
// rows of codes. Rows outside codes do no harm.
func PrefetchRows([]byte, int, []uint32) {}
