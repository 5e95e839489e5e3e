package vector_test

import (
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/vector"
)

// TestNoLoadLeavesTheRows places blocks between two pages that cannot be read:
// a kernel that looks beyond its rows dies of it.
func TestNoLoadLeavesTheRows(t *testing.T) {
	page := os.Getpagesize()
	const pages = 40
	region, err := syscall.Mmap(-1, 0, (pages+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(region)) }()
	require.NoError(t, syscall.Mprotect(region[:page], syscall.PROT_NONE))
	require.NoError(t, syscall.Mprotect(region[(pages+1)*page:], syscall.PROT_NONE))
	inner := region[page : (pages+1)*page]

	r := rand.New(rand.NewPCG(12, 12))
	const n = 11
	idx, out := make([]uint32, n), make([]float32, n)
	for i := range idx {
		idx[i] = uint32(n - 1 - i)
	}
	for _, class := range vector.Classes() {
		for _, kind := range denseKinds {
			for dim := 1; dim <= 200; dim++ {
				d := dim
				if kind.e == vector.Binary {
					d *= 8
				}
				rows := randomRow(r, nil, kind.e, d*n, 1)
				raw := rows[:kind.e.RowBytes(d)]
				q, err := vector.NewQueryClass(class, kind.m, kind.e, d, raw)
				require.NoError(t, err)
				for _, block := range [][]byte{inner[:len(rows)], inner[len(inner)-len(rows):]} {
					copy(block, rows)
					q.Scan(block, n, out)
					q.Gather(block, idx, out)
				}
			}
		}
		for _, k := range codeKinds {
			for dim := 1; dim <= 300; dim += 13 {
				rows, _ := codeBlock(k, n, dim, k.Max)
				c := vector.NewCodeQueryClass(class, k, make([]int8, dim))
				sums := make([]int32, n)
				for _, block := range [][]byte{inner[:len(rows)], inner[len(inner)-len(rows):]} {
					copy(block, rows)
					c.Scan(block, n, sums)
					c.Gather(block, idx, sums)
				}
			}
		}
	}
}
