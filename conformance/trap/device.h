/* Registers with side effects, as a table: what a device answers while Python cannot be asked. */
#ifndef TRAP_DEVICE_H
#define TRAP_DEVICE_H

#include <stdint.h>

enum kind { STORED, FIFO, CLEAR_ON_READ, ONE_CLEARS, DOORBELL, COUNTER };

/* One row of the table that Python packs; `COLUMNS` words. */
struct reg {
    uint64_t offset, size;  /* in bytes; size is at most 8 */
    uint64_t widths;        /* bit n: accesses of n bytes are taken; others read 0, write nothing */
    uint64_t kind, value;
    uint64_t step;          /* COUNTER: what a read adds */
    uint64_t next, stop;    /* FIFO: its values in `queue` */
};
enum { COLUMNS = 8 };

struct device {
    struct reg *regs;
    uint64_t count;
    uint64_t *queue;
    uint64_t answers;  /* values at the start of `queue` that reads take in order; else no script */
    uint64_t asked;    /* of these, how many were */
    int scripted;
};

/* Both say 1 where every byte belongs to a register that takes this width. */
int device_read(struct device *device, int64_t offset, int width, uint8_t *data);
int device_write(struct device *device, int64_t offset, int width, const uint8_t *data);

#endif
