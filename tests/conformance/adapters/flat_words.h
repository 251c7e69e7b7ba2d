struct flat {
    uint64_t base, pages, room;
    uint64_t *is;
};

static uint64_t words_of(uint64_t pages) { return (pages + 63) / 64; }

static void track(struct flat *f, uint64_t base, uint64_t pages)
{
    if (words_of(pages) > f->room) {
        f->room = words_of(pages);
        f->is = realloc(f->is, 8 * f->room);
    }
    f->base = base;
    f->pages = pages;
}

static int is(struct flat *f, uint64_t page) { return f->is[page / 64] >> page % 64 & 1; }

static uint64_t mask(uint64_t word, uint64_t first, uint64_t stop)
{
    uint64_t from = 64 * word, bits = ~0ull;
    if (first > from)
        bits &= ~0ull << (first - from);
    if (stop < from + 64)
        bits &= ~0ull >> (from + 64 - stop);
    return bits;
}

static void set(struct flat *f, uint64_t first, uint64_t stop, int to)
{
    for (uint64_t w = first / 64; 64 * w < stop; w++) {
        uint64_t bits = mask(w, first, stop);
        f->is[w] = to ? f->is[w] | bits : f->is[w] & ~bits;
    }
    if (first == 0 && stop == f->pages && stop % 64)
        f->is[stop / 64] &= ~0ull >> (64 - stop % 64);
}

static uint64_t held(struct flat *f, uint64_t first, uint64_t stop)
{
    uint64_t n = 0;
    for (uint64_t w = first / 64; 64 * w < stop; w++)
        n += (uint64_t)__builtin_popcountll(f->is[w] & mask(w, first, stop));
    return n;
}

static void take(void *self, const struct svsm_state *s)
{
    struct flat *f = self;
    track(f, s->base, s->pages);
    memcpy(f->is, s->words, 8 * words_of(s->pages));
}

static void show(void *self, struct svsm_state *s)
{
    struct flat *f = self;
    uint64_t n = words_of(f->pages);
    s->base = f->base;
    s->pages = f->pages;
    memcpy(s->words, f->is, 8 * (n < s->room ? n : s->room));
}
