#include "textflag.h"

// func sum512(p *byte, blocks int, out *[8]uint64)
//
// Eight lanes of eight words: more than enough additions under way to wait for memory alone.
TEXT ·sum512(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ out+16(FP), DI
	VPXORQ Z0, Z0, Z0
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VPXORQ Z3, Z3, Z3
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7

loop:
	VPADDQ (SI), Z0, Z0
	VPADDQ 64(SI), Z1, Z1
	VPADDQ 128(SI), Z2, Z2
	VPADDQ 192(SI), Z3, Z3
	VPADDQ 256(SI), Z4, Z4
	VPADDQ 320(SI), Z5, Z5
	VPADDQ 384(SI), Z6, Z6
	VPADDQ 448(SI), Z7, Z7
	ADDQ   $512, SI
	DECQ   CX
	JNZ    loop

	VPADDQ Z1, Z0, Z0
	VPADDQ Z3, Z2, Z2
	VPADDQ Z5, Z4, Z4
	VPADDQ Z7, Z6, Z6
	VPADDQ Z2, Z0, Z0
	VPADDQ Z6, Z4, Z4
	VPADDQ Z4, Z0, Z0
	VMOVDQU64 Z0, (DI)
	VZEROUPPER
	RET
