/* The instructions that are decoded, as tables; what is not in them is undecoded, never guessed at. */
#ifndef TRAP_OPCODES_H
#define TRAP_OPCODES_H

#include "decode.h"

enum { RMW = READS | WRITES };
/* Widths that depend on prefixes; any other is a number of bytes. */
enum { V = 100, GPR, FULL };
/* Immediates: none, a byte, as wide as the operand but at most 4. */
enum { NONE, IMM8, IMMZ };
/* Rows of `groups`, where the middle of ModRM tells the operation. */
enum { G_ALU = 1, G_SHIFT, G_MOV, G_F6, G_FE, G_FF, G_BA, G_C7 };

struct op {
    uint8_t access, width, immediate, form, group;
};

#define ALU(base) \
    [base] = {RMW, 1, NONE, STEP}, [(base) + 1] = {RMW, V, NONE, STEP}, \
    [(base) + 2] = {READS, 1, NONE, STEP}, [(base) + 3] = {READS, V, NONE, STEP}

static const struct op one_byte[256] = {
    ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30),
    [0x38] = {READS, 1, NONE, STEP}, [0x39] = {READS, V, NONE, STEP},
    [0x3A] = {READS, 1, NONE, STEP}, [0x3B] = {READS, V, NONE, STEP},
    [0x63] = {READS, 4, NONE, LOAD},
    [0x69] = {READS, V, IMMZ, STEP}, [0x6B] = {READS, V, IMM8, STEP},
    [0x80] = {RMW, 1, IMM8, STEP, G_ALU}, [0x81] = {RMW, V, IMMZ, STEP, G_ALU},
    [0x83] = {RMW, V, IMM8, STEP, G_ALU},
    [0x84] = {READS, 1, NONE, STEP}, [0x85] = {READS, V, NONE, STEP},
    [0x86] = {RMW, 1, NONE, STEP}, [0x87] = {RMW, V, NONE, STEP},
    [0x88] = {WRITES, 1, NONE, STORE}, [0x89] = {WRITES, V, NONE, STORE},
    [0x8A] = {READS, 1, NONE, LOAD}, [0x8B] = {READS, V, NONE, LOAD},
    [0xC0] = {RMW, 1, IMM8, STEP, G_SHIFT}, [0xC1] = {RMW, V, IMM8, STEP, G_SHIFT},
    [0xC6] = {WRITES, 1, IMM8, STORE_IMM, G_MOV}, [0xC7] = {WRITES, V, IMMZ, STORE_IMM, G_MOV},
    [0xD0] = {RMW, 1, NONE, STEP, G_SHIFT}, [0xD1] = {RMW, V, NONE, STEP, G_SHIFT},
    [0xD2] = {RMW, 1, NONE, STEP, G_SHIFT}, [0xD3] = {RMW, V, NONE, STEP, G_SHIFT},
    [0xF6] = {RMW, 1, NONE, STEP, G_F6}, [0xF7] = {RMW, V, NONE, STEP, G_F6},
    [0xFE] = {RMW, 1, NONE, STEP, G_FE}, [0xFF] = {RMW, V, NONE, STEP, G_FF},
};

static const struct op two_byte[256] = {
    [0x40 ... 0x4F] = {READS, V, NONE, STEP},
    [0x90 ... 0x9F] = {WRITES, 1, NONE, STEP},
    [0xA4] = {RMW, V, IMM8, STEP}, [0xA5] = {RMW, V, NONE, STEP},
    [0xAC] = {RMW, V, IMM8, STEP}, [0xAD] = {RMW, V, NONE, STEP},
    [0xAF] = {READS, V, NONE, STEP},
    [0xB0] = {RMW, 1, NONE, STEP}, [0xB1] = {RMW, V, NONE, STEP},
    [0xB6] = {READS, 1, NONE, LOAD}, [0xB7] = {READS, 2, NONE, LOAD},
    [0xB8] = {READS, V, NONE, STEP},
    [0xBA] = {RMW, V, IMM8, STEP, G_BA},
    [0xBC] = {READS, V, NONE, STEP}, [0xBD] = {READS, V, NONE, STEP},
    [0xBE] = {READS, 1, NONE, LOAD}, [0xBF] = {READS, 2, NONE, LOAD},
    [0xC0] = {RMW, 1, NONE, STEP}, [0xC1] = {RMW, V, NONE, STEP},
    [0xC3] = {WRITES, GPR, NONE, STEP},
    [0xC7] = {RMW, V, NONE, STEP, G_C7},
};

/* What the operation named in ModRM does to its operand; 0 is not decoded. */
static const uint8_t groups[][8] = {
    [G_ALU] = {RMW, RMW, RMW, RMW, RMW, RMW, RMW, READS},
    [G_SHIFT] = {RMW, RMW, RMW, RMW, RMW, RMW, 0, RMW},
    [G_MOV] = {WRITES},
    [G_F6] = {READS, 0, RMW, RMW, READS, READS, READS, READS},
    [G_FE] = {RMW, RMW},
    [G_FF] = {RMW, RMW, READS, 0, READS, 0, READS},
    [G_BA] = {0, 0, 0, 0, READS, RMW, RMW, RMW},
    [G_C7] = {0, RMW},
};

enum { PLAIN, P66, PF3, PF2 };
enum { SSE = 1, VEX = 2, EVEX = 4, ALL = SSE | VEX | EVEX };

/* Moves between memory and the MMX, SSE and AVX registers, by opcode and mandatory prefix. */
static const struct {
    uint8_t opcode, prefix, access, width, encodings;
} vectors[] = {
    {0x10, PLAIN, READS, FULL, ALL}, {0x10, P66, READS, FULL, ALL},
    {0x10, PF3, READS, 4, ALL},      {0x10, PF2, READS, 8, ALL},
    {0x11, PLAIN, WRITES, FULL, ALL}, {0x11, P66, WRITES, FULL, ALL},
    {0x11, PF3, WRITES, 4, ALL},     {0x11, PF2, WRITES, 8, ALL},
    {0x12, PLAIN, READS, 8, ALL},    {0x12, P66, READS, 8, ALL},
    {0x13, PLAIN, WRITES, 8, ALL},   {0x13, P66, WRITES, 8, ALL},
    {0x16, PLAIN, READS, 8, ALL},    {0x16, P66, READS, 8, ALL},
    {0x17, PLAIN, WRITES, 8, ALL},   {0x17, P66, WRITES, 8, ALL},
    {0x28, PLAIN, READS, FULL, ALL}, {0x28, P66, READS, FULL, ALL},
    {0x29, PLAIN, WRITES, FULL, ALL}, {0x29, P66, WRITES, FULL, ALL},
    {0x2B, PLAIN, WRITES, FULL, ALL}, {0x2B, P66, WRITES, FULL, ALL},
    {0x6E, PLAIN, READS, GPR, SSE},  {0x6E, P66, READS, GPR, ALL},
    {0x6F, PLAIN, READS, 8, SSE},    {0x6F, P66, READS, FULL, ALL},
    {0x6F, PF3, READS, FULL, ALL},   {0x6F, PF2, READS, FULL, EVEX},
    {0x7E, PLAIN, WRITES, GPR, SSE}, {0x7E, P66, WRITES, GPR, ALL},
    {0x7E, PF3, READS, 8, ALL},
    {0x7F, PLAIN, WRITES, 8, SSE},   {0x7F, P66, WRITES, FULL, ALL},
    {0x7F, PF3, WRITES, FULL, ALL},  {0x7F, PF2, WRITES, FULL, EVEX},
    {0xD6, P66, WRITES, 8, ALL},
    {0xE7, PLAIN, WRITES, 8, SSE},   {0xE7, P66, WRITES, FULL, ALL},
    {0xF0, PF2, READS, FULL, SSE | VEX},
};

#endif
