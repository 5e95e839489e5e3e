//go:build amd64 && !purego

#include "textflag.h"

// Written by hand: a few short loops.

// func selectBelowAVX512(dots, terms *int32, shift uint, rows *uint32, n int, limit int32, keys *uint64) int
// Requires: AVX512F, BMI2, POPCNT
TEXT ·selectBelowAVX512(SB), NOSPLIT, $0-64
	MOVQ         dots+0(FP), AX
	MOVQ         terms+8(FP), BX
	VMOVQ        shift+16(FP), X6
	MOVQ         rows+24(FP), CX
	MOVQ         n+32(FP), DX
	MOVL         limit+40(FP), SI
	VPBROADCASTD SI, Z0
	MOVQ         keys+48(FP), DI
	MOVQ         DI, R9                // where the keys began
	MOVL         $0x80000000, SI
	VPBROADCASTD SI, Z5
	MOVL         $0xffff, R10
	KMOVW        R10, K1
	XORQ         R11, R11              // offset into dots, terms, rows

block:
	CMPQ  DX, $16
	JGE   whole
	TESTQ DX, DX
	JLE   done
	BZHIQ DX, R10, SI
	KMOVW SI, K1

whole:
	VMOVDQU32.Z (AX)(R11*1), K1, Z2
	VPSLLD      X6, Z2, Z2
	VPXORD      Z3, Z3, Z3
	TESTQ       BX, BX
	JZ          subtract
	VMOVDQU32.Z (BX)(R11*1), K1, Z3

subtract:
	VPSUBD         Z2, Z3, Z2
	VPCMPD         $1, Z0, Z2, K1, K2  // distance < limit
	KMOVW          K2, SI
	TESTL          SI, SI
	JZ             next
	VMOVDQU32.Z    (CX)(R11*1), K1, Z3
	VPXORD         Z5, Z2, Z2
	VPCOMPRESSD.Z  Z2, K2, Z2
	VPCOMPRESSD.Z  Z3, K2, Z3
	VPMOVZXDQ      Y2, Z4
	VPSLLQ         $32, Z4, Z4
	VPMOVZXDQ      Y3, Z7
	VPORQ          Z7, Z4, Z4
	VMOVDQU64      Z4, (DI)
	POPCNTL        SI, SI
	CMPL           SI, $8
	JLE            advance
	VEXTRACTI64X4  $1, Z2, Y2
	VEXTRACTI64X4  $1, Z3, Y3
	VPMOVZXDQ      Y2, Z4
	VPSLLQ         $32, Z4, Z4
	VPMOVZXDQ      Y3, Z7
	VPORQ          Z7, Z4, Z4
	VMOVDQU64      Z4, 64(DI)

advance:
	LEAQ (DI)(SI*8), DI

next:
	ADDQ $64, R11
	SUBQ $16, DX
	JMP  block

done:
	VZEROUPPER
	SUBQ R9, DI
	SHRQ $3, DI
	MOVQ DI, ret+56(FP)
	RET

// func selectWeightedAVX512(dots, squares *int32, count int, weight float32, shift uint, rows *uint32, n int, limit int32, keys *uint64) int
// Requires: AVX512F, BMI2, POPCNT
TEXT ·selectWeightedAVX512(SB), NOSPLIT, $0-80
	MOVQ         dots+0(FP), AX
	MOVQ         squares+8(FP), BX
	MOVQ         count+16(FP), SI
	VPBROADCASTD SI, Z10
	MOVL         weight+24(FP), SI
	VPBROADCASTD SI, Z9
	VMOVQ        shift+32(FP), X6
	MOVQ         rows+40(FP), CX
	MOVQ         n+48(FP), DX
	MOVL         limit+56(FP), SI
	VPBROADCASTD SI, Z0
	MOVQ         keys+64(FP), DI
	MOVQ         DI, R9
	MOVL         $0x80000000, SI
	VPBROADCASTD SI, Z5
	MOVL         $0xffff, R10
	KMOVW        R10, K1
	XORQ         R11, R11

block:
	CMPQ  DX, $16
	JGE   whole
	TESTQ DX, DX
	JLE   done
	BZHIQ DX, R10, SI
	KMOVW SI, K1

whole:
	VMOVDQU32.Z (CX)(R11*1), K1, Z3
	VPCMPUD     $5, Z10, Z3, K1, K3    // row >= count
	KORTESTW    K3, K3
	JNZ         outside
	KMOVW       K1, K3
	VPXORD      Z8, Z8, Z8
	VPGATHERDD  (BX)(Z3*4), K3, Z8
	VMOVDQU32.Z (AX)(R11*1), K1, Z2
	VPSLLD      X6, Z2, Z2
	VCVTDQ2PS   Z8, Z8
	VMULPS      Z9, Z8, Z8
	VCVTTPS2DQ  Z8, Z8
	VPSUBD      Z2, Z8, Z2
	VPCMPD      $1, Z0, Z2, K1, K2     // distance < limit
	KMOVW       K2, SI
	TESTL       SI, SI
	JZ          next
	VPXORD        Z5, Z2, Z2
	VPCOMPRESSD.Z Z2, K2, Z2
	VPCOMPRESSD.Z Z3, K2, Z3
	VPMOVZXDQ     Y2, Z4
	VPSLLQ        $32, Z4, Z4
	VPMOVZXDQ     Y3, Z7
	VPORQ         Z7, Z4, Z4
	VMOVDQU64     Z4, (DI)
	POPCNTL       SI, SI
	CMPL          SI, $8
	JLE           advance
	VEXTRACTI64X4 $1, Z2, Y2
	VEXTRACTI64X4 $1, Z3, Y3
	VPMOVZXDQ     Y2, Z4
	VPSLLQ        $32, Z4, Z4
	VPMOVZXDQ     Y3, Z7
	VPORQ         Z7, Z4, Z4
	VMOVDQU64     Z4, 64(DI)

advance:
	LEAQ (DI)(SI*8), DI

next:
	ADDQ $64, R11
	SUBQ $16, DX
	JMP  block

outside:
	VZEROUPPER
	MOVQ $-1, AX
	MOVQ AX, ret+72(FP)
	RET

done:
	VZEROUPPER
	SUBQ R9, DI
	SHRQ $3, DI
	MOVQ DI, ret+72(FP)
	RET

// func selectScaledAVX512(dots *int32, factors *float32, count int, bias, scale float32, rows *uint32, n int, limit int32, keys *uint64) int
// Requires: AVX512F, BMI2, POPCNT
TEXT ·selectScaledAVX512(SB), NOSPLIT, $0-72
	MOVQ         dots+0(FP), AX
	MOVQ         factors+8(FP), BX
	MOVQ         count+16(FP), SI
	VPBROADCASTD SI, Z10
	MOVL         bias+24(FP), SI
	VPBROADCASTD SI, Z11
	MOVL         scale+28(FP), SI
	VPBROADCASTD SI, Z9
	MOVQ         rows+32(FP), CX
	MOVQ         n+40(FP), DX
	MOVL         limit+48(FP), SI
	VPBROADCASTD SI, Z0
	MOVQ         keys+56(FP), DI
	MOVQ         DI, R9
	MOVL         $0x80000000, SI
	VPBROADCASTD SI, Z5
	MOVL         $0xffff, R10
	KMOVW        R10, K1
	XORQ         R11, R11

block:
	CMPQ  DX, $16
	JGE   whole
	TESTQ DX, DX
	JLE   done
	BZHIQ DX, R10, SI
	KMOVW SI, K1

whole:
	VMOVDQU32.Z (CX)(R11*1), K1, Z3
	VPCMPUD     $5, Z10, Z3, K1, K3    // row >= count
	KORTESTW    K3, K3
	JNZ         outside
	KMOVW       K1, K3
	VPXORD      Z8, Z8, Z8
	VGATHERDPS  (BX)(Z3*4), K3, Z8
	VMOVDQU32.Z (AX)(R11*1), K1, Z2
	VCVTDQ2PS   Z2, Z2
	VADDPS      Z11, Z2, Z2
	VMULPS      Z9, Z2, Z2
	VMULPS      Z8, Z2, Z2
	VCVTTPS2DQ  Z2, Z2
	VPXORD      Z8, Z8, Z8
	VPSUBD      Z2, Z8, Z2
	VPCMPD      $1, Z0, Z2, K1, K2     // distance < limit
	KMOVW       K2, SI
	TESTL       SI, SI
	JZ          next
	VPXORD        Z5, Z2, Z2
	VPCOMPRESSD.Z Z2, K2, Z2
	VPCOMPRESSD.Z Z3, K2, Z3
	VPMOVZXDQ     Y2, Z4
	VPSLLQ        $32, Z4, Z4
	VPMOVZXDQ     Y3, Z7
	VPORQ         Z7, Z4, Z4
	VMOVDQU64     Z4, (DI)
	POPCNTL       SI, SI
	CMPL          SI, $8
	JLE           advance
	VEXTRACTI64X4 $1, Z2, Y2
	VEXTRACTI64X4 $1, Z3, Y3
	VPMOVZXDQ     Y2, Z4
	VPSLLQ        $32, Z4, Z4
	VPMOVZXDQ     Y3, Z7
	VPORQ         Z7, Z4, Z4
	VMOVDQU64     Z4, 64(DI)

advance:
	LEAQ (DI)(SI*8), DI

next:
	ADDQ $64, R11
	SUBQ $16, DX
	JMP  block

outside:
	VZEROUPPER
	MOVQ $-1, AX
	MOVQ AX, ret+64(FP)
	RET

done:
	VZEROUPPER
	SUBQ R9, DI
	SHRQ $3, DI
	MOVQ DI, ret+64(FP)
	RET

// func countBelowAVX512(keys *uint64, n int, key uint64) int
// Requires: AVX512F, BMI2, POPCNT
TEXT ·countBelowAVX512(SB), NOSPLIT, $0-32
	MOVQ         keys+0(FP), AX
	MOVQ         n+8(FP), DX
	MOVQ         key+16(FP), SI
	VPBROADCASTQ SI, Z0
	XORQ         R9, R9

eight:
	CMPQ    DX, $8
	JL      tail
	VPCMPUQ $6, (AX), Z0, K1 // key > keys
	KMOVW   K1, SI
	POPCNTL SI, SI
	ADDQ    SI, R9
	ADDQ    $64, AX
	SUBQ    $8, DX
	JMP     eight

tail:
	MOVL        $0xff, SI
	BZHIQ       DX, SI, SI
	KMOVW       SI, K2
	VMOVDQU64.Z (AX), K2, Z1
	VPCMPUQ     $6, Z1, Z0, K2, K1
	KMOVW       K1, SI
	POPCNTL     SI, SI
	ADDQ        SI, R9
	VZEROUPPER
	MOVQ        R9, ret+24(FP)
	RET

// func visitRows(row *uint32, n int, visited *uint64, count int, out *uint32) int
TEXT ·visitRows(SB), NOSPLIT, $0-48
	MOVQ row+0(FP), SI
	MOVQ n+8(FP), R10
	MOVQ visited+16(FP), BX
	MOVQ count+24(FP), R8
	MOVQ out+32(FP), DI
	XORQ R9, R9
	LEAQ (SI)(R10*4), R10

row:
	CMPQ SI, R10
	JGE  done
	MOVL (SI), AX
	CMPQ AX, R8
	JGE  done
	MOVL AX, (DI)(R9*4)
	MOVL AX, CX
	SHRL $6, CX
	MOVQ (BX)(CX*8), DX
	BTSQ AX, DX            // carry: was visited
	MOVQ DX, (BX)(CX*8)
	CMC
	ADCQ $0, R9
	ADDQ $4, SI
	JMP  row

done:
	MOVQ R9, ret+40(FP)
	RET

// func visitRowsAVX512(row *uint32, n int, visited *uint64, count int, out *uint32) int
// Requires: AVX512F, BMI1, BMI2, POPCNT
//
// Sixteen rows at a time: those not marked are gathered at the end of out, and
// then marked one by one, as two may be the same.
TEXT ·visitRowsAVX512(SB), NOSPLIT, $0-48
	MOVQ         row+0(FP), SI
	MOVQ         n+8(FP), R10
	MOVQ         visited+16(FP), BX
	MOVQ         count+24(FP), R8
	VPBROADCASTD R8, Z12
	MOVQ         out+32(FP), DI
	MOVL         $1, AX
	VPBROADCASTD AX, Z10
	MOVL         $31, AX
	VPBROADCASTD AX, Z11
	XORQ         R9, R9

block:
	MOVL  $0xffff, R11
	CMPQ  R10, $16
	JGE   whole
	TESTQ R10, R10
	JLE   done
	BZHIL R10, R11, R11

whole:
	KMOVW       R11, K1
	VMOVDQU32.Z (SI), K1, Z1
	VPCMPUD     $1, Z12, Z1, K1, K2    // row < count
	KMOVW       K2, R12
	CMPL        R12, R11
	JEQ         inside
	XORL        R12, R11
	TZCNTL      R11, R11               // the first beyond ends the list
	BZHIL       R11, R12, R12
	KMOVW       R12, K2
	MOVQ        $16, R10

inside:
	KMOVW         K2, K3
	VPSRLD        $5, Z1, Z2
	VPXORD        Z3, Z3, Z3
	VPGATHERDD    (BX)(Z2*4), K3, Z3
	VPANDD        Z11, Z1, Z4
	VPSLLVD       Z4, Z10, Z4
	VPTESTNMD     Z3, Z4, K2, K4       // not marked
	KMOVW         K4, R11
	VPCOMPRESSD.Z Z1, K4, Z5
	LEAQ          (DI)(R9*4), R12
	VMOVDQU32     Z5, (R12)
	POPCNTL       R11, R11
	LEAQ          (R12)(R11*4), R11

mark:
	CMPQ R12, R11
	JGE  marked
	MOVL (R12), AX
	MOVL AX, (DI)(R9*4)
	MOVL AX, CX
	SHRL $6, CX
	MOVQ (BX)(CX*8), DX
	BTSQ AX, DX            // carry: the same row stood before it
	MOVQ DX, (BX)(CX*8)
	CMC
	ADCQ $0, R9
	ADDQ $4, R12
	JMP  mark

marked:
	ADDQ $64, SI
	SUBQ $16, R10
	JMP  block

done:
	VZEROUPPER
	MOVQ R9, ret+40(FP)
	RET

// func prefetch(p unsafe.Pointer, lines int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ lines+8(FP), CX

line:
	PREFETCHT0 (AX)
	ADDQ       $64, AX
	DECQ       CX
	JG         line
	RET

// func prefetchRows(codes *byte, stride int, rows *uint32, n int)
TEXT ·prefetchRows(SB), NOSPLIT, $0-32
	MOVQ codes+0(FP), AX
	MOVQ stride+8(FP), BX
	MOVQ rows+16(FP), CX
	MOVQ n+24(FP), DX
	CMPQ BX, $64
	JLE  one

two:
	MOVL       (CX), SI
	IMULQ      BX, SI
	PREFETCHT0 (AX)(SI*1)
	PREFETCHT0 64(AX)(SI*1)
	CMPQ       BX, $128
	JLE        twonext
	PREFETCHT0 128(AX)(SI*1)
	PREFETCHT0 192(AX)(SI*1)

twonext:
	ADDQ $4, CX
	DECQ DX
	JG   two
	RET

one:
	MOVL       (CX), SI
	IMULQ      BX, SI
	PREFETCHT0 (AX)(SI*1)
	ADDQ       $4, CX
	DECQ       DX
	JG         one
	RET

// func insertKeysAVX512(pool *uint64, n, limit int, keys *uint64, m int) (count, lowest int)
// Requires: AVX512F, BMI2, POPCNT
TEXT ·insertKeysAVX512(SB), NOSPLIT, $0-56
	MOVQ pool+0(FP), DI
	MOVQ n+8(FP), AX
	MOVQ limit+16(FP), BX
	MOVQ keys+24(FP), SI
	MOVQ m+32(FP), CX
	MOVQ BX, R8                        // the lowest place
	MOVL $0xff, R13

key:
	MOVQ (SI), DX
	ADDQ $8, SI
	MOVL DX, R9
	ADDQ R9, DX                        // the row moves up by a bit
	MOVQ AX, R10                       // keys that may have to move
	CMPQ AX, BX
	JLT  room
	CMPQ DX, -8(DI)(AX*8)
	JCC  next                          // not less than the last
	DECQ R10
	JMP  move

room:
	INCQ AX

move:
	VPBROADCASTQ DX, Z0

loop:
	CMPQ      R10, $8
	JLT       rest
	VMOVDQU64 -64(DI)(R10*8), Z1
	VPCMPUQ   $6, Z0, Z1, K1           // greater than the key
	KMOVW     K1, R11
	CMPL      R11, $0xff
	JNE       last
	VMOVDQU64 Z1, -56(DI)(R10*8)
	SUBQ      $8, R10
	JMP       loop

rest:
	BZHIQ       R10, R13, R12
	KMOVW       R12, K2
	VMOVDQU64.Z (DI), K2, Z1
	VPCMPUQ     $6, Z0, Z1, K2, K1
	KMOVW       K1, R11
	VMOVDQU64   Z1, K1, 8(DI)
	JMP         place

last:
	VMOVDQU64 Z1, K1, -56(DI)(R10*8)

place:
	POPCNTL R11, R11
	SUBQ    R11, R10
	MOVQ    DX, (DI)(R10*8)
	CMPQ    R10, R8
	CMOVQLT R10, R8

next:
	DECQ CX
	JNZ  key
	VZEROUPPER
	MOVQ AX, count+40(FP)
	MOVQ R8, lowest+48(FP)
	RET
