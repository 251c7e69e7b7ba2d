/* Accessors as people write them: right_* make one transaction of the width asked for, wrong_*
   do not. What is expected of each stands in the line behind EXPECT, with its arguments. */

#include <stdint.h>
#include <stddef.h>
#include <string.h>

#define V(type, p) (*(volatile type *)(p))

/* EXPECT right_read8(mmio): R8 */
uint8_t right_read8(const void *mmio) { return V(uint8_t, mmio); }
/* EXPECT right_read16(mmio): R16 */
uint16_t right_read16(const void *mmio) { return V(uint16_t, mmio); }
/* EXPECT right_read32(mmio): R32 */
uint32_t right_read32(const void *mmio) { return V(uint32_t, mmio); }
/* EXPECT right_read64(mmio): R64 */
uint64_t right_read64(const void *mmio) { return V(uint64_t, mmio); }
/* EXPECT right_write8(mmio,value): W8 */
void right_write8(void *mmio, uint8_t value) { V(uint8_t, mmio) = value; }
/* EXPECT right_write16(mmio,value): W16 */
void right_write16(void *mmio, uint16_t value) { V(uint16_t, mmio) = value; }
/* EXPECT right_write32(mmio,value): W32 */
void right_write32(void *mmio, uint32_t value) { V(uint32_t, mmio) = value; }
/* EXPECT right_write64(mmio,value): W64 */
void right_write64(void *mmio, uint64_t value) { V(uint64_t, mmio) = value; }

/* EXPECT right_write_at(mmio,offset,value): W32@offset */
void right_write_at(char *mmio, size_t offset, uint32_t value) {
    V(uint32_t, mmio + offset) = value;
}

/* EXPECT right_write_data(mmio,data,length): W{length} if length in 1,2,4,8 else none */
int right_write_data(void *mmio, const void *data, size_t length) {
    uint64_t value = 0;
    switch (length) {
    case 1: memcpy(&value, data, 1); V(uint8_t, mmio) = (uint8_t)value; return 0;
    case 2: memcpy(&value, data, 2); V(uint16_t, mmio) = (uint16_t)value; return 0;
    case 4: memcpy(&value, data, 4); V(uint32_t, mmio) = (uint32_t)value; return 0;
    case 8: memcpy(&value, data, 8); V(uint64_t, mmio) = value; return 0;
    }
    return -1;
}

/* EXPECT right_read_data(mmio,data,length): R{length} if length in 1,2,4,8 else none */
int right_read_data(const void *mmio, void *data, size_t length) {
    uint64_t value;
    switch (length) {
    case 1: value = V(uint8_t, mmio); break;
    case 2: value = V(uint16_t, mmio); break;
    case 4: value = V(uint32_t, mmio); break;
    case 8: value = V(uint64_t, mmio); break;
    default: return -1;
    }
    memcpy(data, &value, length);
    return 0;
}

/* EXPECT right_read_aligned(mmio,data): R32 if mmio % 4 == 0 else none */
int right_read_aligned(const void *mmio, void *data) {
    uint32_t value;
    if ((uintptr_t)mmio % sizeof value) return -1;
    value = V(uint32_t, mmio);
    memcpy(data, &value, sizeof value);
    return 0;
}

/* EXPECT right_swapped(mmio): R32 returning read >> 24 | (read >> 8 & 0xff00) | (read & 0xff00) << 8 | (read & 0xff) << 24 */
uint32_t right_swapped(const void *mmio) { return __builtin_bswap32(V(uint32_t, mmio)); }

/* EXPECT right_set_bits(mmio,value): RMW32(old | value) */
void right_set_bits(void *mmio, uint32_t value) { V(uint32_t, mmio) |= value; }

/* EXPECT right_atomic_or(mmio,value): RMW32(old | value) */
void right_atomic_or(void *mmio, uint32_t value) {
    __atomic_fetch_or((uint32_t *)mmio, value, __ATOMIC_SEQ_CST);
}

/* EXPECT right_poll(mmio): R32* */
void right_poll(const void *mmio) { while (!(V(uint32_t, mmio) & 1)) { } }

/* EXPECT right_poll_value(mmio): R32* returning read */
uint32_t right_poll_value(const void *mmio) {
    uint32_t value;
    do { value = V(uint32_t, mmio); } while (!(value & 1));
    return value;
}

/* EXPECT right_poll_bounded(mmio,limit): only R32 */
int right_poll_bounded(const void *mmio, unsigned limit) {
    for (unsigned i = 0; i < limit; i++)
        if (V(uint32_t, mmio) & 1) return 1;
    return 0;
}

/* EXPECT right_halves(mmio): R32@4 then R32@0 returning any */
uint64_t right_halves(const char *mmio) {
    uint64_t high = V(uint32_t, mmio + 4);
    return high << 32 | V(uint32_t, mmio);
}

/* EXPECT right_clear(mmio): only W32 */
void right_clear(char *mmio) {
    for (int i = 0; i < 4; i++) V(uint32_t, mmio + 4 * i) = 0;
}

/* EXPECT right_nothing(mmio,value): none */
uint32_t right_nothing(const void *mmio, uint32_t value) { (void)mmio; return value * 3 + 1; }

static __attribute__((noinline)) void helper(void *mmio, uint32_t value) {
    V(uint32_t, mmio) = value;
}
/* EXPECT right_by_helper(mmio,value:32): W32 if value < 100 else none */
void right_by_helper(void *mmio, uint32_t value) { if (value < 100) helper(mmio, value); }

/* EXPECT wrong_memcpy(mmio,value): W32 */
void wrong_memcpy(void *mmio, uint32_t value) {
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    copy(mmio, &value, sizeof value);
}

/* EXPECT wrong_memcpy_length(mmio,data,length): W{length} if length in 1,2,4,8 else none */
void wrong_memcpy_length(void *mmio, const void *data, size_t length) {
    memcpy(mmio, data, length);
}

/* EXPECT wrong_memcpy_read(mmio,data,length): R{length} if length in 1,2,4,8 else none */
void wrong_memcpy_read(const void *mmio, void *data, size_t length) {
    memcpy(data, mmio, length);
}

struct block { uint32_t a, b, c, d; };
/* EXPECT wrong_struct(mmio,data): W32 */
void wrong_struct(void *mmio, const struct block *data) { V(struct block, mmio) = *data; }

struct fields { uint32_t low : 5, middle : 11, high : 16; };
/* EXPECT wrong_bit_field(mmio,value): W32 */
void wrong_bit_field(void *mmio, uint32_t value) { ((volatile struct fields *)mmio)->middle = value; }

/* EXPECT wrong_byte_loop(mmio,data,length): W{length} if length in 1,2,4,8 else none */
void wrong_byte_loop(void *mmio, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) ((volatile uint8_t *)mmio)[i] = data[i];
}

/* EXPECT wrong_halves(mmio,value): W64 */
void wrong_halves(char *mmio, uint64_t value) {
    V(uint32_t, mmio) = (uint32_t)value;
    V(uint32_t, mmio + 4) = (uint32_t)(value >> 32);
}

/* EXPECT wrong_double_read(mmio): R32 */
uint32_t wrong_double_read(const void *mmio) {
    if (V(uint32_t, mmio) == 0) return 0;
    return V(uint32_t, mmio);
}

/* Without volatile and without optimization the compiler still reads each time, and all of it. */
/* EXPECT wrong_poll_narrowed(mmio): R32* UNLESS -O0 */
void wrong_poll_narrowed(const void *mmio) { while (!(*(const uint32_t *)mmio & 1)) { } }

/* EXPECT wrong_poll_hoisted(mmio): R32* UNLESS -O0 */
void wrong_poll_hoisted(const void *mmio) { while (!*(const uint32_t *)mmio) { } }

/* EXPECT wrong_forward_any(mmio,data,length): W{length} if length in 1,2,4,8 else none */
void wrong_forward_any(void *mmio, const uint64_t *data, size_t length) {
    if (length <= 8) V(uint64_t, mmio) = *data;
}

/* EXPECT wrong_read_back(mmio,value): W32 */
void wrong_read_back(void *mmio, uint32_t value) { V(uint32_t, mmio) = value; (void)V(uint32_t, mmio); }

/* EXPECT wrong_rmw(mmio,value): W32 */
void wrong_rmw(void *mmio, uint32_t value) { V(uint32_t, mmio) |= value; }

/* EXPECT wrong_width(mmio,value): W32 */
void wrong_width(void *mmio, uint32_t value) { V(uint16_t, mmio) = (uint16_t)value; }

/* EXPECT wrong_value(mmio,value): W32 */
void wrong_value(void *mmio, uint32_t value) { V(uint32_t, mmio) = value & 0x7fffffff; }

/* EXPECT wrong_answer(mmio): R32 */
uint32_t wrong_answer(const void *mmio) { uint32_t v = V(uint32_t, mmio); return v == 77 ? 78 : v; }

/* EXPECT wrong_offset(mmio,value): W32 */
void wrong_offset(char *mmio, uint32_t value) { V(uint32_t, mmio + 4) = value; }

/* EXPECT wrong_one_length(mmio,data,length): W{length} if length in 1,2,4,8 else none */
int wrong_one_length(void *mmio, const void *data, size_t length) {
    uint64_t value = 0;
    if (length != 1 && length != 2 && length != 3 && length != 4 && length != 8) return -1;
    memcpy(&value, data, length == 3 ? 4 : length);
    switch (length) {
    case 1: V(uint8_t, mmio) = (uint8_t)value; break;
    case 2: V(uint16_t, mmio) = (uint16_t)value; break;
    case 8: V(uint64_t, mmio) = value; break;
    default: V(uint32_t, mmio) = (uint32_t)value;
    }
    return 0;
}

/* EXPECT wrong_never_returns(mmio,value:32): W32 */
void wrong_never_returns(void *mmio, uint32_t value) {
    V(uint32_t, mmio) = value;
    if (value == 12345) for (;;) { }
}
