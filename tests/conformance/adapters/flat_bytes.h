struct flat {
    uint64_t base, pages;
    uint8_t *is;
};

static void track(struct flat *f, uint64_t base, uint64_t pages)
{
    f->is = realloc(f->is, pages ? pages : 1);
    f->base = base;
    f->pages = pages;
}

static int is(struct flat *f, uint64_t page) { return f->is[page]; }

static void set(struct flat *f, uint64_t first, uint64_t stop, int to)
{
    memset(f->is + first, to, stop - first);
}

static uint64_t held(struct flat *f, uint64_t first, uint64_t stop)
{
    uint64_t n = 0;
    for (uint64_t p = first; p < stop; p++)
        n += f->is[p];
    return n;
}

static void take(void *self, const struct svsm_state *s)
{
    struct flat *f = self;
    track(f, s->base, s->pages);
    for (uint64_t p = 0; p < s->pages; p++)
        f->is[p] = s->words[p / 64] >> p % 64 & 1;
}

static void show(void *self, struct svsm_state *s)
{
    struct flat *f = self;
    s->base = f->base;
    s->pages = f->pages;
    for (uint64_t w = 0; w < (f->pages + 63) / 64 && w < s->room; w++) {
        uint64_t word = 0;
        for (uint64_t b = 0; b < 64 && 64 * w + b < f->pages; b++)
            word |= (uint64_t)f->is[64 * w + b] << b;
        s->words[w] = word;
    }
}
