/* What one x86-64 instruction does to memory: where, how wide, reading or writing.

   Plain moves are told in full, so that they can be carried out without the processor. Of all else
   it is enough to know the operands: the processor carries it out itself, in one single step. */
#ifndef TRAP_DECODE_H
#define TRAP_DECODE_H

#include <stdint.h>

enum { READS = 1, WRITES = 2 };

enum form {
    UNDECODED,
    STEP,       /* the processor does it */
    LOAD,       /* general register `reg` from memory, extended to `to` bytes */
    STORE,      /* memory from general register `reg` */
    STORE_IMM,  /* memory from `immediate` */
};

struct operand {
    uint64_t at;
    int access;  /* READS, WRITES or both */
};

struct insn {
    enum form form;
    int length;  /* in bytes; right for the three moves, a lower bound for STEP */
    int width;   /* of each operand, in bytes */
    int operands;
    struct operand operand[2];
    int reg;   /* 0 to 15: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15 */
    int high;  /* the second byte of `reg`: ah ch dh bh */
    int to;
    int sign;
    uint64_t immediate;
};

/* code: read byte by byte, and no further than the instruction goes; it stands at `rip`.
   regs: the sixteen general registers, in the order of `reg`. */
struct insn trap_decode(const uint8_t *code, uint64_t rip, const uint64_t *regs);

#endif
