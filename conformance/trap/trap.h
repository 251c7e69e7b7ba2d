/* A page that traps: each load and store on it is decoded, answered by a device, and logged. */
#ifndef TRAP_TRAP_H
#define TRAP_TRAP_H

#if !defined(__linux__) || !defined(__x86_64__)
#error "the trap page needs Linux on x86-64"
#endif

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "device.h"

enum { LOG_READ, LOG_WRITE, LOG_UNDECODED };
enum { LOG_DATA = 64, TRAP_PAGE = 4096 };

/* One row of the log, read by Python as bytes. */
struct access {
    int64_t offset;     /* from the start of the window; outside of it in the guard pages */
    uint64_t rip;
    uint32_t trap;      /* which trap it was: one instruction may make two accesses */
    uint8_t kind, width;
    uint8_t taken;      /* the device has a register for it */
    uint8_t unused;
    uint8_t data[LOG_DATA];  /* the value; or, undecoded, `width` bytes of the instruction */
};

/* The window lies between two guard pages, so that what overlaps its ends is seen as well. */
struct area {
    uint8_t *base;
    size_t total, window;
    struct device device;
    struct access *log;
    uint64_t capacity, logged;  /* logged may be above the capacity; the rest is lost */
    uint32_t traps;
    int step_always;
    atomic_int lock;
};

struct area *trap_new(size_t pages, uint64_t capacity, int step_always);
void trap_free(struct area *area);

/* For the handler, which holds the area's lock. The first two ask the device, and log. */
void trap_read(struct area *area, uint64_t at, uint64_t rip, int width, uint8_t *data);
void trap_write(struct area *area, uint64_t at, uint64_t rip, int width, const uint8_t *data);
void trap_note(
    struct area *area, uint64_t at, uint64_t rip, int kind, int width, int taken, const void *data
);

/* 0, or an errno. Both are called with the GIL held, so one at a time. */
int trap_arm(struct area *area);
int trap_disarm(struct area *area);

/* Whether our handler is the process's, so that accesses are trapped. */
int trap_holds(void);

/* An alternate signal stack for this thread, if it has none; NULL otherwise. */
void *trap_stack(void);
void trap_no_stack(void *stack);

#endif
