# cython: language_level=3
"""The C names of the accessors to device registers; `_mmio.h` says what each of them does."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "_mmio.h" nogil:
    uint8_t svsm_mmio_read_u8(const void *at)
    uint16_t svsm_mmio_read_u16(const void *at)
    uint32_t svsm_mmio_read_u32(const void *at)
    uint64_t svsm_mmio_read_u64(const void *at)
    void svsm_mmio_write_u8(void *at, uint8_t value)
    void svsm_mmio_write_u16(void *at, uint16_t value)
    void svsm_mmio_write_u32(void *at, uint32_t value)
    void svsm_mmio_write_u64(void *at, uint64_t value)
    int svsm_mmio_read(const void *at, void *data, size_t length)
    int svsm_mmio_write(void *at, const void *data, size_t length)
