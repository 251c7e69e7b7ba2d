/* Accesses to device registers: each call makes exactly one, of exactly that width, or none.

   A compiler makes one instruction of a volatile access of up to 64 bits; nothing but the machine
   code can say that it did. So each of these stays a function of its own, under a name that is
   exported: what is audited and what is trapped is what is called. */
#ifndef SVSM_MMIO_H
#define SVSM_MMIO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__clang__)
#define SVSM_MMIO __attribute__((noinline, used, visibility("default")))
#else
#define SVSM_MMIO __attribute__((noipa, used, visibility("default")))
#endif

/* at: aligned to the width, which is the caller's promise. */
#define SVSM_MMIO_TYPED(bits) \
    SVSM_MMIO uint##bits##_t svsm_mmio_read_u##bits(const volatile void *at) { \
        return *(const volatile uint##bits##_t *)at; \
    } \
    SVSM_MMIO void svsm_mmio_write_u##bits(volatile void *at, uint##bits##_t value) { \
        *(volatile uint##bits##_t *)at = value; \
    }

SVSM_MMIO_TYPED(8)
SVSM_MMIO_TYPED(16)
SVSM_MMIO_TYPED(32)
SVSM_MMIO_TYPED(64)

enum { SVSM_MMIO_OK = 0, SVSM_MMIO_BAD_LENGTH = -1 };

/* One load of `length` bytes at `at`, stored at `data`, which need not be aligned. A length that is
   none of the four touches neither. */
SVSM_MMIO int svsm_mmio_read(const volatile void *at, void *data, size_t length) {
    uint64_t value;
    switch (length) {
    case 1: value = *(const volatile uint8_t *)at; break;
    case 2: value = *(const volatile uint16_t *)at; break;
    case 4: value = *(const volatile uint32_t *)at; break;
    case 8: value = *(const volatile uint64_t *)at; break;
    default: return SVSM_MMIO_BAD_LENGTH;
    }
    switch (length) {
    case 1: memcpy(data, &value, 1); break;
    case 2: memcpy(data, &value, 2); break;
    case 4: memcpy(data, &value, 4); break;
    default: memcpy(data, &value, 8); break;
    }
    return SVSM_MMIO_OK;
}

/* One store of the `length` bytes at `data`. */
SVSM_MMIO int svsm_mmio_write(volatile void *at, const void *data, size_t length) {
    uint64_t value = 0;
    switch (length) {
    case 1:
        memcpy(&value, data, 1);
        *(volatile uint8_t *)at = (uint8_t)value;
        break;
    case 2:
        memcpy(&value, data, 2);
        *(volatile uint16_t *)at = (uint16_t)value;
        break;
    case 4:
        memcpy(&value, data, 4);
        *(volatile uint32_t *)at = (uint32_t)value;
        break;
    case 8:
        memcpy(&value, data, 8);
        *(volatile uint64_t *)at = value;
        break;
    default: return SVSM_MMIO_BAD_LENGTH;
    }
    return SVSM_MMIO_OK;
}

#endif
