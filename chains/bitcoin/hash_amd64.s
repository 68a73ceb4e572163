//go:build amd64

#include "textflag.h"

// Two SHA-256 states advance through their messages side by side. The SHA
// extensions have a latency of four cycles and room for another state's rounds in
// that time, so that two messages take hardly longer than one.
//
// A state is kept the way the instructions want it: F E B A, H G D C.
//
// Lane a is X1 and X2, its message schedule X3 to X6; lane b is X7 and X8, with X9
// to X12. X0 is the implicit operand of SHA256RNDS2.

// LOAD reads four message words in big-endian order.
#define LOAD(at, P, M) \
	MOVOU  at(P), M; \
	PSHUFB X14, M

// ROUNDS does four rounds, of which M holds the message words.
#define ROUNDS(k, M, S0, S1) \
	MOVOU       k(AX), X0; \
	PADDD       M, X0; \
	SHA256RNDS2 X0, S0, S1; \
	PSHUFD      $0x0e, X0, X0; \
	SHA256RNDS2 X0, S1, S0

// NEXT completes the words that follow those in M: L are the ones before M, and N
// holds what BEGIN left.
#define NEXT(L, M, N) \
	MOVO       M, X13; \
	PALIGNR    $4, L, X13; \
	PADDD      X13, N; \
	SHA256MSG2 M, N

// BEGIN starts on the words three steps after M, in the place of L.
#define BEGIN(L, M) \
	SHA256MSG1 M, L

// func sha256Pair(a, b *shaState, pa, pb *byte, blocks int)
// Requires: SHA, SSE4.1, SSSE3
TEXT ·sha256Pair(SB), NOSPLIT, $64-40
	MOVQ  a+0(FP), DI
	MOVQ  b+8(FP), SI
	MOVQ  pa+16(FP), R8
	MOVQ  pb+24(FP), R9
	MOVQ  blocks+32(FP), CX
	LEAQ  sha256K<>(SB), AX
	MOVOU sha256Flip<>(SB), X14
	MOVOU (DI), X1
	MOVOU 16(DI), X2
	MOVOU (SI), X7
	MOVOU 16(SI), X8
	TESTQ CX, CX
	JZ    done

block:
	MOVOU X1, save-64(SP)
	MOVOU X2, save-48(SP)
	MOVOU X7, save-32(SP)
	MOVOU X8, save-16(SP)

	LOAD(0, R8, X3)
	ROUNDS(0, X3, X1, X2)
	LOAD(0, R9, X9)
	ROUNDS(0, X9, X7, X8)
	LOAD(16, R8, X4)
	ROUNDS(16, X4, X1, X2)
	BEGIN(X3, X4)
	LOAD(16, R9, X10)
	ROUNDS(16, X10, X7, X8)
	BEGIN(X9, X10)
	LOAD(32, R8, X5)
	ROUNDS(32, X5, X1, X2)
	BEGIN(X4, X5)
	LOAD(32, R9, X11)
	ROUNDS(32, X11, X7, X8)
	BEGIN(X10, X11)
	LOAD(48, R8, X6)
	ROUNDS(48, X6, X1, X2)
	NEXT(X5, X6, X3)
	BEGIN(X5, X6)
	LOAD(48, R9, X12)
	ROUNDS(48, X12, X7, X8)
	NEXT(X11, X12, X9)
	BEGIN(X11, X12)
	ROUNDS(64, X3, X1, X2)
	NEXT(X6, X3, X4)
	BEGIN(X6, X3)
	ROUNDS(64, X9, X7, X8)
	NEXT(X12, X9, X10)
	BEGIN(X12, X9)
	ROUNDS(80, X4, X1, X2)
	NEXT(X3, X4, X5)
	BEGIN(X3, X4)
	ROUNDS(80, X10, X7, X8)
	NEXT(X9, X10, X11)
	BEGIN(X9, X10)
	ROUNDS(96, X5, X1, X2)
	NEXT(X4, X5, X6)
	BEGIN(X4, X5)
	ROUNDS(96, X11, X7, X8)
	NEXT(X10, X11, X12)
	BEGIN(X10, X11)
	ROUNDS(112, X6, X1, X2)
	NEXT(X5, X6, X3)
	BEGIN(X5, X6)
	ROUNDS(112, X12, X7, X8)
	NEXT(X11, X12, X9)
	BEGIN(X11, X12)
	ROUNDS(128, X3, X1, X2)
	NEXT(X6, X3, X4)
	BEGIN(X6, X3)
	ROUNDS(128, X9, X7, X8)
	NEXT(X12, X9, X10)
	BEGIN(X12, X9)
	ROUNDS(144, X4, X1, X2)
	NEXT(X3, X4, X5)
	BEGIN(X3, X4)
	ROUNDS(144, X10, X7, X8)
	NEXT(X9, X10, X11)
	BEGIN(X9, X10)
	ROUNDS(160, X5, X1, X2)
	NEXT(X4, X5, X6)
	BEGIN(X4, X5)
	ROUNDS(160, X11, X7, X8)
	NEXT(X10, X11, X12)
	BEGIN(X10, X11)
	ROUNDS(176, X6, X1, X2)
	NEXT(X5, X6, X3)
	BEGIN(X5, X6)
	ROUNDS(176, X12, X7, X8)
	NEXT(X11, X12, X9)
	BEGIN(X11, X12)
	ROUNDS(192, X3, X1, X2)
	NEXT(X6, X3, X4)
	BEGIN(X6, X3)
	ROUNDS(192, X9, X7, X8)
	NEXT(X12, X9, X10)
	BEGIN(X12, X9)
	ROUNDS(208, X4, X1, X2)
	NEXT(X3, X4, X5)
	ROUNDS(208, X10, X7, X8)
	NEXT(X9, X10, X11)
	ROUNDS(224, X5, X1, X2)
	NEXT(X4, X5, X6)
	ROUNDS(224, X11, X7, X8)
	NEXT(X10, X11, X12)
	ROUNDS(240, X6, X1, X2)
	ROUNDS(240, X12, X7, X8)

	MOVOU save-64(SP), X0
	PADDD X0, X1
	MOVOU save-48(SP), X0
	PADDD X0, X2
	MOVOU save-32(SP), X0
	PADDD X0, X7
	MOVOU save-16(SP), X0
	PADDD X0, X8
	ADDQ  $64, R8
	ADDQ  $64, R9
	DECQ  CX
	JNZ   block

done:
	MOVOU X1, (DI)
	MOVOU X2, 16(DI)
	MOVOU X7, (SI)
	MOVOU X8, 16(SI)
	RET

// func hasSHA() bool
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB  $0, ret+0(FP)
	XORL  AX, AX
	CPUID
	CMPL  AX, $7
	JLT   no
	MOVL  $1, AX
	XORL  CX, CX
	CPUID
	ANDL  $0x00080200, CX // SSE4.1 and SSSE3
	CMPL  CX, $0x00080200
	JNE   no
	MOVL  $7, AX
	XORL  CX, CX
	CPUID
	BTL   $29, BX         // SHA
	SETCS ret+0(FP)

no:
	RET

// The bytes of each word in opposite order.
DATA sha256Flip<>+0(SB)/8, $0x0405060700010203
DATA sha256Flip<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL sha256Flip<>(SB), RODATA|NOPTR, $16

// The round constants of FIPS 180-4.
DATA sha256K<>+0(SB)/8, $0x71374491428a2f98
DATA sha256K<>+8(SB)/8, $0xe9b5dba5b5c0fbcf
DATA sha256K<>+16(SB)/8, $0x59f111f13956c25b
DATA sha256K<>+24(SB)/8, $0xab1c5ed5923f82a4
DATA sha256K<>+32(SB)/8, $0x12835b01d807aa98
DATA sha256K<>+40(SB)/8, $0x550c7dc3243185be
DATA sha256K<>+48(SB)/8, $0x80deb1fe72be5d74
DATA sha256K<>+56(SB)/8, $0xc19bf1749bdc06a7
DATA sha256K<>+64(SB)/8, $0xefbe4786e49b69c1
DATA sha256K<>+72(SB)/8, $0x240ca1cc0fc19dc6
DATA sha256K<>+80(SB)/8, $0x4a7484aa2de92c6f
DATA sha256K<>+88(SB)/8, $0x76f988da5cb0a9dc
DATA sha256K<>+96(SB)/8, $0xa831c66d983e5152
DATA sha256K<>+104(SB)/8, $0xbf597fc7b00327c8
DATA sha256K<>+112(SB)/8, $0xd5a79147c6e00bf3
DATA sha256K<>+120(SB)/8, $0x1429296706ca6351
DATA sha256K<>+128(SB)/8, $0x2e1b213827b70a85
DATA sha256K<>+136(SB)/8, $0x53380d134d2c6dfc
DATA sha256K<>+144(SB)/8, $0x766a0abb650a7354
DATA sha256K<>+152(SB)/8, $0x92722c8581c2c92e
DATA sha256K<>+160(SB)/8, $0xa81a664ba2bfe8a1
DATA sha256K<>+168(SB)/8, $0xc76c51a3c24b8b70
DATA sha256K<>+176(SB)/8, $0xd6990624d192e819
DATA sha256K<>+184(SB)/8, $0x106aa070f40e3585
DATA sha256K<>+192(SB)/8, $0x1e376c0819a4c116
DATA sha256K<>+200(SB)/8, $0x34b0bcb52748774c
DATA sha256K<>+208(SB)/8, $0x4ed8aa4a391c0cb3
DATA sha256K<>+216(SB)/8, $0x682e6ff35b9cca4f
DATA sha256K<>+224(SB)/8, $0x78a5636f748f82ee
DATA sha256K<>+232(SB)/8, $0x8cc7020884c87814
DATA sha256K<>+240(SB)/8, $0xa4506ceb90befffa
DATA sha256K<>+248(SB)/8, $0xc67178f2bef9a3f7
GLOBL sha256K<>(SB), RODATA|NOPTR, $256
