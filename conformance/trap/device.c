/* An access does what it does to every register that it touches, once a register. */

#include "device.h"

#include <string.h>

static uint64_t read_out(struct device *device, struct reg *reg) {
    uint64_t value = reg->value;
    switch (reg->kind) {
    case FIFO: return reg->next < reg->stop ? device->queue[reg->next++] : 0;
    case CLEAR_ON_READ: reg->value = 0; break;
    case DOORBELL: return 0;
    case COUNTER: reg->value += reg->step; break;
    default: break;
    }
    return value;
}

/* mask: the bits of the register that were written; value: what they were, else 0. */
static void written_to(struct reg *reg, uint64_t value, uint64_t mask) {
    switch (reg->kind) {
    case STORED: reg->value = (reg->value & ~mask) | value; break;
    case ONE_CLEARS: reg->value &= ~value; break;
    case DOORBELL: reg->value += 1; break;
    default: break;
    }
}

struct overlap {
    int64_t first, stop;  /* offsets in the window, half-open; empty where first >= stop */
};

static struct overlap overlap(const struct reg *reg, int64_t offset, int width) {
    int64_t begin = (int64_t)reg->offset, end = begin + (int64_t)reg->size;
    struct overlap both = {offset > begin ? offset : begin,
                           offset + width < end ? offset + width : end};
    return both;
}

static int takes(const struct reg *reg, int width) {
    return width < 64 && (reg->widths >> width & 1);
}

int device_read(struct device *device, int64_t offset, int width, uint8_t *data) {
    int64_t covered = 0, i;
    uint64_t n;
    memset(data, 0, (size_t)width);
    if (device->scripted) {
        if (device->asked == device->answers) {
            memset(data, 0xFF, (size_t)width);
            return 0;
        }
        memcpy(data, device->queue + device->asked++, width < 8 ? (size_t)width : 8);
        return 1;
    }
    for (n = 0; n < device->count; n++) {
        struct reg *reg = device->regs + n;
        struct overlap both = overlap(reg, offset, width);
        uint64_t value;
        if (both.first >= both.stop || !takes(reg, width)) continue;
        value = read_out(device, reg);
        for (i = both.first; i < both.stop; i++)
            data[i - offset] = (uint8_t)(value >> 8 * (i - (int64_t)reg->offset));
        covered += both.stop - both.first;
    }
    return covered == width;
}

int device_write(struct device *device, int64_t offset, int width, const uint8_t *data) {
    int64_t covered = 0, i;
    uint64_t n;
    if (device->scripted) return 1;
    for (n = 0; n < device->count; n++) {
        struct reg *reg = device->regs + n;
        struct overlap both = overlap(reg, offset, width);
        uint64_t value = 0, mask = 0;
        if (both.first >= both.stop || !takes(reg, width)) continue;
        for (i = both.first; i < both.stop; i++) {
            value |= (uint64_t)data[i - offset] << 8 * (i - (int64_t)reg->offset);
            mask |= (uint64_t)0xFF << 8 * (i - (int64_t)reg->offset);
        }
        written_to(reg, value, mask);
        covered += both.stop - both.first;
    }
    return covered == width;
}
