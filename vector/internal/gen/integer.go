package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// int8x512 uses VPDPBUSD, which multiplies unsigned by signed bytes. A row
// element x becomes the unsigned u = x+128 (its sign bit flipped), and with q
// the query's element:
//
//	Σ x·q     = Σ u·q - 128·Σq
//	Σ x²      = Σ u·x + Σ u·(-128) + 128²·n
//	Σ (x-q)²  = Σ x² - 2·Σ u·q + 256·Σq + Σq²
//
// n counts the bytes of whole 64-byte steps: masked-off bytes are read as
// x = 0, q = 0. Sums wrap modulo 2^32, and end in range, so they are exact.
//
// REQUIRES: q is padded with zeros to whole 64 bytes.
func int8x512(m metric, gather bool) {
	const (
		first  = 0 // 8 registers: Σ u·q
		second = 8 // 8 registers: Σ u·x + Σ u·(-128)
		query  = 16
		raw    = 17
		u      = 18
		tmp    = 19
		flip   = 24 // bytes of 0x80: flips the sign, and is -128
		init1  = 25 // what the first sums start from
		init2  = 26
		bad    = 31
	)
	TEXT(m.String()+"Int8"+verb(gather)+"VNNI", NOSPLIT, signature("int8", gather))
	Pragma("noescape")
	f := newFrame(gather, 8)
	last, mask := byteSteps()
	VPBROADCASTD(constant("flip", 0x80808080), z(flip))
	VPXORD(z(bad), z(bad), z(bad))

	// The constants, lane by lane: Σq from u = 128 (the flip byte, unsigned).
	VPXORD(z(init1), z(init1), z(init1))
	VPXORD(z(init2), z(init2), z(init2))
	VPBROADCASTD(constant("square128", 4*128*128), z(tmp))
	XORQ(f.off, f.off)
	Label("constants")
	VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 1}, z(query))
	VPDPBUSD(z(query), z(flip), z(init1)) // 128·Σq
	VPADDD(z(tmp), z(init2), z(init2))    // 128²·n
	if m == l2 {
		VPXORD(z(flip), z(query), z(u))
		VPDPBUSD(z(query), z(u), z(init2))
		VPDPBUSD(z(flip), z(u), z(init2))
		VPADDD(z(tmp), z(init2), z(init2)) // + Σq²
	}
	ADDQ(U8(64), f.off)
	CMPQ(f.off, last)
	JLE(LabelRef("constants"))
	switch m {
	case l2:
		VPADDD(z(init1), z(init2), z(init2))
		VPADDD(z(init1), z(init2), z(init2)) // + 256·Σq
		VPXORD(z(init1), z(init1), z(init1))
	default:
		VPXORD(z(tmp), z(tmp), z(tmp))
		VPSUBD(z(init1), z(tmp), z(init1)) // -128·Σq
	}

	f.loop(func() {
		for i := range 8 {
			VMOVDQA64(z(init1), z(first+i))
			if m != dot {
				VMOVDQA64(z(init2), z(second+i))
			}
		}
		byteBody(f, last, mask, func(masked bool) {
			VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 1}, z(query))
			for i := range 8 {
				if masked {
					VMOVDQU8_Z(f.at(i), mask, z(raw))
					VPXORD(z(raw), z(flip), z(u))
				} else if m == dot {
					VPXORD(f.at(i), z(flip), z(u))
				} else {
					VMOVDQU64(f.at(i), z(raw))
					VPXORD(z(raw), z(flip), z(u))
				}
				VPDPBUSD(z(query), z(u), z(first+i))
				if m != dot {
					VPDPBUSD(z(raw), z(u), z(second+i))
					VPDPBUSD(z(flip), z(u), z(second+i))
				}
			}
		})
		if m == l2 {
			for i := range 8 {
				VPSUBD(z(first+i), z(second+i), z(second+i))
				VPSUBD(z(first+i), z(second+i), z(first+i))
			}
		}
		reduce8(first, tmp, true)
		VCVTDQ2PS(y(first), y(first))
		if m == cos {
			reduce8(second, tmp, true)
			VCVTDQ2PS(y(second), y(second))
			finishFloat(m, func(i int) reg.Register {
				return []reg.Register{y(0), y(8), y(1), y(2), y(3), y(bad)}[i]
			}, func(a, b, dst reg.Register) { VPORD(a, b, dst) })
		}
	}, func(partial bool) { storeFloat512(f, partial) })
	VEXTRACTI32X8(U8(0), z(bad), y(0))
	VPTEST(y(0), y(0))
	f.returnOdd()
}

// byteSteps returns where the last 64-byte step over the query begins, and the
// mask of that step's bytes: 1 to 64 of them.
func byteSteps() (last Mem, mask reg.Register) {
	last = AllocLocal(8)
	n, ones, k := GP64(), GP64(), K()
	Load(Param("q").Len(), n)
	DECQ(n)
	ANDQ(I8(-64), n)
	MOVQ(n, last)
	NEGQ(n) // bytes of the last step: len - last
	ADDQ(slot(Param("q").Len()), n)
	NEGQ(n)
	ADDQ(U8(64), n)
	MOVQ(I32(-1), ones)
	SHRXQ(n, ones, ones)
	KMOVQ(ones, k)
	return last, k
}

// int8x256 widens to 16 bits: exact for all values. Elements after the last
// whole 16 are read by a load that ends with the row, those counted before
// set to zero.
//
// REQUIRES: at least 16 dimensions.
func int8x256(m metric, gather bool) {
	const (
		first  = 0 // 4 registers
		second = 4 // 4 registers, cos only
		query  = 8
		tmp    = 9
		mask   = 11
		bad    = 15
	)
	TEXT(m.String()+"Int8"+verb(gather)+"AVX2", NOSPLIT, signature("int8", gather))
	Pragma("noescape")
	f := newFrame(gather, 4)
	limit, tailOff := AllocLocal(8), AllocLocal(8)
	d, t, at, table := GP64(), GP64(), GP64(), GP64()
	Load(Param("q").Len(), d)
	MOVQ(d, t)
	ANDQ(U8(15), t)
	LEAQ(Mem{Base: d, Disp: -16}, at)
	SUBQ(t, d)
	MOVQ(d, limit)
	TESTQ(t, t)
	JNE(LabelRef("ragged"))
	MOVQ(I32(-1), at) // no tail
	Label("ragged")
	MOVQ(at, tailOff)
	LEAQ(maskTable("lastBytes", 1, 16, false), table)
	VPMOVSXBW(Mem{Base: table, Index: t, Scale: 1}, y(mask))
	VPXOR(y(bad), y(bad), y(bad))

	step := func(masked bool) {
		VPMOVSXBW(Mem{Base: f.q, Index: f.off, Scale: 1}, y(query))
		if masked {
			VPAND(y(mask), y(query), y(query))
		}
		for i := range 4 {
			VPMOVSXBW(f.at(i), y(tmp))
			if masked {
				VPAND(y(mask), y(tmp), y(tmp))
			}
			switch m {
			case l2:
				VPSUBW(y(query), y(tmp), y(tmp))
				VPMADDWD(y(tmp), y(tmp), y(tmp))
				VPADDD(y(tmp), y(first+i), y(first+i))
			case dot:
				VPMADDWD(y(query), y(tmp), y(tmp))
				VPADDD(y(tmp), y(first+i), y(first+i))
			case cos:
				VPMADDWD(y(query), y(tmp), y(tmp+1))
				VPADDD(y(tmp+1), y(first+i), y(first+i))
				VPMADDWD(y(tmp), y(tmp), y(tmp))
				VPADDD(y(tmp), y(second+i), y(second+i))
			}
		}
	}
	f.loop(func() {
		for i := range 4 * m.sums() {
			VPXOR(y(first+i), y(first+i), y(first+i))
		}
		XORQ(f.off, f.off)
		Label("step")
		step(false)
		ADDQ(U8(16), f.off)
		CMPQ(f.off, limit)
		JL(LabelRef("step"))
		MOVQ(tailOff, f.off)
		TESTQ(f.off, f.off)
		JL(LabelRef("whole"))
		step(true)
		Label("whole")
		reduce4(first, tmp, true)
		VCVTDQ2PS(x(first), x(first))
		if m == cos {
			reduce4(second, tmp, true)
			VCVTDQ2PS(x(second), x(second))
			finishFloat(m, func(i int) reg.Register {
				return []reg.Register{x(0), x(4), x(1), x(2), x(3), x(bad)}[i]
			}, func(a, b, dst reg.Register) { VORPS(a, b, dst) })
		}
	}, func(partial bool) { storeFloat256(f, 4, partial) })
	VPTEST(x(bad), x(bad))
	f.returnOdd()
}

// binary512 counts bits by VPOPCNTQ.
//
// REQUIRES: q is padded with zeros to whole 64 bytes.
func binary512(m metric, gather bool) {
	const (
		first  = 0 // 8 registers: |xor|, or |and|
		second = 8 // 8 registers: |or|, jaccard only
		query  = 16
		row    = 17
		t      = 18
		tmp    = 19
	)
	TEXT(m.String()+verb(gather)+"AVX512", NOSPLIT, signature("byte", gather))
	Pragma("noescape")
	f := newFrame(gather, 8)
	last, mask := byteSteps()
	f.loop(func() {
		for i := range 8 * m.sums() {
			VPXORD(z(first+i), z(first+i), z(first+i))
		}
		byteBody(f, last, mask, func(masked bool) {
			VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 1}, z(query))
			for i := range 8 {
				if masked {
					VMOVDQU8_Z(f.at(i), mask, z(row))
				} else {
					VMOVDQU64(f.at(i), z(row))
				}
				if m == hamming {
					VPXORQ(z(query), z(row), z(t))
				} else {
					VPANDQ(z(query), z(row), z(t))
					VPORQ(z(query), z(row), z(row))
					VPOPCNTQ(z(row), z(row))
					VPADDQ(z(row), z(second+i), z(second+i))
				}
				VPOPCNTQ(z(t), z(t))
				VPADDQ(z(t), z(first+i), z(first+i))
			}
		})
		reduce8(first, tmp, true) // the upper half of each count is zero
		if m == jaccard {
			reduce8(second, tmp, true)
			VPSUBD(y(first), y(second), y(first)) // |or| - |and|
			VPBROADCASTD(constant("intOne", 1), y(1))
			VPMAXSD(y(1), y(second), y(second))
			VCVTDQ2PS(y(second), y(second))
		}
		VCVTDQ2PS(y(first), y(first))
		if m == jaccard {
			VDIVPS(y(second), y(first), y(first))
		}
	}, func(partial bool) { storeFloat512(f, partial) })
	f.returnZero()
}

// byteBody steps over one block of rows by 64 bytes, the last step masked.
func byteBody(f *frame, last Mem, mask reg.Register, step func(masked bool)) {
	XORQ(f.off, f.off)
	JMP(LabelRef("check"))
	Label("step")
	step(false)
	ADDQ(U8(64), f.off)
	Label("check")
	// The last step, whole or not, is the masked one.
	CMPQ(f.off, last)
	JL(LabelRef("step"))
	step(true)
}
