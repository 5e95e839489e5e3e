//go:build amd64 && !purego

package vector

import "golang.org/x/sys/cpu"

// classes returns the classes this processor can run, plain Go first and the
// fastest last.
func classes() []*class {
	all := []*class{goClass()}
	// The float kernels of AVX2 widen by F16C, for which x/sys/cpu has no
	// flag: every processor with AVX2 and FMA has it (Haswell, Zen and later).
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasBMI2 {
		return all
	}
	c := avx2Class()
	all = append(all, c)
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		c = avx512Class(c)
		all = append(all, c)
	}
	return all
}

func avx2Class() *class {
	return &class{
		name: "avx2",
		float32: [3]kernel[float32]{
			{l2Float32ScanAVX2, l2Float32GatherAVX2},
			{dotFloat32ScanAVX2, dotFloat32GatherAVX2},
			{cosFloat32ScanAVX2, cosFloat32GatherAVX2},
		},
		float16: [3]kernel[float32]{
			{l2Float16ScanAVX2, l2Float16GatherAVX2},
			{dotFloat16ScanAVX2, dotFloat16GatherAVX2},
			{cosFloat16ScanAVX2, cosFloat16GatherAVX2},
		},
		bfloat16: [3]kernel[float32]{
			{l2BFloat16ScanAVX2, l2BFloat16GatherAVX2},
			{dotBFloat16ScanAVX2, dotBFloat16GatherAVX2},
			{cosBFloat16ScanAVX2, cosBFloat16GatherAVX2},
		},
		int8: [3]kernel[int8]{
			{l2Int8ScanAVX2, l2Int8GatherAVX2},
			{dotInt8ScanAVX2, dotInt8GatherAVX2},
			{cosInt8ScanAVX2, cosInt8GatherAVX2},
		},
		binary: goClass().binary,
		codes: [3]codeKernel{
			{codes8ScanAVX2, codes8GatherAVX2},
			{codes8SmallScanAVX2, codes8SmallGatherAVX2},
			{codes4ScanAVX2, codes4GatherAVX2},
		},
	}
}

// avx512Class adds to the AVX2 class what the processor has beyond it: VNNI
// and VPOPCNTDQ are absent from the first generations of AVX-512.
func avx512Class(avx2 *class) *class {
	c := &class{
		name: "avx512",
		float32: [3]kernel[float32]{
			{l2Float32ScanAVX512, l2Float32GatherAVX512},
			{dotFloat32ScanAVX512, dotFloat32GatherAVX512},
			{cosFloat32ScanAVX512, cosFloat32GatherAVX512},
		},
		float16: [3]kernel[float32]{
			{l2Float16ScanAVX512, l2Float16GatherAVX512},
			{dotFloat16ScanAVX512, dotFloat16GatherAVX512},
			{cosFloat16ScanAVX512, cosFloat16GatherAVX512},
		},
		bfloat16: [3]kernel[float32]{
			{l2BFloat16ScanAVX512, l2BFloat16GatherAVX512},
			{dotBFloat16ScanAVX512, dotBFloat16GatherAVX512},
			{cosBFloat16ScanAVX512, cosBFloat16GatherAVX512},
		},
		int8:   avx2.int8,
		binary: avx2.binary,
		codes:  avx2.codes,
	}
	if cpu.X86.HasAVX512VNNI {
		c.int8 = [3]kernel[int8]{
			{l2Int8ScanVNNI, l2Int8GatherVNNI},
			{dotInt8ScanVNNI, dotInt8GatherVNNI},
			{cosInt8ScanVNNI, cosInt8GatherVNNI},
		}
		c.codes = [3]codeKernel{
			{codes8ScanVNNI, codes8GatherVNNI},
			{codes8ScanVNNI, codes8GatherVNNI},
			{codes4ScanVNNI, codes4GatherVNNI},
		}
	}
	if cpu.X86.HasAVX512VPOPCNTDQ {
		c.binary = [2]kernel[byte]{
			{hammingScanAVX512, hammingGatherAVX512},
			{jaccardScanAVX512, jaccardGatherAVX512},
		}
	}
	return c
}
