/* Kernels of the bitmap as one would write them first, a word at a time: loops that can be summed
   up. With -DMUTANT=n one of them is wrong, and none of the wrong ones may be proved. */

#include <stdint.h>
#include <string.h>

#ifndef MUTANT
#define MUTANT 0
#endif
#define KERNEL __attribute__((noipa))
#define FULL UINT64_MAX

KERNEL int bitmap_point_test(const uint64_t *words, uint64_t page) {
    return (words[page >> 6] >> (page & (MUTANT == 1 ? 31 : 63))) & 1;
}

KERNEL void bitmap_point_set(uint64_t *words, uint64_t page) {
    words[page >> 6] |= MUTANT == 2 ? 1U << (page & 31) : 1ULL << (page & 63);
}

KERNEL void bitmap_point_clear(uint64_t *words, uint64_t page) {
    if (MUTANT == 3) words[page >> 6] ^= 1ULL << (page & 63);
    else words[page >> 6] &= ~(1ULL << (page & 63));
}

KERNEL void bitmap_range_fill(uint64_t *words, uint64_t first, uint64_t stop, int ones) {
    uint64_t left = first >> 6, last = (stop - 1) >> 6;
    uint64_t head = FULL << (first & 63);
    uint64_t tail = FULL >> (63 - ((MUTANT == 4 ? stop : stop - 1) & 63));
    if (left == last) {
        head &= tail;
        words[left] = ones ? words[left] | head : words[left] & ~head;
        return;
    }
    words[left] = ones ? words[left] | head : words[left] & ~head;
    words[last] = ones ? words[last] | tail : words[last] & ~tail;
    memset(words + left + 1, ones ? 0xFF : 0, 8 * (last - left - (MUTANT == 5 ? 0 : 1)));
}

KERNEL int64_t bitmap_range_test(const uint64_t *words, uint64_t first, uint64_t stop) {
    uint64_t left = first >> 6, last = (stop - 1) >> 6;
    uint64_t head = FULL << (first & 63), tail = FULL >> (63 - ((stop - 1) & 63));
    uint64_t want = -((words[left] >> (first & 63)) & 1);
    if (left == last) return (words[left] ^ want) & head & tail ? 2 : (int64_t)(want & 1);
    if (((words[left] ^ want) & head) | ((words[last] ^ want) & tail)) return 2;
    for (const uint64_t *at = words + left + (MUTANT == 6 ? 2 : 1); at < words + last; at += MUTANT == 12 ? 2 : 1)
        if (MUTANT == 8 ? (*at ^ want) >> 1 : *at != want) return 2;
    return (int64_t)(want & 1);
}

KERNEL uint64_t bitmap_range_find_clear(const uint64_t *words, uint64_t first, uint64_t stop) {
    uint64_t left = first >> 6, last = (stop - 1) >> 6;
    uint64_t word = words[left] | ~(FULL << (first & 63));
    const uint64_t *at = words + left, *end = words + last;
    if (word == FULL && at < end) {
        at++;
        while (at < end && *at == FULL) at += MUTANT == 9 ? 2 : 1;
        word = *at;
    }
    if (at == end && MUTANT != 7) word |= ~(FULL >> (63 - ((stop - 1) & 63)));
    if (word == FULL) return stop;
    return ((uint64_t)(at - words) << 6) + (uint64_t)__builtin_ctzll(~word);
}

KERNEL uint64_t bitmap_range_count(const uint64_t *words, uint64_t first, uint64_t stop) {
    uint64_t left = first >> 6, last = (stop - 1) >> 6, total;
    uint64_t head = FULL << (first & 63), tail = FULL >> (63 - ((stop - 1) & 63));
    if (left == last) return (uint64_t)__builtin_popcountll(words[left] & head & tail);
    total = (uint64_t)__builtin_popcountll(words[left] & head)
          + (uint64_t)__builtin_popcountll(words[last] & tail);
    for (const uint64_t *at = words + left + 1; at < words + last; at++)
        total += MUTANT == 10 ? (*at != 0) : (uint64_t)__builtin_popcountll(*at);
    return MUTANT == 11 && last - left > 2 ? total - 1 : total;
}
