/* Ways to read and write a device register: one right, and what compilers and people make of it. */

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>

typedef volatile uint32_t reg32;
typedef volatile uint16_t reg16;
typedef volatile uint8_t reg8;

uint64_t right_read(reg32 *at) { return *at; }
void right_write(reg32 *at, uint32_t value) { *at = value; }

uint64_t halves_read(reg16 *at) { return at[0] | (uint32_t)at[1] << 16; }
void halves_write(reg16 *at, uint32_t value) {
    at[0] = (uint16_t)value;
    at[1] = (uint16_t)(value >> 16);
}

uint64_t double_read(reg32 *at) {
    while (!*at) {}
    return *at;
}

uint64_t byte_loop_read(reg8 *at) {
    uint32_t value = 0;
    int i;
    for (i = 0; i < 4; i++) value |= (uint32_t)at[i] << 8 * i;
    return value;
}
void byte_loop_write(reg8 *at, uint32_t value) {
    int i;
    for (i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}

void read_modify_write(reg32 *at, uint32_t value) { *at |= value; }

/* The length is not known where it is compiled, so this is a call of the library's. */
static volatile size_t four = 4;
uint64_t memcpy_read(void *at) {
    uint32_t value = 0;
    memcpy(&value, at, four);
    return value;
}
void memcpy_write(void *at, uint32_t value) { memcpy(at, &value, four); }

struct fields {
    uint32_t low : 5, middle : 13, high : 14;
};
void bit_field_write(volatile struct fields *at, uint32_t value) { at->middle = value & 0x1FFF; }

/* A structure that is copied as one is no access of any width that was promised. */
struct pair {
    uint32_t low, high;
};
uint64_t structure_read(volatile struct pair *at) {
    struct pair copy = *at;
    return copy.low;
}

/* Without volatile, nothing says how often a value is read. */
uint64_t not_volatile_read(uint32_t *at) {
    uint32_t first = *at, second = *at;
    return first + second;
}

/* What a FIFO gives, into memory, until there is nothing left. */
void drain(reg32 *at, uint32_t *into, uint32_t most) {
    while (most--) *into++ = *at;
}

/* A timer whose handler reads the register while it is being modified; how often it rang. */
static reg32 *rung_at;
static volatile uint32_t rung;
static void ring(int number) {
    (void)number;
    (void)*rung_at;
    rung++;
}
uint32_t modify_and_be_rung(reg32 *at, int times) {
    struct sigaction before, handler = {.sa_handler = ring};
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    rung_at = at;
    rung = 0;
    sigaction(SIGALRM, &handler, &before);
    setitimer(ITIMER_REAL, &often, NULL);
    while (times--) *at |= 1;
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    return rung;
}
