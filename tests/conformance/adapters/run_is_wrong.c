/* The bitmap of flat.c, whose whole traces are no traces. */
#define RUN run
#include <stdint.h>
#include <stdlib.h>

#include "svsm_conformance.h"

static void run(void *self, const struct svsm_step *steps, uint64_t count, uint64_t *words,
                struct svsm_answer *answers, uint64_t *shown, uint64_t width,
                volatile uint64_t *done)
{
    (void)self, (void)steps, (void)count, (void)words, (void)answers, (void)shown, (void)width;
    *done = 1;
#ifdef DIES
    abort();
#endif
}

#include "flat.c"
