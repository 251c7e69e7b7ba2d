/* Functions that an audit cannot decide, and says so. */

#include <stdint.h>

#define V(type, p) (*(volatile type *)(p))

extern int elsewhere(void);
extern __thread uint32_t kept;

static inline __attribute__((always_inline)) void gone(void *mmio, uint32_t value) {
    V(uint32_t, mmio) = value;
}
void right_caller(void *mmio, uint32_t value) { gone(mmio, value); }

void odd_float(void *mmio, double value) { V(uint32_t, mmio) = (uint32_t)value; }
void odd_thread(void *mmio) { V(uint32_t, mmio) = kept; }
void odd_elsewhere(void *mmio) { (void)mmio; elsewhere(); }
void odd_long(void *mmio, uint64_t value) {
    for (uint64_t i = 0; i < value; i++) __asm__ volatile("" : "+r"(i));
    V(uint32_t, mmio) = (uint32_t)value;
}
void odd_trap(void *mmio) { (void)mmio; __builtin_trap(); }
void odd_pointer(void *mmio) { (void)mmio; V(uint32_t, 0x1000) = 1; }
void odd_circle(void *mmio, uint32_t value) { V(uint32_t, mmio) = value; for (;;) { } }
