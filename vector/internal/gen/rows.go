package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// frame is what every kernel's outer loop is made of: it hands the rows of a
// list to a body in blocks of fixed size. A last, smaller block is filled up
// with copies of its first row, so that every row goes through the same
// instructions whatever its place; only the block's first `count` results are
// stored.
type frame struct {
	gather bool
	q      reg.Register
	off    reg.GPVirtual // the body's offset into the rows
	r      []reg.GPVirtual
	n      reg.GPVirtual // rows left, this block's included
	out    reg.GPVirtual
	next   reg.GPVirtual // scan: the stride; gather: the rest of the list
	base   Mem
	stride Mem
	last   Mem // gather: where the last row begins
}

// slot returns the memory operand of a parameter, for those read too rarely
// to deserve a register.
func slot(c gotypes.Component) Mem {
	b, err := c.Resolve()
	if err != nil {
		panic(err)
	}
	return b.Addr
}

// newFrame loads the parameters; block is the number of rows a body takes.
func newFrame(gather bool, block int) *frame {
	f := &frame{gather: gather, off: GP64(), out: GP64(), n: GP64(), next: GP64()}
	f.q = Load(Param("q").Base(), GP64())
	Load(Param("out").Base(), f.out)
	f.base, f.stride = slot(Param("rows").Base()), slot(Param("stride"))
	if gather {
		f.last = AllocLocal(8)
		Load(Param("rows").Len(), f.n)
		SUBQ(f.stride, f.n)
		MOVQ(f.n, f.last)
		Load(Param("idx").Len(), f.n)
		Load(Param("idx").Base(), f.next)
	} else {
		Load(Param("n"), f.n)
		Load(Param("stride"), f.next)
	}
	for range block {
		f.r = append(f.r, GP64())
	}
	if !gather {
		Load(Param("rows").Base(), f.r[0])
	}
	return f
}

// loop emits the outer loop. body leaves the block's results wherever store
// finds them; store(false) writes them all, store(true) the first f.n.
func (f *frame) loop(body func(), store func(partial bool)) {
	block := len(f.r)
	Label("block")
	CMPQ(f.n, U8(block))
	JL(LabelRef("partial"))
	for i := range block {
		f.row(i)
	}
	Label("body")
	body()
	CMPQ(f.n, U8(block))
	JL(LabelRef("last"))
	store(false)
	SUBQ(U8(block), f.n)
	ADDQ(U8(4*block), f.out)
	if f.gather {
		ADDQ(U8(4*block), f.next)
	} else {
		ADDQ(f.next, f.r[block-1])
		MOVQ(f.r[block-1], f.r[0])
	}
	JMP(LabelRef("block"))

	Label("partial")
	TESTQ(f.n, f.n)
	JLE(LabelRef("done"))
	if f.gather {
		f.row(0)
	}
	for i := 1; i < block; i++ {
		MOVQ(f.r[0], f.r[i])
	}
	for i := 1; i < block; i++ {
		CMPQ(f.n, U8(i))
		JE(LabelRef("body"))
		f.row(i)
	}
	JMP(LabelRef("body"))
	Label("last")
	store(true)
	Label("done")
}

// end emits the return of 2 for a list that names a row outside rows.
func (f *frame) end() {
	if !f.gather {
		return
	}
	Label("outside")
	result := GP32()
	MOVL(U32(2), result)
	VZEROUPPER()
	Store(result, ReturnIndex(0))
	RET()
}

// row sets the pointer of the block's i-th row.
func (f *frame) row(i int) {
	switch {
	case f.gather:
		MOVL(Mem{Base: f.next, Disp: 4 * i}, f.r[i].As32())
		IMULQ(f.stride, f.r[i])
		CMPQ(f.r[i], f.last)
		JG(LabelRef("outside"))
		ADDQ(f.base, f.r[i])
	case i > 0:
		LEAQ(Mem{Base: f.r[i-1], Index: f.next, Scale: 1}, f.r[i])
	}
}

// at addresses the body's place in row i.
func (f *frame) at(i int) Mem { return Mem{Base: f.r[i], Index: f.off, Scale: 1} }

func z(i int) reg.Register { return zmm[i] }
func y(i int) reg.Register { return zmm[i].AsY() }
func x(i int) reg.Register { return zmm[i].AsX() }

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// reduce8 adds up the lanes of the eight registers acc.. and leaves the eight
// sums in the lower half of the first. With lanes l0..l15 of a row and
// t[j] = l[j] + l[j+8], the sum is
//
//	((t0+t1)+(t2+t3)) + ((t4+t5)+(t6+t7))
//
// in every class. It uses two registers from tmp on.
func reduce8(acc, tmp int, integer bool) {
	add := func(a, b, dst reg.Register) {
		if integer {
			VPADDD(a, b, dst)
		} else {
			VADDPS(a, b, dst)
		}
	}
	a := func(i int) reg.Register { return z(acc + i) }
	t, u := z(tmp), z(tmp+1)
	for i := range 4 { // rows i and i+4, 16 lanes to 8
		VSHUFF64X2(U8(0x44), a(i+4), a(i), t)
		VSHUFF64X2(U8(0xee), a(i+4), a(i), u)
		add(t, u, a(i))
	}
	for i := 0; i < 4; i += 2 { // neighbours: 8 lanes to 4
		VSHUFPS(U8(0x88), a(i+1), a(i), t)
		VSHUFPS(U8(0xdd), a(i+1), a(i), u)
		add(t, u, a(i))
	}
	VSHUFPS(U8(0x88), a(2), a(0), t)
	VSHUFPS(U8(0xdd), a(2), a(0), u)
	add(t, u, a(0))
	VSHUFF32X4(U8(0x88), a(0), a(0), t)
	VSHUFF32X4(U8(0xdd), a(0), a(0), u)
	add(t, u, a(0))
}

// reduce4 does the same for the four 8-lane registers acc.., whose sums it
// leaves in the lowest quarter of the first.
func reduce4(acc, tmp int, integer bool) {
	if integer {
		VPHADDD(y(acc+1), y(acc), y(acc))
		VPHADDD(y(acc+3), y(acc+2), y(acc+2))
		VPHADDD(y(acc+2), y(acc), y(acc))
		VEXTRACTI128(U8(1), y(acc), x(tmp))
		VPADDD(x(tmp), x(acc), x(acc))
		return
	}
	VHADDPS(y(acc+1), y(acc), y(acc))
	VHADDPS(y(acc+3), y(acc+2), y(acc+2))
	VHADDPS(y(acc+2), y(acc), y(acc))
	VEXTRACTF128(U8(1), y(acc), x(tmp))
	VADDPS(x(tmp), x(acc), x(acc))
}

// constant returns a read-only word holding bits.
func constant(name string, bits uint32) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, rodata)
	DATA(0, U32(bits))
	constants[name] = m
	return m
}

// maskTable returns n words of ones and n of zeros, each of size bytes, in the
// order asked: a window of n words over it masks the first or the last lanes.
func maskTable(name string, size, n int, onesFirst bool) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, rodata)
	for i := range 2 * n * size / 4 {
		word := uint32(0)
		if (i < n*size/4) == onesFirst {
			word = 0xffffffff
		}
		DATA(4*i, U32(word))
	}
	constants[name] = m
	return m
}

var constants = map[string]Mem{}

// finishFloat judges the scores or sums of one block: v(0) holds the first
// sums, v(1) the second (cos), v(2)..v(4) are free, and v(5) collects what is
// not finite. v maps to registers of the class's width, all below 16 but v(5).
func finishFloat(m metric, v func(int) reg.Register, or func(a, b, dst reg.Register)) {
	if m != cos {
		// s-s is 0 for a finite s and NaN for others.
		VSUBPS(v(0), v(0), v(2))
		or(v(2), v(5), v(5))
		return
	}
	VBROADCASTSS(slot(Param("qq")), v(2))
	VMULPS(v(2), v(1), v(1)) // p = qq·rr
	VBROADCASTSS(constant("cosineMin", 0x21800000), v(2))
	VCMPPS(U8(0x09), v(2), v(1), v(3)) // not p ≥ min
	VBROADCASTSS(constant("cosineMax", 0x7b800000), v(2))
	VCMPPS(U8(0x06), v(2), v(1), v(4)) // not p ≤ max
	VORPS(v(4), v(3), v(3))
	or(v(3), v(5), v(5))
	VSQRTPS(v(1), v(1))
	VDIVPS(v(1), v(0), v(0))
	VBROADCASTSS(constant("plusOne", 0x3f800000), v(2))
	VMINPS(v(2), v(0), v(0))
	VBROADCASTSS(constant("minusOne", 0xbf800000), v(2))
	VMAXPS(v(2), v(0), v(0))
	VORPS(v(3), v(0), v(0)) // all ones are a NaN
}

const rodata = attr.RODATA | attr.NOPTR
