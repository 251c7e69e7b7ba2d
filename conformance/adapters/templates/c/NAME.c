/*
 * {name} beside the rules of svsm-conformance:
 *
 *     make -C {name} && svsm-conformance conform --device c:{name}/{name}.so
 *
 * The words below are a stand-in for your own record of validated pages. Put yours in their place,
 * and let `load` put it into a state and `observe` tell what it holds. Then write one function of
 * struct svsm_record after another, such as
 *
 *     static svsm_status claim_4k(void *self, uint64_t gpa)
 *
 * put it into the table at the end, and name its rule among the claims. What it has to do is told by
 *
 *     svsm-conformance explain validation.bitmap.claim_4k
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "svsm_conformance.h"

/* The pages of one region: bit p % 64 of words[p / 64] is page p. */
struct record {
    uint64_t base;
    uint64_t pages;
    uint64_t *words;
};

static uint64_t words_of(uint64_t pages)
{
    return pages / 64 + (pages % 64 != 0);
}

static void *make(void)
{
    return calloc(1, sizeof(struct record));
}

static void drop(void *self)
{
    struct record *r = self;

    free(r->words);
    free(r);
}

static void load(void *self, const struct svsm_state *state)
{
    struct record *r = self;
    uint64_t words = words_of(state->pages);

    free(r->words);
    r->base = state->base;
    r->pages = state->pages;
    r->words = calloc(words + 1, sizeof *r->words);
    if (r->words == NULL)
        abort();
    memcpy(r->words, state->words, words * sizeof *r->words);
}

static void observe(void *self, struct svsm_state *state)
{
    struct record *r = self;
    uint64_t words = words_of(r->pages);

    state->base = r->base;
    state->pages = r->pages;
    /* More words than there is room for are of a region that was not asked for; pages tells. */
    if (words > state->room)
        words = state->room;
    memcpy(state->words, r->words, words * sizeof *r->words);
}

/* The rules that are claimed; what is not claimed is told as "not claimed". */
static const char *const claims[] = {
    NULL,
};

static const struct svsm_record bitmap = {
    .policy = {
        .cap_pages = UINT64_C(1) << 28,
        .mixed_2m = SVSM_MIXED,
        .most_runs = SVSM_ANY_RUNS,
    },
    .make = make,
    .drop = drop,
    .load = load,
    .observe = observe,
};

static const struct svsm_library library = {
    .name = "{name}",
    .claims = claims,
    .bitmap = &bitmap,
};

SVSM_CONFORMANCE_EXPORT(library)
