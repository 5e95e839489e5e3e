// Command gen writes the assembly kernels of package vector.
//
// It is a module of its own so that the store's users do not inherit avo. Run
// it by `go generate ./vector`; what it writes is checked in.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/mmcloughlin/avo/build"
)

func main() {
	class := flag.String("class", "", "avx512, avx2 or neon")
	if *class = peekClass(); *class == "neon" {
		asm := flag.String("asm", "", "where to write the assembly of neon")
		decl := flag.String("decl", "", "where to write its declarations")
		flag.Parse()
		write(*asm, neon)
		write(*decl, neonStubs)
		return
	}
	build.ConstraintExpr("amd64,!purego")
	switch *class {
	case "avx512":
		avx512()
	case "avx2":
		avx2()
	default:
		fmt.Fprintln(os.Stderr, "gen: -class is avx512, avx2 or neon")
		os.Exit(2)
	}
	build.Generate() // parses avo's own flags, -out and -stubs
}

// write lets print fill the file called name.
func write(name string, print func(io.Writer)) {
	f, err := os.Create(name)
	if err == nil {
		print(f)
		err = f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// peekClass reads -class ahead of flag.Parse, which avo calls itself.
func peekClass() string {
	for i, arg := range os.Args {
		if arg == "-class" && i+1 < len(os.Args) {
			return os.Args[i+1]
		}
	}
	return ""
}

func avx512() {
	for _, e := range []elem{f32, f16, bf16} {
		for _, m := range []metric{l2, dot, cos} {
			float512(e, m, false)
			float512(e, m, true)
		}
	}
	for _, m := range []metric{l2, dot, cos} {
		int8x512(m, false)
		int8x512(m, true)
	}
	for _, m := range []metric{hamming, jaccard} {
		binary512(m, false)
		binary512(m, true)
	}
	for _, bits := range []int{8, 4} {
		codes512(bits, false)
		codes512(bits, true)
	}
}

func avx2() {
	for _, e := range []elem{f32, f16, bf16} {
		for _, m := range []metric{l2, dot, cos} {
			float256(e, m, false)
			float256(e, m, true)
		}
	}
	for _, m := range []metric{l2, dot, cos} {
		int8x256(m, false)
		int8x256(m, true)
	}
	for _, scheme := range []codeScheme{code8, code8small, code4} {
		codes256(scheme, false)
		codes256(scheme, true)
	}
}

type elem int

const (
	f32 elem = iota
	f16
	bf16
)

func (e elem) String() string { return [...]string{"Float32", "Float16", "BFloat16"}[e] }

// size is the number of bytes of an element in a row.
func (e elem) size() int { return [...]int{4, 2, 2}[e] }

type metric int

const (
	l2 metric = iota
	dot
	cos
	hamming
	jaccard
)

func (m metric) String() string {
	return [...]string{"l2", "dot", "cos", "hamming", "jaccard"}[m]
}

// sums is the number of sums a kernel of this metric keeps per row.
func (m metric) sums() int {
	if m == cos || m == jaccard {
		return 2
	}
	return 1
}

// verb names the two forms of every kernel.
func verb(gather bool) string {
	if gather {
		return "Gather"
	}
	return "Scan"
}

// signature is that of vector's kernel type.
func signature(q string, gather bool) string {
	if gather {
		return "func(q []" + q + ", rows []byte, stride int, idx []uint32, qq float32, out []float32) uint32"
	}
	return "func(q []" + q + ", rows []byte, stride, n int, qq float32, out []float32) uint32"
}

// codeSignature is that of vector's codeKernel type.
func codeSignature(gather bool) string {
	if gather {
		return "func(q []int8, rows []byte, stride int, idx []uint32, out []int32) uint32"
	}
	return "func(q []int8, rows []byte, stride, n int, out []int32) uint32"
}
