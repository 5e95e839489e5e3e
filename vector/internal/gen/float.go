package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The float kernels. Element i is added, by one fused multiply-add, to lane
// i mod 16; the elements after the last whole 16 are read by a load that ends
// with the row, its lanes that were counted before set to zero, so they go to
// the *last* lanes. No load leaves the row. All classes do the same
// operations in the same order.
//
// REQUIRES: at least 16 dimensions.

func float512(e elem, m metric, gather bool) {
	const (
		sum   = 0  // 8 registers
		sum2  = 8  // 8 registers, cos only
		query = 16 // 16 elements of the query
		tmp   = 17 // 8 temporaries
		bad   = 31
	)
	TEXT(m.String()+e.String()+verb(gather)+"AVX512", NOSPLIT, signature("float32", gather))
	Pragma("noescape")
	f := newFrame(gather, 8)
	limit, tailOff := AllocLocal(8), AllocLocal(8)
	mask := K()
	tailSetup(f, e, limit, tailOff, func(t reg.GPVirtual) {
		// The last t lanes of 16.
		m := GP64()
		MOVQ(U32(0xffff), m)
		s := t
		NEGQ(s)
		ADDQ(U8(16), s)
		SHLXQ(s, m, m)
		KMOVW(m.As32(), mask)
	})
	VPXORD(z(bad), z(bad), z(bad))

	step := func(masked bool) {
		loadQuery := Mem{Base: f.q, Index: f.off, Scale: uint8(4 / e.size())}
		if masked {
			VMOVUPS_Z(loadQuery, mask, z(query))
		} else {
			VMOVUPS(loadQuery, z(query))
		}
		for i := range f.r {
			t := z(tmp + i)
			if e == f32 && !masked && m == dot {
				VFMADD231PS(f.at(i), z(query), z(sum+i))
				continue
			}
			if e == f32 && !masked && m == l2 {
				VSUBPS(f.at(i), z(query), t)
				VFMADD231PS(t, t, z(sum+i))
				continue
			}
			switch {
			case e == f32 && masked:
				VMOVUPS_Z(f.at(i), mask, t)
			case e == f32:
				VMOVUPS(f.at(i), t)
			case e == f16 && masked:
				VCVTPH2PS_Z(f.at(i), mask, t)
			case e == f16:
				VCVTPH2PS(f.at(i), t)
			case masked:
				VPMOVZXWD_Z(f.at(i), mask, t)
				VPSLLD(U8(16), t, t)
			default:
				VPMOVZXWD(f.at(i), t)
				VPSLLD(U8(16), t, t)
			}
			switch m {
			case l2:
				VSUBPS(t, z(query), t)
				VFMADD231PS(t, t, z(sum+i))
			case dot:
				VFMADD231PS(t, z(query), z(sum+i))
			case cos:
				VFMADD231PS(t, z(query), z(sum+i))
				VFMADD231PS(t, t, z(sum2+i))
			}
		}
	}
	f.loop(func() {
		for i := range 8 * m.sums() {
			VPXORD(z(sum+i), z(sum+i), z(sum+i))
		}
		floatBody(f, e, limit, tailOff, step)
		reduce8(sum, tmp, false)
		if m == cos {
			reduce8(sum2, tmp, false)
		}
		finishFloat(m, func(i int) reg.Register {
			return []reg.Register{y(0), y(8), y(1), y(2), y(3), y(bad)}[i]
		}, func(a, b, dst reg.Register) { VPORD(a, b, dst) })
	}, func(partial bool) { storeFloat512(f, partial) })

	VEXTRACTI32X8(U8(0), z(bad), y(0))
	VPTEST(y(0), y(0))
	f.returnOdd()
}

// storeFloat512 writes the eight results in register 0.
func storeFloat512(f *frame, partial bool) {
	if !partial {
		VMOVUPS(y(0), Mem{Base: f.out})
		return
	}
	m, k := GP64(), K()
	MOVQ(U32(0xff), m)
	BZHIQ(f.n, m, m)
	KMOVW(m.As32(), k)
	VMOVUPS(y(0), k, Mem{Base: f.out})
}

// returnOdd returns 1 unless the zero flag is set.
func (f *frame) returnOdd() {
	odd := GP32()
	SETNE(odd.As8())
	MOVBLZX(odd.As8(), odd)
	VZEROUPPER()
	Store(odd, ReturnIndex(0))
	RET()
	f.end()
}

// returnZero returns 0.
func (f *frame) returnZero() {
	zero := GP32()
	XORL(zero, zero)
	VZEROUPPER()
	Store(zero, ReturnIndex(0))
	RET()
	f.end()
}

// tailSetup stores the offset at which whole steps of 16 elements end, and the
// one of the step that ends with the row; mask makes what hides the lanes
// counted before, given how many are left over.
func tailSetup(f *frame, e elem, limit, tailOff Mem, mask func(rest reg.GPVirtual)) {
	d, t := GP64(), GP64()
	Load(Param("q").Len(), d)
	MOVQ(d, t)
	ANDQ(U8(15), t)
	SUBQ(t, d)
	shift := uint64(e.size() / 2) // 1 or 2
	SHLQ(U8(shift), d)
	MOVQ(d, limit)
	at := GP64()
	LEAQ(Mem{Base: d, Index: t, Scale: uint8(e.size()), Disp: -16 * e.size()}, at)
	TESTQ(t, t)
	JNE(LabelRef("ragged"))
	MOVQ(I32(-1), at) // no tail
	Label("ragged")
	MOVQ(at, tailOff)
	mask(t)
}

// floatBody steps over one block of rows.
func floatBody(f *frame, e elem, limit, tailOff Mem, step func(masked bool)) {
	XORQ(f.off, f.off)
	Label("step")
	step(false)
	ADDQ(U8(16*e.size()), f.off)
	CMPQ(f.off, limit)
	JL(LabelRef("step"))
	MOVQ(tailOff, f.off)
	TESTQ(f.off, f.off)
	JL(LabelRef("whole"))
	step(true)
	Label("whole")
}

func float256(e elem, m metric, gather bool) {
	// cos keeps twice the sums and takes half the rows.
	block := 4 / m.sums()
	const (
		sum    = 0 // a pair of registers for each row, then for each second sum
		query  = 8 // a pair
		tmp    = 10
		maskLo = 12
		maskHi = 13
		bad    = 15
	)
	TEXT(m.String()+e.String()+verb(gather)+"AVX2", NOSPLIT, signature("float32", gather))
	Pragma("noescape")
	f := newFrame(gather, block)
	limit, tailOff := AllocLocal(8), AllocLocal(8)
	tailSetup(f, e, limit, tailOff, func(rest reg.GPVirtual) {
		table := GP64()
		LEAQ(maskTable("lastLanes", 4, 16, false), table)
		VMOVUPS(Mem{Base: table, Index: rest, Scale: 4}, y(maskLo))
		VMOVUPS(Mem{Base: table, Index: rest, Scale: 4, Disp: 32}, y(maskHi))
	})
	VXORPS(y(bad), y(bad), y(bad))

	step := func(masked bool) {
		for h := range 2 {
			VMOVUPS(Mem{Base: f.q, Index: f.off, Scale: uint8(4 / e.size()), Disp: 32 * h}, y(query+h))
			if masked {
				VANDPS(y(maskLo+h), y(query+h), y(query+h))
			}
		}
		for i := range f.r {
			for h := range 2 {
				s, s2, t := y(sum+2*i+h), y(sum+2*(i+block)+h), y(tmp+h)
				row := f.at(i).Offset(8 * e.size() * h)
				if e == f32 && !masked && m == dot {
					VFMADD231PS(row, y(query+h), s)
					continue
				}
				if e == f32 && !masked && m == l2 {
					VSUBPS(row, y(query+h), t)
					VFMADD231PS(t, t, s)
					continue
				}
				switch e {
				case f32:
					VMOVUPS(row, t)
				case f16:
					VCVTPH2PS(row, t)
				case bf16:
					VPMOVZXWD(row, t)
					VPSLLD(U8(16), t, t)
				}
				if masked {
					VANDPS(y(maskLo+h), t, t)
				}
				switch m {
				case l2:
					VSUBPS(t, y(query+h), t)
					VFMADD231PS(t, t, s)
				case dot:
					VFMADD231PS(t, y(query+h), s)
				case cos:
					VFMADD231PS(t, y(query+h), s)
					VFMADD231PS(t, t, s2)
				}
			}
		}
	}
	f.loop(func() {
		for i := range 8 {
			VXORPS(y(sum+i), y(sum+i), y(sum+i))
		}
		floatBody(f, e, limit, tailOff, step)
		for i := range 4 { // 16 lanes to 8
			VADDPS(y(sum+2*i+1), y(sum+2*i), y(sum+i))
		}
		reduce4(sum, tmp, false)
		if m == cos {
			VMOVHLPS(x(sum), x(sum), x(sum+1))
			VMOVLHPS(x(sum+1), x(sum+1), x(sum+1))
			VMOVLHPS(x(sum), x(sum), x(sum))
		}
		finishFloat(m, func(i int) reg.Register {
			return []reg.Register{x(0), x(1), x(2), x(3), x(4), x(bad)}[i]
		}, func(a, b, dst reg.Register) { VORPS(a, b, dst) })
	}, func(partial bool) { storeFloat256(f, block, partial) })

	VPTEST(x(bad), x(bad))
	f.returnOdd()
}

// storeFloat256 writes the block's results, which register 0 holds.
func storeFloat256(f *frame, block int, partial bool) {
	switch {
	case block == 2 && !partial:
		VMOVLPS(x(0), Mem{Base: f.out})
	case block == 2:
		VMOVSS(x(0), Mem{Base: f.out})
	case !partial:
		VMOVUPS(x(0), Mem{Base: f.out})
	default:
		table := GP64()
		LEAQ(maskTable("firstLanes", 4, 4, true).Offset(16), table)
		NEGQ(f.n)
		VMOVUPS(Mem{Base: table, Index: f.n, Scale: 4}, x(1))
		VMASKMOVPS(x(0), x(1), Mem{Base: f.out})
	}
}
