/* Accessors of a native back end as compilers and people make them, one of them at a time: WAY says
   which. A suite that counts what the processor does has to find every one but the first. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { ONCE, TWICE, HALVES, BYTES, WIDENED, NARROWED, READ_FIRST, LIBRARY };

#define V(bits, at) (*(volatile uint##bits##_t *)(at))

static uint64_t one_load(const volatile char *at, size_t width) {
    switch (width) {
    case 1: return V(8, at);
    case 2: return V(16, at);
    case 4: return V(32, at);
    default: return V(64, at);
    }
}

static void one_store(volatile char *at, size_t width, uint64_t value) {
    switch (width) {
    case 1: V(8, at) = (uint8_t)value; break;
    case 2: V(16, at) = (uint16_t)value; break;
    case 4: V(32, at) = (uint32_t)value; break;
    default: V(64, at) = value;
    }
}

static size_t part_of(size_t width) {
    if (WAY == HALVES && width > 1) return width / 2;
    if (WAY == BYTES) return 1;
    return width;
}

static size_t width_of(size_t width) {
    if (WAY == WIDENED && width < 4) return 4;
    if (WAY == NARROWED && width == 8) return 4;
    return width;
}

uint64_t load(char *at, size_t width) {
    size_t part = part_of(width), n;
    uint64_t value = 0;
    if (WAY == LIBRARY) {
        memcpy(&value, at, width);
        return value;
    }
    if (WAY == TWICE) one_load(at, width);
    if (part == width) value = one_load(at, width_of(width));
    else
        for (n = 0; n < width; n += part) value |= one_load(at + n, part) << 8 * n;
    return width < 8 ? value & ((1ULL << 8 * width) - 1) : value;
}

void store(char *at, size_t width, uint64_t value) {
    size_t part = part_of(width), n;
    if (WAY == LIBRARY) {
        memcpy(at, &value, width);
        return;
    }
    if (WAY == READ_FIRST) one_load(at, width);
    if (part == width) one_store(at, width_of(width), value);
    else
        for (n = 0; n < width; n += part) one_store(at + n, part, value >> 8 * n);
}
