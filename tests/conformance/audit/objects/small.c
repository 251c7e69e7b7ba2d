/* A small object that has a little of everything: calls, data, a table of jumps, relocations. */

#include <stdint.h>
#include <string.h>

#define V(type, p) (*(volatile type *)(p))

uint32_t total;
const uint32_t *const table[2] = {&total, &total};

static __attribute__((noinline)) void helper(void *mmio, uint32_t value) {
    V(uint32_t, mmio) = value;
    total += *table[value & 1];
}

/* EXPECT right_call(mmio,value): W32 */
void right_call(void *mmio, uint32_t value) { helper(mmio, value); }

/* EXPECT right_table(mmio,which): W32@(4 * which)(which * which * 3 + 7) if which < 6 else none */
void right_table(uint32_t *mmio, uint64_t which) {
    switch (which) {
    case 0: V(uint32_t, mmio) = 7; break;
    case 1: V(uint32_t, mmio + 1) = 10; break;
    case 2: V(uint32_t, mmio + 2) = 19; break;
    case 3: V(uint32_t, mmio + 3) = 34; break;
    case 4: V(uint32_t, mmio + 4) = 55; break;
    case 5: V(uint32_t, mmio + 5) = 82; break;
    }
}

/* EXPECT wrong_copy(mmio,data,length): W{length} if length in 1,2,4,8 else none */
void wrong_copy(void *mmio, const void *data, size_t length) { memcpy(mmio, data, length); }
