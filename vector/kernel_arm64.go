//go:build arm64 && !purego

package vector

import "golang.org/x/sys/cpu"

// classes returns the classes this processor can run, plain Go first and the
// fastest last.
func classes() []*class {
	// Every arm64 processor Go supports has NEON.
	neon := &class{
		name: "neon",
		float32: [3]kernel[float32]{
			{l2Float32ScanNEON, l2Float32GatherNEON},
			{dotFloat32ScanNEON, dotFloat32GatherNEON},
			{cosFloat32ScanNEON, cosFloat32GatherNEON},
		},
		float16: [3]kernel[float32]{
			{l2Float16ScanNEON, l2Float16GatherNEON},
			{dotFloat16ScanNEON, dotFloat16GatherNEON},
			{cosFloat16ScanNEON, cosFloat16GatherNEON},
		},
		bfloat16: [3]kernel[float32]{
			{l2BFloat16ScanNEON, l2BFloat16GatherNEON},
			{dotBFloat16ScanNEON, dotBFloat16GatherNEON},
			{cosBFloat16ScanNEON, cosBFloat16GatherNEON},
		},
		int8: [3]kernel[int8]{
			{l2Int8ScanNEON, l2Int8GatherNEON},
			{dotInt8ScanNEON, dotInt8GatherNEON},
			{cosInt8ScanNEON, cosInt8GatherNEON},
		},
		binary: goClass().binary,
		codes: [3]codeKernel{
			{codes8ScanNEON, codes8GatherNEON},
			{codes8ScanNEON, codes8GatherNEON},
			{codes4ScanNEON, codes4GatherNEON},
		},
	}
	all := []*class{goClass(), neon}
	if cpu.ARM64.HasASIMDDP {
		dot := *neon
		dot.name = "neondot"
		dot.int8 = [3]kernel[int8]{
			{l2Int8ScanNEONDot, l2Int8GatherNEONDot},
			{dotInt8ScanNEONDot, dotInt8GatherNEONDot},
			{cosInt8ScanNEONDot, cosInt8GatherNEONDot},
		}
		dot.codes = [3]codeKernel{
			{codes8ScanNEONDot, codes8GatherNEONDot},
			{codes8ScanNEONDot, codes8GatherNEONDot},
			{codes4ScanNEONDot, codes4GatherNEONDot},
		}
		all = append(all, &dot)
	}
	return all
}
