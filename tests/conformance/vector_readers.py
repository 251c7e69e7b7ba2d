"""Implementations of one step, in C and in Rust, for the readers that docs/vectors.md shows."""

C = r"""
#include <stdint.h>
struct state { uint64_t base, pages, cap, mixed, most_runs, runs, edges[1 << 12]; };
static struct state now;
static int has(const struct state *s, uint64_t frame) {
    for (uint64_t i = 0; i < s->runs; i++)
        if (s->edges[2 * i] <= frame && frame < s->edges[2 * i + 1]) return 1;
    return 0;
}
static struct { uint64_t frame; int set; } more;
static void mine_reset(const struct state *s) { now = *s; more.set = 0; }
static uint64_t mine_claim_4k(uint64_t gpa) {
    uint64_t frame = gpa >> 12, first = now.base >> 12;
    if (gpa & 4095) return 1;
    if (gpa > UINT64_MAX - 4096) return 2;
    if (frame < first || frame - first >= now.pages) return 3;
    if (has(&now, frame)) return ALREADY;
    more.frame = frame, more.set = 1;
    return 0;
}
static int mine_is(const struct state *after) {
    uint64_t first = now.base >> 12;
    for (uint64_t f = first; f < first + now.pages; f++)
        if ((has(&now, f) || (more.set && more.frame == f)) != has(after, f)) return 0;
    return 1;
}
"""
RUST = r"""
pub struct State { pub base: u64, pub pages: u64, pub runs: Vec<(u64, u64)> }
pub struct Mine { base: u64, pages: u64, claimed: std::collections::BTreeSet<u64> }
fn frames(s: &State) -> std::collections::BTreeSet<u64> {
    s.runs.iter().flat_map(|&(first, stop)| first..stop).collect()
}
pub fn reset(s: &State) -> Mine { Mine { base: s.base, pages: s.pages, claimed: frames(s) } }
impl Mine {
    pub fn claim_4k(&mut self, gpa: u64) -> u64 {
        if gpa % 4096 != 0 { return 1; }
        if gpa.checked_add(4096).is_none() { return 2; }
        let (frame, first) = (gpa / 4096, self.base / 4096);
        if frame < first || frame - first >= self.pages { return 3; }
        if self.claimed.insert(frame) { 0 } else { ALREADY }
    }
    pub fn is(&self, s: &State) -> bool { self.claimed == frames(s) }
}
"""
