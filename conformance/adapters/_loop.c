/*
 * Many traces on somebody's library, a step at a time or a trace at a time, without leaving C.
 *
 * Before each step its number is written down where the suite sees it even when this process dies.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "include/svsm_conformance.h"

#define EXPORTED __attribute__((visibility("default")))

/* What one step answers; words: where exports and imports read and write. */
static void one(const struct svsm_record *r, void *self, const struct svsm_step *s,
                uint64_t *words, struct svsm_answer *answer)
{
    uint64_t value = 0;
    svsm_status status = 0;

    switch (s->rule) {
    case SVSM_CREATE:
        status = r->create(self, s->a, s->b, s->c != 0, &value);
        break;
    case SVSM_FILL:
        status = r->fill(self, s->a != 0);
        break;
    case SVSM_CLAIM_4K:
        status = r->claim_4k(self, s->a);
        break;
    case SVSM_CLAIM_2M:
        status = r->claim_2m(self, s->a);
        break;
    case SVSM_CLAIM_RANGE:
        status = r->claim_range(self, s->a, s->b);
        break;
    case SVSM_RELEASE_4K:
        status = r->release_4k(self, s->a);
        break;
    case SVSM_RELEASE_2M:
        status = r->release_2m(self, s->a);
        break;
    case SVSM_RELEASE_RANGE:
        status = r->release_range(self, s->a, s->b);
        break;
    case SVSM_QUERY:
        status = r->query(self, s->a, &value);
        break;
    case SVSM_TEST_RANGE:
        status = r->test_range(self, s->a, s->b, &value);
        break;
    case SVSM_COUNT:
        status = r->count(self, s->a, s->b, &value);
        break;
    case SVSM_FIRST_UNCLAIMED:
        status = r->first_unclaimed(self, s->a, s->b, &value);
        break;
    case SVSM_EXPORT_WORDS:
        status = r->export_words(self, words + s->b, s->a);
        break;
    case SVSM_IMPORT_WORDS:
        status = r->import_words(self, words + s->b, s->a);
        break;
    default:
        break;
    }
    answer->status = status;
    answer->value = status == 0 ? value : 0;
}

/*
 * starts: for each lane base, pages, most_runs, and width words. shown: for each step 2 + width.
 * done: the lane, and the steps of it that are done.
 */
EXPORTED void svsm_loop(const struct svsm_record *r, void *self, uint64_t lanes, uint64_t steps,
                        uint64_t width, uint64_t room, uint64_t *starts,
                        const struct svsm_step *ops, uint64_t *words,
                        struct svsm_answer *answers, uint64_t *shown, volatile uint64_t *done)
{
    memset(shown, 0, lanes * steps * (2 + width) * sizeof *shown);
    for (uint64_t lane = 0; lane < lanes; lane++) {
        uint64_t *from = starts + lane * (3 + width);
        struct svsm_state start = {from[0], from[1], from[2], from + 3, width};
        const struct svsm_step *its = ops + lane * steps;
        uint64_t *held = words + lane * room;
        struct svsm_answer *told = answers + lane * steps;
        uint64_t *row = shown + lane * steps * (2 + width);

        done[0] = lane;
        done[1] = 0;
        r->load(self, &start);
        if (r->run) {
            r->run(self, its, steps, held, told, row, width, done + 1);
            continue;
        }
        for (uint64_t step = 0; step < steps; step++, row += 2 + width) {
            struct svsm_state after = {0, 0, from[2], row + 2, width};

            done[1] = step;
            one(r, self, its + step, held, told + step);
            r->observe(self, &after);
            row[0] = after.base;
            row[1] = after.pages;
        }
    }
    done[0] = lanes;
}

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_loop", "Traces in bulk; called by cffi.", 0, 0, 0, 0, 0, 0,
};

PyMODINIT_FUNC PyInit__loop(void)
{
    return PyModule_Create(&module);
}
