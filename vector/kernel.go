package vector

//go:generate go run -C internal/gen . -class avx512 -out ../../kernel_avx512_amd64.s -stubs ../../kernel_avx512_amd64.go -pkg vector
//go:generate go run -C internal/gen . -class avx2 -out ../../kernel_avx2_amd64.s -stubs ../../kernel_avx2_amd64.go -pkg vector
//go:generate go run -C internal/gen . -class neon -asm ../../kernel_neon_arm64.s -decl ../../kernel_neon_arm64.go

// A kernel scores a list of rows against one prepared query; never a single
// pair, because a call into assembly costs as much as a short row.
//
// scan scores the n rows lying stride bytes apart from the start of rows;
// gather the rows at idx[i]*stride, for i < len(idx). Both write out[i].
// They return odd when they could not vouch for some score (overflow of the
// float32 sums, or a norm too small or too large to divide by): each such
// score is left NaN or infinite, and the caller computes it anew in float64.
// gather returns outside, having written anything or nothing, when idx names
// a row beyond the end of rows.
//
// qq is the query's own squared norm as the same kernel computes it; only
// cosine kernels use it.
//
// INVARIANT: within one class, scan and gather do the same operations in the
// same order for a row, wherever it lies in memory or in the list, so that a
// row's score is the same to the bit.
//
// REQUIRES: n ≥ 0 rows within rows, len(out) ≥ n. Assembly does not check.
type kernel[Q any] struct {
	scan   func(q []Q, rows []byte, stride, n int, qq float32, out []float32) uint32
	gather func(q []Q, rows []byte, stride int, idx []uint32, qq float32, out []float32) uint32
}

// class is one complete set of kernels: what one kind of processor runs.
// Columns of the dense tables are L2, IP, Cosine; of the binary one Hamming,
// Jaccard (see column).
type class struct {
	name     string
	float32  [3]kernel[float32]
	float16  [3]kernel[float32]
	bfloat16 [3]kernel[float32]
	int8     [3]kernel[int8]
	binary   [2]kernel[byte]
	codes    [3]codeKernel
}

// What kernels return besides 0.
const (
	odd     = 1
	outside = 2
)

// vectorDim is the least dimension that classes other than plain Go take:
// their loads are 16 elements wide and end with the row. Below it nothing
// beats plain Go by much. Binary kernels take any dimension.
const vectorDim = 16

// wide is the longest load of any kernel in bytes. Integer queries are padded
// with zeros to a multiple of it.
const wide = 64

// column returns the place of m in its row of a class table.
func column(m Metric) int {
	switch m {
	case IP, Jaccard:
		return 1
	case Cosine:
		return 2
	}
	return 0 // L2, Hamming
}

// active is the fastest class this processor can run, chosen once when the
// program starts; plain is the class of short rows. Neither is written again.
var (
	active = fastest(classes())
	plain  = goClass()
)

func fastest(all []*class) *class { return all[len(all)-1] }

// goClass is plain Go: the class of processors without one of their own, and
// the oracle the others are tested against.
func goClass() *class {
	return &class{
		name: "go",
		float32: [3]kernel[float32]{
			goKernel(l2Float32), goKernel(dotFloat32), goKernel(cosFloat32),
		},
		float16: [3]kernel[float32]{
			goKernel(l2Float16), goKernel(dotFloat16), goKernel(cosFloat16),
		},
		bfloat16: [3]kernel[float32]{
			goKernel(l2BFloat16), goKernel(dotBFloat16), goKernel(cosBFloat16),
		},
		int8: [3]kernel[int8]{
			goKernel(l2Int8), goKernel(dotInt8), goKernel(cosInt8),
		},
		binary: [2]kernel[byte]{
			goKernel(hamming), goKernel(jaccard),
		},
		codes: [3]codeKernel{
			goCodeKernel(dotCodes8), goCodeKernel(dotCodes8), goCodeKernel(dotCodes4),
		},
	}
}

// goKernel makes a kernel of a function that scores one row.
func goKernel[Q any](score func(q []Q, row []byte, qq float32) float32) kernel[Q] {
	return kernel[Q]{
		scan: func(q []Q, rows []byte, stride, n int, qq float32, out []float32) uint32 {
			result := uint32(0)
			for i := range out[:n] {
				out[i] = score(q, rows[i*stride:(i+1)*stride], qq)
				result |= nonFinite(out[i])
			}
			return result
		},
		gather: func(q []Q, rows []byte, stride int, idx []uint32, qq float32, out []float32) uint32 {
			result := uint32(0)
			n := uint32(len(rows) / stride)
			for i, r := range idx {
				if r >= n {
					return outside
				}
				at := int(r) * stride
				out[i] = score(q, rows[at:at+stride], qq)
				result |= nonFinite(out[i])
			}
			return result
		},
	}
}
