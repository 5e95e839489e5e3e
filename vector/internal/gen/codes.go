package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// codes512 scores rows of unsigned codes, padded with zeros to whole 64
// bytes. A 4-bit row holds 128 elements in 64 bytes, element j in the low half
// of byte j and element j+64 in the high half; the query has a byte for each
// element in both kinds.
func codes512(bits int, gather bool) {
	const (
		sum   = 0  // 8 registers
		row   = 8  // 8 registers
		query = 16 // 2 registers
		high  = 18
		tmp   = 19
		mask  = 24
	)
	name := "codes8"
	if bits == 4 {
		name = "codes4"
	}
	TEXT(name+verb(gather)+"VNNI", NOSPLIT, codeSignature(gather))
	Pragma("noescape")
	f := newFrame(gather, 8)
	limit := AllocLocal(8)
	codeLimit(bits, limit)
	if bits == 4 {
		VPBROADCASTD(constant("nibbles", 0x0f0f0f0f), z(mask))
	}
	f.loop(func() {
		for i := range 8 {
			VPXORD(z(sum+i), z(sum+i), z(sum+i))
		}
		XORQ(f.off, f.off)
		Label("step")
		if bits == 8 {
			VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 1}, z(query))
			for i := range 8 {
				VMOVDQU64(f.at(i), z(row+i))
				VPDPBUSD(z(query), z(row+i), z(sum+i))
			}
		} else {
			VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 2}, z(query))
			VMOVDQU64(Mem{Base: f.q, Index: f.off, Scale: 2, Disp: 64}, z(query+1))
			for i := range 8 {
				VMOVDQU64(f.at(i), z(row+i))
				VPSRLW(U8(4), z(row+i), z(high))
				VPANDD(z(mask), z(row+i), z(row+i))
				VPANDD(z(mask), z(high), z(high))
				VPDPBUSD(z(query), z(row+i), z(sum+i))
				VPDPBUSD(z(query+1), z(high), z(sum+i))
			}
		}
		ADDQ(U8(64), f.off)
		CMPQ(f.off, limit)
		JL(LabelRef("step"))
		reduce8(sum, tmp, true)
	}, func(partial bool) { storeFloat512(f, partial) })
	f.returnZero()
}

// codeLimit stores the length of a row of codes, given the query's.
func codeLimit(bits int, limit Mem) {
	n := GP64()
	Load(Param("q").Len(), n)
	if bits == 4 {
		SHRQ(U8(1), n)
	}
	MOVQ(n, limit)
}

type codeScheme int

const (
	// code8 splits rows and query into even and odd bytes widened to 16 bits:
	// exact for every code and every query.
	code8 codeScheme = iota
	// code8small adds the products of neighbours in 16 bits, which saturate:
	// exact while every query element lies in [-64, 64], since then a pair is
	// at most 2·255·64 = 32640.
	code8small
	// code4 does the same with codes of 4 bits, exact for every query: the
	// low and the high halves' pairs together are at most 4·15·128 = 7680.
	code4
)

// codes256 is codes512 by AVX2. Its integers are the same.
func codes256(scheme codeScheme, gather bool) {
	const (
		sum   = 0 // 4 registers
		query = 4 // 2 registers
		tmp   = 6 // 4 registers
		ones  = 14
		mask  = 15
	)
	TEXT([...]string{"codes8", "codes8Small", "codes4"}[scheme]+verb(gather)+"AVX2", NOSPLIT, codeSignature(gather))
	Pragma("noescape")
	f := newFrame(gather, 4)
	limit := AllocLocal(8)
	bits := 8
	if scheme == code4 {
		bits = 4
	}
	codeLimit(bits, limit)
	VPCMPEQW(y(ones), y(ones), y(ones))
	VPSRLW(U8(15), y(ones), y(ones)) // words of 1
	if scheme == code4 {
		VPBROADCASTD(constant("nibbles", 0x0f0f0f0f), y(mask))
	} else {
		VPCMPEQW(y(mask), y(mask), y(mask))
		VPSRLW(U8(8), y(mask), y(mask)) // words of 255
	}
	f.loop(func() {
		for i := range 4 {
			VPXOR(y(sum+i), y(sum+i), y(sum+i))
		}
		XORQ(f.off, f.off)
		Label("step")
		for h := range 2 { // the two halves of a 64-byte step
			q := Mem{Base: f.q, Index: f.off, Scale: 1, Disp: 32 * h}
			switch scheme {
			case code8:
				VMOVDQU(q, y(query))
				VPSRAW(U8(8), y(query), y(query+1)) // odd bytes
				VPSLLW(U8(8), y(query), y(query))
				VPSRAW(U8(8), y(query), y(query)) // even bytes
			case code8small:
				VMOVDQU(q, y(query))
			case code4:
				q.Scale = 2
				VMOVDQU(q, y(query))
				VMOVDQU(q.Offset(64), y(query+1))
			}
			for i := range 4 {
				row, t, u := f.at(i).Offset(32*h), y(tmp+2*(i%2)), y(tmp+2*(i%2)+1)
				VMOVDQU(row, t)
				switch scheme {
				case code8:
					VPSRLW(U8(8), t, u)
					VPAND(y(mask), t, t)
					VPMADDWD(y(query), t, t)
					VPMADDWD(y(query+1), u, u)
					VPADDD(u, t, t)
				case code8small:
					VPMADDUBSW(y(query), t, t)
					VPMADDWD(y(ones), t, t)
				case code4:
					VPSRLW(U8(4), t, u)
					VPAND(y(mask), t, t)
					VPAND(y(mask), u, u)
					VPMADDUBSW(y(query), t, t)
					VPMADDUBSW(y(query+1), u, u)
					VPADDW(u, t, t)
					VPMADDWD(y(ones), t, t)
				}
				VPADDD(t, y(sum+i), y(sum+i))
			}
		}
		ADDQ(U8(64), f.off)
		CMPQ(f.off, limit)
		JL(LabelRef("step"))
		reduce4(sum, tmp, true)
	}, func(partial bool) { storeFloat256(f, 4, partial) })
	f.returnZero()
}
