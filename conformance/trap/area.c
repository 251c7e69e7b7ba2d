/* What a trap holds: its pages, its device, its log; and a stack for the handler. */

#define _GNU_SOURCE
#include "trap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { STACK = 1 << 16 };

struct area *trap_new(size_t pages, uint64_t capacity, int step_always) {
    struct area *area = calloc(1, sizeof *area);
    void *base;
    if (!area) return NULL;
    area->window = pages * TRAP_PAGE;
    area->total = area->window + 2 * TRAP_PAGE;
    area->capacity = capacity;
    area->step_always = step_always;
    area->log = calloc(capacity, sizeof *area->log);
    base = mmap(NULL, area->total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    area->base = base == MAP_FAILED ? NULL : base;
    if (!area->log || !area->base) {
        trap_free(area);
        return NULL;
    }
    return area;
}

void trap_free(struct area *area) {
    if (!area) return;
    if (area->base) (void)munmap(area->base, area->total);
    free(area->device.regs);
    free(area->device.queue);
    free(area->log);
    free(area);
}

/* A stack that overflows leaves no room for a handler, ours or the one that we pass it on to. */
void *trap_stack(void) {
    stack_t now, ours = {.ss_size = STACK};
    if (sigaltstack(NULL, &now) || !(now.ss_flags & SS_DISABLE)) return NULL;
    ours.ss_sp = malloc(STACK);
    if (ours.ss_sp && sigaltstack(&ours, NULL)) {
        free(ours.ss_sp);
        return NULL;
    }
    return ours.ss_sp;
}

/* Where it is not this thread's any more, somebody may yet come back to it, so it is kept. */
void trap_no_stack(void *stack) {
    stack_t now, none = {.ss_flags = SS_DISABLE};
    if (!stack || sigaltstack(NULL, &now) || now.ss_sp != stack) return;
    if (!sigaltstack(&none, NULL)) free(stack);
}

static int64_t offset_of(const struct area *area, uint64_t at) {
    return (int64_t)(at - (uint64_t)(uintptr_t)area->base) - TRAP_PAGE;
}

void trap_note(
    struct area *area, uint64_t at, uint64_t rip, int kind, int width, int taken, const void *data
) {
    uint64_t row = area->logged++;
    struct access *access = area->log + row;
    if (row >= area->capacity) return;
    access->offset = offset_of(area, at);
    access->rip = rip;
    access->trap = area->traps;
    access->kind = (uint8_t)kind;
    access->width = (uint8_t)width;
    access->taken = (uint8_t)taken;
    memcpy(access->data, data, (size_t)width);
    memset(access->data + width, 0, (size_t)(LOG_DATA - width));
}

/* The guard pages are no device's. */
static int in_window(const struct area *area, int64_t offset, int width) {
    return offset >= 0 && offset + width <= (int64_t)area->window;
}

void trap_read(struct area *area, uint64_t at, uint64_t rip, int width, uint8_t *data) {
    int64_t offset = offset_of(area, at);
    int taken = 0;
    if (in_window(area, offset, width))
        taken = device_read(&area->device, offset, width, data);
    else
        memset(data, 0, (size_t)width);
    trap_note(area, at, rip, LOG_READ, width, taken, data);
}

void trap_write(struct area *area, uint64_t at, uint64_t rip, int width, const uint8_t *data) {
    int64_t offset = offset_of(area, at);
    int taken = in_window(area, offset, width) &&
                device_write(&area->device, offset, width, data);
    trap_note(area, at, rip, LOG_WRITE, width, taken, data);
}
