"""Implementations for emitted tests: right, and with `BROKEN` wrong in one place."""

C = r"""
#include <stdlib.h>
#include <string.h>
#include "svsm_conformance.h"
#ifndef BROKEN
#define BROKEN 0
#endif
static const struct svsm_error OWN[] = {{-5, SVSM_ALREADY_CLAIMED}};
static struct { uint64_t base, pages, words[64]; } r;
static void *make(void) { return &r; }
static void drop(void *self) { (void)self; }
static void load(void *self, const struct svsm_state *s) {
    (void)self;
    r.base = s->base, r.pages = s->pages;
    memset(r.words, 0, sizeof r.words);
    memcpy(r.words, s->words, (s->pages + 63) / 64 * 8);
}
static void observe(void *self, struct svsm_state *s) {
    (void)self;
    s->base = r.base, s->pages = r.pages;
    memcpy(s->words, r.words, (r.pages + 63) / 64 * 8);
}
static svsm_status at(uint64_t gpa, uint64_t *page) {
    if (gpa % 4096) return SVSM_MISALIGNED;
    if (gpa > UINT64_MAX - 4096) return SVSM_WRAPS;
    if (gpa < r.base || (gpa - r.base) / 4096 >= r.pages) return SVSM_OUTSIDE;
    *page = (gpa - r.base) / 4096;
    return 0;
}
static svsm_status claim(void *self, uint64_t gpa) {
    uint64_t p = 0;
    svsm_status status = at(gpa, &p);
    (void)self;
    if (status) return status;
    if (r.words[p / 64] >> p % 64 & 1) return BROKEN ? 0 : -5;
    r.words[p / 64] |= UINT64_C(1) << p % 64;
    return 0;
}
static svsm_status query(void *self, uint64_t gpa, uint64_t *claimed) {
    uint64_t p = 0;
    svsm_status status = at(gpa, &p);
    (void)self;
    if (!status) *claimed = r.words[p / 64] >> p % 64 & 1;
    return status;
}
static svsm_status export(void *self, uint64_t *words, uint64_t length) {
    (void)self;
    if (length != (r.pages + 63) / 64) return SVSM_WRONG_LENGTH;
    memcpy(words, r.words, length * 8);
    return 0;
}
static svsm_status carve(const struct svsm_entry *e, uint64_t n, const struct svsm_range *k,
                         const struct svsm_range *region, uint64_t low, struct svsm_range *guest,
                         uint64_t room, uint64_t *count) {
    struct svsm_range cuts[2] = {*k, *region};
    (void)low, (void)room;
    *count = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (e[i].type) continue;
        for (uint64_t p = e[i].first; p < e[i].stop; p++) {
            bool kept = false;
            for (int c = 0; c < (BROKEN ? 1 : 2); c++)
                kept |= cuts[c].first <= p && p < cuts[c].stop;
            if (kept) continue;
            if (*count && guest[*count - 1].stop == p) guest[*count - 1].stop++;
            else guest[*count] = (struct svsm_range){p, p + 1}, ++*count;
        }
    }
    return 0;
}
static const struct svsm_bus *bus;
static uint64_t gpa_of, backend;
static void *machine(uint64_t which, const struct svsm_bus *b, uint64_t limit) {
    (void)limit;
    bus = b, backend = which;
    return &gpa_of;
}
static uint64_t none(void *self, struct svsm_slot *slots, uint64_t room) {
    (void)self, (void)slots, (void)room;
    return 0;
}
static svsm_status opened(void *self, uint64_t slot, uint64_t gpa, uint64_t size, uint64_t *pages) {
    (void)self, (void)slot;
    gpa_of = backend == SVSM_BUS ? bus->map(bus->host, gpa / 4096, size / 4096) : gpa;
    *pages = size / 4096;
    return 0;
}
static svsm_status read_u64(void *self, uint64_t slot, uint64_t offset, uint64_t *value) {
    (void)self, (void)slot;
    if (BROKEN)
        *value = bus->load(bus->host, gpa_of + offset, 4) |
                 bus->load(bus->host, gpa_of + offset + 4, 4) << 32;
    else
        *value = bus->load(bus->host, gpa_of + offset, 8);
    return 0;
}
static const struct svsm_record RECORD = {
    .errors = {OWN, 1}, .policy = {1 << 20, SVSM_MIXED, SVSM_ANY_RUNS}, .make = make, .drop = drop,
    .load = load, .observe = observe, .claim_4k = claim, .query = query, .export_words = export};
static const struct svsm_handoff HANDOFF = {.carve = carve};
static const struct svsm_mmio MMIO = {.backends = SVSM_BUS, .make = machine, .drop = drop,
                                      .slots = none, .open = opened, .read_u64 = read_u64};
static const struct svsm_library LIBRARY = {
    .name = "small", .bitmap = &RECORD, .handoff = &HANDOFF, .mmio = &MMIO};
SVSM_CONFORMANCE_EXPORT(LIBRARY)
"""
RECORD = r"""
use std::collections::BTreeSet;
pub struct Record { base: u64, pages: u64, claimed: BTreeSet<u64> }
impl Record {
    pub fn load(base: u64, pages: u64, claimed: &[(u64, u64)]) -> Record {
        Record { base, pages, claimed: claimed.iter().flat_map(|&(a, b)| a..b).collect() }
    }
    pub fn step(&mut self, name: &str, operands: &[u64]) -> (u64, Vec<u64>) {
        let frame = operands[0] / 4096;
        match name {
            "claim_4k" if self.claimed.contains(&frame) => (ALREADY, vec![0]),
            "claim_4k" => { self.claimed.insert(frame); (0, vec![0]) }
            "query" => (0, vec![self.claimed.contains(&frame) as u64]),
            "export_words" => (0, (0..operands[0]).map(|w| (0..64).filter(|b| self.claimed
                .contains(&(self.base / 4096 + 64 * w + b))).map(|b| 1 << b).sum()).collect()),
            _ => unimplemented!("{name}"),
        }
    }
    pub fn state(&self) -> (u64, u64, Vec<(u64, u64)>) {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for &f in &self.claimed {
            match runs.last_mut() { Some(r) if r.1 == f => r.1 += 1, _ => runs.push((f, f + 1)) }
        }
        (self.base, self.pages, runs)
    }
}
"""
HANDOFF = r"""
#![allow(dead_code, unused_variables)]
type Range = (u64, u64);
type Entry = (u64, u64, u64);
pub fn read(area: &[u8], limit: u64) -> Result<Vec<Entry>, u64> { unimplemented!() }
pub fn size(map: &[Entry], cap: u64, tracks: bool) -> Result<(u64, u64), u64> { unimplemented!() }
pub fn reserve(map: &[Entry], kernel: Entry, excluded: &[Range], bitmaps: u64, limit: u64)
    -> Result<(Range, Range), u64> { unimplemented!() }
pub fn write(memory: &mut [u8], address: u64, bytes: u64, prevalidated: bool, guest: &[Range],
    with_terminator: bool, published: bool) -> Result<Range, u64> { unimplemented!() }
pub fn view(page: &[u8], version: (bool, bool, bool), told: u64)
    -> Result<(Vec<Range>, Vec<Range>), u64> { unimplemented!() }
pub fn carve(map: &[Entry], kernel: Range, region: Range, low_pages: u64)
    -> Result<Vec<Range>, u64> {
    let cuts = [kernel, region];
    let mut made: Vec<Range> = Vec::new();
    for p in map.iter().filter(|e| e.2 == 0).flat_map(|e| e.0..e.1) {
        if cuts[..CUTS].iter().any(|c| c.0 <= p && p < c.1) { continue; }
        match made.last_mut() { Some(r) if r.1 == p => r.1 += 1, _ => made.push((p, p + 1)) }
    }
    Ok(made)
}
"""
MMIO = r"""
pub struct Machine { at: u64 }
impl Machine {
    pub fn new(_backend: &str, _limit: u64, _shared_bit: u64, _buffer: u64) -> Machine {
        Machine { at: 0 }
    }
    pub fn call(&mut self, name: &str, operands: &[u64], host: &mut dyn FnMut([u64; 5]) -> [u64; 3])
        -> Result<u64, i64> {
        match name {
            "open" => { self.at = operands[3]; Ok(operands[2] / 4096) }
            "read_u64" => {
                let mut value = 0;
                for part in 0..8 / WIDTH {
                    let wire = [0, self.at + operands[1] + part * WIDTH, WIDTH, 0, 0];
                    value |= host(wire)[2] << (32 * part);
                }
                Ok(value)
            }
            _ => Err(-1),
        }
    }
}
"""
RUST = {
    "record": (RECORD, ("ALREADY", "6", "0")),
    "handoff": (HANDOFF, ("CUTS", "2", "1")),
    "mmio": (MMIO, ("WIDTH", "8", "4")),
}
"""Of each module its text, and what in it is so where it is right, and so where it is wrong."""
