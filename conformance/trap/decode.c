/* From the bytes of an instruction to its operands, by the tables in opcodes.h. */

#include "decode.h"

#include <stddef.h>

#include "opcodes.h"

enum { LONGEST = 15 };

struct reader {
    const uint8_t *code;
    uint64_t rip;
    int at;
    int rex_w, rex_r, rex_x, rex_b, rex;
    int prefix;  /* PLAIN, P66, PF3 or PF2: what selects a vector move */
    int wide;    /* 0x66 was there */
    int bad;
};

static uint64_t take(struct reader *r, int bytes) {
    uint64_t value = 0;
    int i;
    if (r->at + bytes > LONGEST) {
        r->bad = 1;
        return 0;
    }
    for (i = 0; i < bytes; i++) value |= (uint64_t)r->code[r->at++] << 8 * i;
    return value;
}

static uint64_t extended(uint64_t value, int bytes) {
    int shift = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* The operand that ModRM names. scale: what one byte of displacement counts. */
static uint64_t address(
    struct reader *r, uint8_t modrm, const uint64_t *regs, int scale, int immediate
) {
    int mode = modrm >> 6, base = modrm & 7, bytes = mode == 1 ? 1 : mode == 2 ? 4 : 0;
    uint64_t at = 0;
    if (mode == 3) r->bad = 1;
    if (base == 4) {
        uint8_t sib = (uint8_t)take(r, 1);
        int index = (sib >> 3 & 7) | r->rex_x << 3;
        base = sib & 7;
        if (index != 4) at += regs[index] << (sib >> 6);
        if (base == 5 && mode == 0)
            bytes = 4;
        else
            at += regs[base | r->rex_b << 3];
    } else if (base == 5 && mode == 0) {
        at = extended(take(r, 4), 4);
        return at + r->rip + (uint64_t)(r->at + immediate);
    } else {
        at = regs[base | r->rex_b << 3];
    }
    if (bytes == 1) return at + extended(take(r, 1), 1) * (uint64_t)scale;
    return bytes ? at + extended(take(r, 4), 4) : at;
}

/* 1 where the prefixes are none that matter to this table. */
static int prefixes(struct reader *r) {
    for (;;) {
        uint8_t byte = r->code[r->at];
        if (byte == 0x66)
            r->wide = 1;
        else if (byte == 0xF3)
            r->prefix = PF3;
        else if (byte == 0xF2)
            r->prefix = PF2;
        else if (byte == 0x64 || byte == 0x65 || byte == 0x67)
            return 0;
        else if (byte != 0xF0 && byte != 0x26 && byte != 0x2E && byte != 0x36 && byte != 0x3E)
            break;
        if (++r->at == LONGEST) return 0;
    }
    if (r->wide && r->prefix == PLAIN) r->prefix = P66;
    if ((r->code[r->at] & 0xF0) == 0x40) {
        uint8_t rex = (uint8_t)take(r, 1);
        r->rex = 1;
        r->rex_w = rex >> 3 & 1;
        r->rex_r = rex >> 2 & 1;
        r->rex_x = rex >> 1 & 1;
        r->rex_b = rex & 1;
    }
    return 1;
}

static struct insn one_operand(struct insn insn, uint64_t at, int access) {
    insn.operands = 1;
    insn.operand[0].at = at;
    insn.operand[0].access = access;
    return insn;
}

static struct insn vector(
    struct reader *r, uint8_t opcode, const uint64_t *regs, int encoding, int full
) {
    struct insn insn = {.form = UNDECODED};
    size_t i;
    for (i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        int width = vectors[i].width;
        uint64_t at;
        if (vectors[i].opcode != opcode || vectors[i].prefix != r->prefix) continue;
        if (!(vectors[i].encodings & encoding)) continue;
        width = width == FULL ? full : width == GPR ? (r->rex_w ? 8 : 4) : width;
        at = address(r, (uint8_t)take(r, 1), regs, encoding == EVEX ? width : 1, 0);
        if (r->bad) return insn;
        insn.form = STEP;
        insn.width = width;
        return one_operand(insn, at, vectors[i].access);
    }
    return insn;
}

/* The prefixes of AVX and AVX-512; masked and broadcast moves are not decoded. */
static struct insn vex(struct reader *r, const uint64_t *regs) {
    static const int full[] = {16, 32, 64, 0};
    static const struct insn undecoded = {.form = UNDECODED};
    uint8_t first = (uint8_t)take(r, 1), a = (uint8_t)take(r, 1), b = a, c = 0;
    int encoding = first == 0x62 ? EVEX : VEX, length;
    if (r->wide || r->rex || r->prefix != PLAIN) return undecoded;
    if (first != 0xC5) {
        b = (uint8_t)take(r, 1);
        r->rex_x = !(a >> 6 & 1);
        r->rex_b = !(a >> 5 & 1);
        r->rex_w = b >> 7;
        if ((a & (first == 0x62 ? 0xF : 0x1F)) != 1) return undecoded;
    }
    if (encoding == EVEX) {
        c = (uint8_t)take(r, 1);
        if (!(b & 4) || (c & 0x17) || !(c & 8)) c = 0x60;
    }
    length = encoding == EVEX ? c >> 5 & 3 : b >> 2 & 1;
    if (!full[length]) return undecoded;
    r->prefix = b & 3;
    return vector(r, (uint8_t)take(r, 1), regs, encoding, full[length]);
}

/* movs cmps stos lods scas, one element of them: from rsi, to rdi. */
static struct insn string(struct reader *r, uint8_t opcode, const uint64_t *regs, int width) {
    struct insn insn = {.form = STEP};
    struct operand from = {regs[6], READS}, to = {regs[7], READS};
    int pair = opcode & 0xFE;
    insn.length = r->at;
    insn.width = opcode & 1 ? width : 1;
    if (pair == 0xA4 || pair == 0xAA) to.access = WRITES;
    insn.operand[0] = pair == 0xAA || pair == 0xAE ? to : from;
    insn.operand[1] = to;
    insn.operands = pair == 0xA4 || pair == 0xA6 ? 2 : 1;
    return insn;
}

/* movbe and crc32. */
static struct insn three_byte(struct reader *r, const uint64_t *regs, int width) {
    struct insn insn = {.form = UNDECODED};
    uint8_t opcode = (uint8_t)take(r, 1);
    int crc = r->prefix == PF2;
    uint64_t at;
    if ((opcode != 0xF0 && opcode != 0xF1) || r->prefix == PF3) return insn;
    at = address(r, (uint8_t)take(r, 1), regs, 1, 0);
    if (r->bad) return insn;
    insn.form = STEP;
    insn.width = crc && opcode == 0xF0 ? 1 : width;
    return one_operand(insn, at, crc || opcode == 0xF0 ? READS : WRITES);
}

/* A move between rax and an address that is written out. */
static struct insn absolute(struct reader *r, uint8_t opcode, int width) {
    struct insn insn = {.form = opcode & 2 ? STORE : LOAD};
    insn.width = insn.to = opcode & 1 ? width : 1;
    insn = one_operand(insn, take(r, 8), opcode & 2 ? WRITES : READS);
    insn.length = r->at;
    return insn;
}

static int width_of(const struct reader *r, const struct op *op, int middle, int width) {
    /* call, jmp and push take 8 bytes whatever REX.W says; with 0x66 vendors differ. */
    if (op->group == G_FF && middle >= 2) return r->wide ? 0 : 8;
    if (op->group == G_C7) return r->rex_w ? 16 : 8;
    return op->width == V ? width : op->width == GPR ? (r->rex_w ? 8 : 4) : op->width;
}

static struct insn general(
    struct reader *r, const struct op *op, const uint64_t *regs, uint8_t opcode, int width
) {
    static const struct insn undecoded = {.form = UNDECODED};
    struct insn insn = {.form = UNDECODED};
    uint8_t modrm = (uint8_t)take(r, 1);
    int middle = modrm >> 3 & 7, access = op->group ? groups[op->group][middle] : op->access;
    int bytes = op->immediate == IMM8 ? 1 : op->immediate == IMMZ ? (width == 2 ? 2 : 4) : 0;
    uint64_t at;
    if (op->group == G_F6 && middle == 0) bytes = opcode == 0xF6 ? 1 : width == 2 ? 2 : 4;
    insn.width = width_of(r, op, middle, width);
    at = address(r, modrm, regs, 1, bytes);
    if (r->bad || !access || !insn.width) return undecoded;
    /* What movsxd reads when it does not extend to 64 bits differs between vendors. */
    if (opcode == 0x63 && !r->rex_w) return undecoded;
    insn.form = op->form;
    insn.reg = middle | r->rex_r << 3;
    /* Without REX, byte registers 4 to 7 are the second bytes of the first four. */
    insn.to = opcode == 0x8A ? 1 : width;
    if ((opcode == 0x88 || opcode == 0x8A) && !r->rex && middle >= 4) {
        insn.high = 1;
        insn.reg = middle - 4;
    }
    if (insn.form == STORE_IMM) insn.immediate = extended(take(r, bytes), bytes);
    insn.length = r->at;
    return r->bad ? undecoded : one_operand(insn, at, access);
}

struct insn trap_decode(const uint8_t *code, uint64_t rip, const uint64_t *regs) {
    static const struct insn undecoded = {.form = UNDECODED};
    struct reader r = {.code = code, .rip = rip};
    struct insn insn;
    int width, two;
    uint8_t opcode;
    if (!prefixes(&r)) return undecoded;
    if (code[r.at] == 0xC5 || code[r.at] == 0xC4 || code[r.at] == 0x62) return vex(&r, regs);
    width = r.rex_w ? 8 : r.wide ? 2 : 4;
    opcode = (uint8_t)take(&r, 1);
    two = opcode == 0x0F;
    if (two) {
        opcode = (uint8_t)take(&r, 1);
        if (opcode == 0x38) return three_byte(&r, regs, width);
        insn = vector(&r, opcode, regs, SSE, 16);
        if (insn.form != UNDECODED || r.bad) return insn;
        if (!two_byte[opcode].access) return undecoded;
        insn = general(&r, &two_byte[opcode], regs, opcode, width);
        insn.sign = (opcode & 0xFE) == 0xBE;
        return insn;
    }
    if (opcode >= 0xA0 && opcode <= 0xA3) return absolute(&r, opcode, width);
    if ((opcode >= 0xA4 && opcode <= 0xA7) || (opcode >= 0xAA && opcode <= 0xAF))
        return string(&r, opcode, regs, width);
    if (!one_byte[opcode].access) return undecoded;
    insn = general(&r, &one_byte[opcode], regs, opcode, width);
    insn.sign = opcode == 0x63;
    return insn;
}
