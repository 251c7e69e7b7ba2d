# cython: language_level=3, binding=True, embedsignature=False
"""What Python asks of a trap: to make one, arm it, and hand over what it has logged."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memcpy

import os

cdef extern from "trap.h" nogil:
    enum: COLUMNS
    enum: TRAP_PAGE
    enum: UNDECODED

    cdef struct reg:
        pass

    cdef struct device:
        reg *regs
        uint64_t count
        uint64_t *queue
        uint64_t answers
        uint64_t asked
        int scripted

    cdef struct access:
        pass

    cdef struct area:
        uint8_t *base
        size_t total
        size_t window
        device device
        access *log
        uint64_t capacity
        uint64_t logged
        uint32_t traps

    cdef struct operand:
        uint64_t at
        int access

    cdef struct insn:
        int form
        int length
        int width
        int operands
        operand operand[2]

    area *trap_new(size_t pages, uint64_t capacity, int step_always)
    void trap_free(area *area)
    int trap_arm(area *area)
    int trap_disarm(area *area)
    bint trap_holds()
    void *trap_stack()
    void trap_no_stack(void *stack)
    insn trap_decode(const uint8_t *code, uint64_t rip, const uint64_t *regs)


cdef class Area:
    """Pages that trap, their device and their log."""

    cdef area *at
    cdef void *stack
    cdef bint armed

    def __cinit__(self, size_t pages, uint64_t capacity, bint step_always,
                  const uint64_t[::1] rows, const uint64_t[::1] queue, bint scripted):
        self.at = trap_new(pages, capacity, step_always)
        if self.at is NULL:
            raise MemoryError(f"no memory for {pages} pages that trap and {capacity} accesses")
        cdef device *device = &self.at.device
        device.count = <uint64_t>rows.shape[0] // COLUMNS
        device.scripted = scripted
        device.answers = <uint64_t>queue.shape[0] if scripted else 0
        device.regs = <reg *>calloc(<size_t>rows.shape[0] + 1, 8)
        device.queue = <uint64_t *>calloc(<size_t>queue.shape[0] + 1, 8)
        if device.regs is NULL or device.queue is NULL:
            raise MemoryError("no memory for the registers")
        if rows.shape[0]:
            memcpy(device.regs, &rows[0], 8 * <size_t>rows.shape[0])
        if queue.shape[0]:
            memcpy(device.queue, &queue[0], 8 * <size_t>queue.shape[0])

    def __dealloc__(self):
        if self.at is not NULL:
            if self.armed:
                trap_disarm(self.at)
            trap_free(self.at)

    @property
    def address(self):
        """Where the window begins."""
        return <uint64_t>self.at.base + TRAP_PAGE

    @property
    def logged(self):
        """How many accesses there were, also those that the log had no room for."""
        return self.at.logged

    @property
    def asked(self):
        """How many answers of a script were taken."""
        return self.at.device.asked

    def arm(self):
        """Trap from now on; the signals are ours."""
        if self.armed:
            raise ValueError("the trap is armed already")
        cdef int error = trap_arm(self.at)
        if error:
            raise OSError(error, os.strerror(error))
        self.armed = True
        self.stack = trap_stack()

    def disarm(self):
        """Trap no more; who had the signals before has them again."""
        if not self.armed:
            return
        cdef int error = trap_disarm(self.at)
        self.armed = False
        trap_no_stack(self.stack)
        self.stack = NULL
        if error:
            raise OSError(error, os.strerror(error))

    def log(self):
        """The accesses in the order in which they were made, packed."""
        cdef uint64_t rows = min(self.at.logged, self.at.capacity)
        return PyBytes_FromStringAndSize(<char *>self.at.log, <Py_ssize_t>(rows * sizeof(access)))

    def forget(self):
        """Empty the log; the device stays as it is."""
        self.at.logged = self.at.traps = 0

    def rows(self):
        """The registers as they are now, packed as they were given."""
        cdef Py_ssize_t size = <Py_ssize_t>(8 * COLUMNS * self.at.device.count)
        return PyBytes_FromStringAndSize(<char *>self.at.device.regs, size)


def holds():
    """Whether the signals are ours, so that an access is trapped and not a crash."""
    return trap_holds()


def decode(bytes code, registers):
    """(width, ((address, access), ...)) of one instruction; None where it is not decoded.

    code: as it stands at address 0. registers: the sixteen general ones. access: 1 reads,
    2 writes, 3 both. Nothing is carried out.
    """
    cdef uint64_t regs[16]
    cdef uint8_t padded[32]
    cdef insn found
    cdef uint64_t value
    cdef int i
    if len(code) > 15:
        raise ValueError(f"code has {len(code)} bytes, must be 15 at most")
    if len(registers) != 16:
        raise ValueError(f"registers are {len(registers)}, must be 16")
    for i, value in enumerate(registers):
        regs[i] = value
    padded = [0] * 32
    memcpy(padded, <const char *>code, <size_t>len(code))
    found = trap_decode(padded, 0, regs)
    if found.form == UNDECODED:
        return None
    return found.width, tuple(
        [(found.operand[i].at, found.operand[i].access) for i in range(found.operands)]
    )
