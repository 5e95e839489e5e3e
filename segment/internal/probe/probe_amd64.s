//go:build amd64 && !purego

#include "textflag.h"

// Written by hand: a few short loops.
//
// Each kernel goes over its list twice. The first loop asks for the cache lines and waits for none: there are more reads under way
// at once than the second loop, which needs the processor to hold all its instructions until a line is there, could have.

DATA salts<>+0(SB)/4, $0x47b6137b
DATA salts<>+4(SB)/4, $0x44974d91
DATA salts<>+8(SB)/4, $0x8824ad5b
DATA salts<>+12(SB)/4, $0xa2b7289d
DATA salts<>+16(SB)/4, $0x705495c7
DATA salts<>+20(SB)/4, $0x2df1424b
DATA salts<>+24(SB)/4, $0x9efc4947
DATA salts<>+28(SB)/4, $0x5c6bfb31
GLOBL salts<>(SB), RODATA|NOPTR, $32

// func filterAVX2(blocks *Block, n int, hashes *uint64, count int, out *uint32) int
// Requires: AVX2, BMI2
TEXT ·filterAVX2(SB), NOSPLIT, $0-48
	MOVQ     blocks+0(FP), SI
	MOVQ     n+8(FP), R8
	MOVQ     hashes+16(FP), DI
	MOVQ     count+24(FP), CX
	MOVQ     out+32(FP), BX
	MOVQ     $0xbf58476d1ce4e5b9, R9
	VMOVDQU  salts<>(SB), Y0
	VPCMPEQD Y1, Y1, Y1
	VPSRLD   $31, Y1, Y1             // ones
	XORQ     R10, R10                // place of the hash

ask:
	MOVQ       (DI)(R10*8), DX
	MOVQ       DX, R11
	SHRQ       $29, R11
	XORQ       R11, DX
	IMULQ      R9, DX
	MOVQ       DX, R11
	SHRQ       $32, R11
	XORQ       R11, DX
	MULXQ      R8, R12, R13
	SHLQ       $5, R13
	PREFETCHT0 (SI)(R13*1)
	INCQ       R10
	CMPQ       R10, CX
	JB         ask
	XORQ       AX, AX                // places written
	XORQ       R10, R10

key:
	MOVQ         (DI)(R10*8), DX
	MOVQ         DX, R11
	SHRQ         $29, R11
	XORQ         R11, DX
	IMULQ        R9, DX
	MOVQ         DX, R11
	SHRQ         $32, R11
	XORQ         R11, DX
	MULXQ        R8, R12, R13        // R13: the block
	SHLQ         $5, R13
	VMOVDQU      (SI)(R13*1), Y3
	VMOVD        DX, X2
	VPBROADCASTD X2, Y2
	VPMULLD      Y0, Y2, Y2
	VPSRLD       $27, Y2, Y2
	VPSLLVD      Y2, Y1, Y2          // the key's bits
	MOVL         R10, (BX)(AX*4)
	INCQ         R10
	VPTEST       Y2, Y3              // carry: the block has them all
	ADCQ         $0, AX
	CMPQ         R10, CX
	JB           key
	VZEROUPPER
	MOVQ         AX, ret+40(FP)
	RET

// func tableAVX2(slots *atomic.Uint64, n int, hashes *uint64, count int, out *uint32) int
// Requires: AVX2
TEXT ·tableAVX2(SB), NOSPLIT, $0-48
	MOVQ  slots+0(FP), SI
	MOVQ  n+8(FP), R8
	MOVQ  hashes+16(FP), DI
	MOVQ  count+24(FP), CX
	MOVQ  out+32(FP), BX
	SUBQ  $8, R8                     // the bits of a line's first slot
	VPXOR Y0, Y0, Y0
	XORQ  R10, R10                   // place of the hash

ask:
	MOVQ       (DI)(R10*8), DX
	SHRQ       $32, DX
	ANDQ       R8, DX
	PREFETCHT0 (SI)(DX*8)
	INCQ       R10
	CMPQ       R10, CX
	JB         ask
	XORQ       AX, AX                // places written
	XORQ       R10, R10

key:
	MOVQ         (DI)(R10*8), DX
	SHRQ         $32, DX
	VMOVD        DX, X2
	VPBROADCASTD X2, Y2
	ANDQ         R8, DX
	VMOVDQU      (SI)(DX*8), Y3
	VMOVDQU      32(SI)(DX*8), Y4
	VPCMPEQD     Y3, Y2, Y5
	VPCMPEQD     Y4, Y2, Y6
	VPOR         Y5, Y6, Y5
	VMOVMSKPD    Y5, R11             // not 0: an upper half is the key's
	VPCMPEQQ     Y3, Y0, Y3
	VPCMPEQQ     Y4, Y0, Y4
	VPOR         Y3, Y4, Y3
	VMOVMSKPD    Y3, R12             // not 0: a slot is free
	CMPL         R12, $1
	SBBL         R12, R12
	ORL          R11, R12
	MOVL         R10, (BX)(AX*4)
	INCQ         R10
	NEGL         R12                 // carry: it was not 0
	ADCQ         $0, AX
	CMPQ         R10, CX
	JB           key
	VZEROUPPER
	MOVQ         AX, ret+40(FP)
	RET
