/*
 * Traces drawn and taken by the rules, compiled: what stands at RULES_HERE is made of the rules
 * themselves, one function for each, by conformance/adapters/emit.py.
 *
 * A set of frames is a row of words: bit i of word j is frame origin + 64 * j + i.
 */
#include <stdint.h>
#include <string.h>

typedef uint64_t u64;
typedef int64_t i64;

#define MOST_WIDTH 512
#define UNWRITTEN 0xD1CED1CED1CED1CEull
#define ALL (~(u64)0)

typedef struct {
    u64 origin, width;
    u64 *rows;
} set;

typedef struct {
    u64 base, pages, cap_pages, mixed_2m, most_runs;
    set claimed;
} state;

/* What a step does. out: where an export writes. */
typedef struct {
    u64 outcome, value;
    u64 *out;
} result;

static u64 left(u64 term, u64 amount) { return amount < 64 ? term << amount : 0; }
static u64 right(u64 term, u64 amount) { return amount < 64 ? term >> amount : 0; }
static u64 below_bit(u64 place) { return place >= 64 ? ALL : ((u64)1 << place) - 1; }

/* The bit of a frame, clipped to the row. */
static u64 place_of(const set *s, u64 frame)
{
    u64 bits = 64 * s->width;
    if (frame < s->origin)
        return 0;
    return frame - s->origin < bits ? frame - s->origin : bits;
}

/* The bits of word `at` that are in [low, high). */
static u64 mask(u64 at, u64 low, u64 high)
{
    u64 first = 64 * at;
    u64 upper = high <= first ? 0 : below_bit(high - first);
    u64 lower = low <= first ? 0 : below_bit(low - first);
    return upper & ~lower;
}

#define EACH(s, first, stop)                                                                       \
    u64 low = place_of(s, first), high = place_of(s, stop);                                        \
    for (u64 at = low / 64; at < (s)->width && 64 * at < high; at++)

static u64 word_at(const u64 *words, const set *s, u64 at) { return at <= s->width ? words[at] : 0; }

static int has(const set *s, u64 page)
{
    u64 place = page - s->origin;
    return place / 64 < s->width && (s->rows[place / 64] >> place % 64 & 1);
}

static int none(const set *s, u64 first, u64 stop)
{
    EACH(s, first, stop) if (s->rows[at] & mask(at, low, high)) return 0;
    return 1;
}

static int all(const set *s, u64 first, u64 stop)
{
    EACH(s, first, stop) if (~s->rows[at] & mask(at, low, high)) return 0;
    return 1;
}

static u64 count(const set *s, u64 first, u64 stop)
{
    u64 found = 0;
    EACH(s, first, stop) found += (u64)__builtin_popcountll(s->rows[at] & mask(at, low, high));
    return found;
}

static u64 lowest_missing(const set *s, u64 first, u64 stop)
{
    EACH(s, first, stop)
    {
        u64 missing = ~s->rows[at] & mask(at, low, high);
        if (missing)
            return s->origin + 64 * at + (u64)__builtin_ctzll(missing);
    }
    return 0;
}

static u64 runs_in(const set *s, u64 first, u64 stop)
{
    u64 found = 1;
    EACH(s, first, stop)
    {
        u64 carried = at ? s->rows[at - 1] >> 63 : 0;
        u64 flips = s->rows[at] ^ (s->rows[at] << 1 | carried);
        found += (u64)__builtin_popcountll(flips & mask(at, low, high));
    }
    return found;
}

static void put(set *s, u64 first, u64 stop, int value)
{
    EACH(s, first, stop)
    {
        u64 bits = mask(at, low, high);
        s->rows[at] = value ? s->rows[at] | bits : s->rows[at] & ~bits;
    }
}

static void clear(set *s, u64 origin)
{
    s->origin = origin;
    memset(s->rows, 0, s->width * sizeof *s->rows);
}

static void unpack(set *s, const u64 *words, u64 pages)
{
    for (u64 at = 0; at < s->width; at++) {
        u64 bits = mask(at, 0, pages);
        s->rows[at] = bits ? words[at] & bits : 0;
    }
}

static void copy(set *to, const set *from, u64 *rows)
{
    *to = *from;
    to->rows = rows;
    memcpy(rows, from->rows, from->width * sizeof *rows);
}

/* RULES_HERE */

/* Drawing, near the edges where implementations err. */

static u64 now;

static u64 next(void)
{
    u64 z = now += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

static u64 to(u64 most) { return most ? (u64)((unsigned __int128)next() * most >> 64) : 0; }
static int once_in(u64 times) { return to(times) == 0; }

#define TOP_FRAME ((u64)1 << 52)
#define LIMIT_FRAME ((u64)1 << 40)

static u64 draw_pages(u64 width)
{
    static const u64 beside[] = {0, 1, 63, 64};
    u64 pages = once_in(2) ? 1 + to(64 * width) : 64 * to(width) + beside[to(4)];
    return pages < 1 ? 1 : pages > 64 * width ? 64 * width : pages;
}

static u64 draw_base(u64 pages)
{
    u64 anywhere = to((u64)1 << 30);
    switch (to(10)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return anywhere & ~(u64)511;
    case 3:
        return LIMIT_FRAME - pages;
    default:
        return anywhere;
    }
}

static void draw_rows(u64 *rows, u64 width)
{
    set s = {0, width, rows};
    u64 kind = to(8), one = to(64 * width), two = to(64 * width + 1);
    for (u64 at = 0; at < width; at++)
        rows[at] = kind == 1 || kind == 5 || kind == 7 ? ALL
                   : kind == 2 || kind == 3            ? next()
                                                       : 0;
    if (kind == 4 || kind == 5)
        put(&s, one < two ? one : two, one < two ? two : one, kind == 4);
    if (kind == 6 || kind == 7)
        put(&s, one, one + 1, kind == 6);
}

static void draw_runs(u64 *rows, u64 width, u64 most)
{
    set s = {0, width, rows};
    int often = once_in(2);
    memset(rows, 0, width * sizeof *rows);
    for (u64 n = 1; n < most; n++) {
        u64 near = to(64 * width) & (once_in(2) ? ALL : ~(u64)63);
        if (often || once_in(3))
            for (u64 at = near / 64; at < s.width; at++)
                rows[at] ^= mask(at, near, 64 * width);
    }
}

static u64 next_flip(const state *s, u64 frame)
{
    u64 stop = (s->base >> 12) + s->pages;
    int is = has(&s->claimed, frame);
    for (u64 page = frame + 1; page < stop && page < frame + 4096; page++) {
        if (has(&s->claimed, page) != is)
            return page;
        if (page % 64 == s->claimed.origin % 64 && page + 64 < stop) {
            u64 word = s->claimed.rows[(page - s->claimed.origin) / 64];
            if (word == (is ? ALL : 0))
                page += 63;
        }
    }
    return stop;
}

static u64 draw_frame(const state *s)
{
    u64 first = s->base >> 12, inside = first + to(s->pages), near = to(3) - 1, kind = to(100);
    if (kind < 30)
        return inside;
    if (kind < 55)
        return (first + ((inside - first) & ~(u64)63) + near) & (TOP_FRAME - 1);
    if (kind < 75)
        return ((once_in(2) ? first : first + s->pages) + near) & (TOP_FRAME - 1);
    if (kind < 95)
        return (next_flip(s, inside) + (kind < 90 ? 0 : near)) & (TOP_FRAME - 1);
    return kind < 98 ? to(TOP_FRAME) : TOP_FRAME - 1;
}

static u64 address(u64 frame)
{
    static const u64 odd[] = {1, 0x800, 0xFFF};
    return frame << 12 | (once_in(16) ? odd[to(3)] : 0);
}

static void draw_at(const state *s, u64 *o, int large)
{
    u64 frame = draw_frame(s), kind = to(10);
    if (large && kind < 7) {
        u64 low = ((s->base >> 12) + 511) & ~(u64)511, end = (s->base >> 12) + s->pages;
        frame = (low + 512 * to((end > low ? (end - low) / 512 : 0) + 1)) & (TOP_FRAME - 1);
    } else if (large && kind < 9) {
        frame &= ~(u64)511;
    }
    o[0] = address(frame);
}

static void draw_between(const state *s, u64 *o)
{
    static const u64 lengths[] = {0, 1, 2, 63, 64, 65, 128, 512, 4096};
    u64 one = draw_frame(s);
    u64 two = once_in(2) ? (one + lengths[to(9)]) & (TOP_FRAME - 1) : draw_frame(s);
    if (!once_in(25) == (two < one)) {
        u64 kept = one;
        one = two;
        two = kept;
    }
    if (once_in(12)) {
        one = s->base >> 12;
        two = one + s->pages;
    }
    o[0] = address(one);
    o[1] = address(two);
}

static void draw_create(const state *s, u64 *o, u64 width)
{
    u64 pages = draw_pages(width), frame = draw_base(pages), odd = 0;
    switch (to(20)) {
    case 0:
        odd = 0x10;
        break;
    case 1:
        pages = 0;
        break;
    case 2:
        frame = TOP_FRAME - 1;
        break;
    case 3:
        frame = LIMIT_FRAME - 1;
        pages++;
        break;
    case 4:
        pages = s->cap_pages + 1;
        break;
    default:
        break;
    }
    if (pages > s->cap_pages && pages <= 64 * width)
        pages = s->cap_pages + 1;
    o[0] = frame << 12 | odd;
    o[1] = pages;
    o[2] = once_in(2);
}

static u64 draw_length(const state *s, u64 width)
{
    u64 length = (s->pages + 63) / 64;
    if (once_in(7))
        length = once_in(2) ? length + 1 : length ? length - 1 : 0;
    return length < width + 1 ? length : width + 1;
}

static void draw_words(const state *s, u64 *words, u64 width)
{
    draw_rows(words, width);
    words[width] = 0;
    if (!once_in(7))
        for (u64 at = 0; at < width; at++)
            words[at] &= mask(at, 0, s->pages);
}

/* A step of a rule with a number; room is left for `free` words at `where`. */
static void draw_step(const state *s, u64 *op, u64 rule, u64 width, u64 where, u64 *words)
{
    u64 *o = op + 1;
    op[0] = rule;
    op[1] = op[2] = op[3] = 0;
    switch (KIND[rule]) {
    case OF_CREATE:
        draw_create(s, o, width);
        break;
    case OF_FILL:
        o[0] = once_in(2);
        break;
    case OF_AT:
        draw_at(s, o, rule == RULE_CLAIM_2M || rule == RULE_RELEASE_2M);
        break;
    case OF_BETWEEN:
        draw_between(s, o);
        break;
    case OF_IMPORT:
        draw_words(s, words + where, width);
        /* fall through */
    default:
        o[0] = draw_length(s, width);
        o[1] = where;
        break;
    }
}

static void draw_start(state *s, u64 *start, u64 width)
{
    u64 pages = draw_pages(width);
    set whole = {0, width, start + 3};
    pages = pages < s->cap_pages ? pages : s->cap_pages;
    start[0] = draw_base(pages) << 12;
    start[1] = pages;
    start[2] = s->most_runs;
    if (s->most_runs == ALL)
        draw_rows(start + 3, width);
    else
        draw_runs(start + 3, width, s->most_runs);
    put(&whole, pages, 64 * width, 0);
}

__attribute__((visibility("default"))) void svsm_traces(
    u64 seed, const u64 *rules, u64 rule_count, const u64 *policy, u64 lanes, u64 steps, u64 width,
    u64 room, u64 *starts, u64 *ops, u64 *words, u64 *outcomes, u64 *values, u64 *after, u64 *shown,
    u64 *cases)
{
    u64 rows[MOST_WIDTH];
    now = seed;
    for (u64 at = 0; at < lanes * room; at++)
        words[at] = UNWRITTEN;
    memset(shown, 0, lanes * steps * (2 + width) * sizeof *shown);
    for (u64 lane = 0; lane < lanes; lane++) {
        u64 *start = starts + lane * (3 + width), *its = words + lane * room, used = 0;
        state s = {0, 0, policy[0], policy[1], policy[2], {0, width, rows}};
        draw_start(&s, start, width);
        s.base = start[0];
        s.pages = start[1];
        s.claimed.origin = s.base >> 12;
        memcpy(rows, start + 3, width * sizeof *rows);
        for (u64 step = 0; step < steps; step++) {
            u64 at = lane * steps + step, *op = ops + 4 * at, *row = shown + at * (2 + width);
            result r = {0, 0, 0};
            u64 rule = rules[to(rule_count)];
            for (int again = 0; again < 64 && TAKES_WORDS(rule) && used + width + 1 > room; again++)
                rule = rules[to(rule_count)];
            for (u64 n = 0; n < rule_count && TAKES_WORDS(rule) && used + width + 1 > room; n++)
                rule = rules[n];
            if (step && ops[4 * (at - 1)] == rule && !TAKES_WORDS(rule) && once_in(4))
                memcpy(op, op - 4, 4 * sizeof *op);
            else
                draw_step(&s, op, rule, width, used, its);
            /* What an export writes is what it leaves: apart, until all is drawn. */
            r.out = after + lane * room + used;
            if (TAKES_WORDS(rule)) {
                memcpy(r.out, its + used, (width + 1) * sizeof *its);
                used += width + 1;
            }
            cases[at] = RULES[rule](&s, op + 1, its + op[2], &r);
            outcomes[at] = r.outcome;
            values[at] = r.outcome ? 0 : r.value;
            row[0] = s.base;
            row[1] = s.pages;
            memcpy(row + 2, rows, width * sizeof *rows);
        }
        for (u64 at = used; at < room; at++)
            after[lane * room + at] = UNWRITTEN;
    }
}

/* Which lanes differ in anything; codes: a device's own, with what they mean. */
__attribute__((visibility("default"))) u64 svsm_compare(
    u64 lanes, u64 steps, u64 width, u64 room, const i64 *codes, const i64 *means, u64 code_count,
    const u64 *outcomes, const u64 *values, const u64 *after, const u64 *shown, const u64 *answers,
    const u64 *words, const u64 *showed, uint8_t *wrong)
{
    u64 found = 0, row = steps * (2 + width);
    for (u64 lane = 0; lane < lanes; lane++) {
        int bad = memcmp(after + lane * room, words + lane * room, room * sizeof *words) != 0;
        bad |= memcmp(shown + lane * row, showed + lane * row, row * sizeof *showed) != 0;
        for (u64 at = lane * steps; at < (lane + 1) * steps && !bad; at++) {
            i64 said = (i64)answers[2 * at];
            for (u64 n = 0; said && n < code_count; n++)
                if (codes[n] == said) {
                    said = means[n];
                    break;
                }
            bad |= said != (i64)outcomes[at] || (!said && answers[2 * at + 1] != values[at]);
        }
        wrong[lane] = (uint8_t)bad;
        found += (u64)bad;
    }
    return found;
}
