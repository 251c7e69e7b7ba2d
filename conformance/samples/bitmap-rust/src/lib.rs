//! A flat bitmap of the pages of one region: bit `p % 64` of word `p / 64` is page `p`.

use std::ops::Range;
use svsm_conformance::{Done, Extent, Policy, Record, Refusal, Shown, State, PAGE_2M, PAGE_4K};

/// Where addresses end.
const LIMIT: u64 = 1 << 52;
const WORD: u64 = 64;

/// Which pages of a region are claimed.
#[derive(Default)]
pub struct Bitmap {
    base: u64,
    pages: u64,
    words: Vec<u64>,
}

impl Bitmap {
    fn end(&self) -> u64 {
        self.base + self.pages * PAGE_4K
    }

    /// The pages of a page of some size, counted from the region's first.
    fn page(&self, gpa: u64, size: u64) -> Done<Range<u64>> {
        if gpa % size != 0 {
            return Err(Refusal::Misaligned);
        }
        let stop = gpa.checked_add(size).ok_or(Refusal::Wraps)?;
        self.inside(gpa, stop)
    }

    /// The pages of a range, counted from the region's first.
    fn range(&self, first: u64, stop: u64) -> Done<Range<u64>> {
        if first % PAGE_4K != 0 || stop % PAGE_4K != 0 {
            return Err(Refusal::Misaligned);
        }
        if stop < first {
            return Err(Refusal::Reversed);
        }
        if stop == first {
            return Err(Refusal::Empty);
        }
        self.inside(first, stop)
    }

    fn inside(&self, first: u64, stop: u64) -> Done<Range<u64>> {
        if first < self.base || stop > self.end() {
            return Err(Refusal::Outside);
        }
        Ok((first - self.base) / PAGE_4K..(stop - self.base) / PAGE_4K)
    }

    fn extent(&self, range: Range<u64>) -> Extent {
        let (mut all, mut none) = (true, true);
        for (index, mask) in masks(range) {
            let set = self.words[index] & mask;
            all &= set == mask;
            none &= set == 0;
        }
        match (all, none) {
            (true, _) => Extent::All,
            (_, true) => Extent::None,
            _ => Extent::Mixed,
        }
    }

    fn mark(&mut self, range: Range<u64>, claimed: bool) {
        for (index, mask) in masks(range) {
            if claimed {
                self.words[index] |= mask;
            } else {
                self.words[index] &= !mask;
            }
        }
    }

    fn claim(&mut self, range: Range<u64>, mixed: Refusal) -> Done {
        match self.extent(range.clone()) {
            Extent::All => Err(Refusal::AlreadyClaimed),
            Extent::Mixed => Err(mixed),
            Extent::None => {
                self.mark(range, true);
                Ok(())
            }
        }
    }

    fn release(&mut self, range: Range<u64>, mixed: Refusal) -> Done {
        match self.extent(range.clone()) {
            Extent::None => Err(Refusal::NotClaimed),
            Extent::Mixed => Err(mixed),
            Extent::All => {
                self.mark(range, false);
                Ok(())
            }
        }
    }
}

/// The words that have pages of a range, each with a mask of them.
fn masks(range: Range<u64>) -> impl Iterator<Item = (usize, u64)> {
    let mut page = range.start;
    std::iter::from_fn(move || {
        if page >= range.end {
            return None;
        }
        let (index, bit) = (page / WORD, page % WORD);
        let count = (WORD - bit).min(range.end - page);
        page += count;
        Some((index as usize, (u64::MAX >> (WORD - count)) << bit))
    })
}

impl Record for Bitmap {
    const POLICY: Policy = Policy::BITMAP;

    fn new() -> Self {
        Self::default()
    }

    fn load(&mut self, state: &State<'_>) {
        self.base = state.base;
        self.pages = state.pages;
        self.words.clear();
        self.words.extend_from_slice(state.words);
    }

    fn show(&self, shown: &mut Shown<'_>) {
        shown.region(self.base, self.pages);
        shown.words(&self.words);
    }

    fn create(&mut self, base: u64, pages: u64, claimed: bool) -> Done<u64> {
        if base % PAGE_4K != 0 {
            return Err(Refusal::Misaligned);
        }
        if pages == 0 {
            return Err(Refusal::Empty);
        }
        let bytes = pages.checked_mul(PAGE_4K).ok_or(Refusal::Wraps)?;
        let end = base.checked_add(bytes).ok_or(Refusal::Wraps)?;
        if end > LIMIT {
            return Err(Refusal::AboveLimit);
        }
        if pages > Self::POLICY.cap_pages {
            return Err(Refusal::OverCap);
        }
        let count = pages.div_ceil(WORD) as usize;
        self.base = base;
        self.pages = pages;
        self.words.clear();
        self.words.resize(count, 0);
        self.mark(0..pages, claimed);
        Ok(count as u64 * 8)
    }

    fn fill(&mut self, claimed: bool) -> Done {
        self.mark(0..self.pages, claimed);
        Ok(())
    }

    fn claim_4k(&mut self, gpa: u64) -> Done {
        let range = self.page(gpa, PAGE_4K)?;
        self.claim(range, Refusal::Mixed)
    }

    fn claim_2m(&mut self, gpa: u64) -> Done {
        let range = self.page(gpa, PAGE_2M)?;
        self.claim(range, Self::POLICY.mixed_2m)
    }

    fn claim_range(&mut self, first: u64, stop: u64) -> Done {
        let range = self.range(first, stop)?;
        self.claim(range, Refusal::Mixed)
    }

    fn release_4k(&mut self, gpa: u64) -> Done {
        let range = self.page(gpa, PAGE_4K)?;
        self.release(range, Refusal::Mixed)
    }

    fn release_2m(&mut self, gpa: u64) -> Done {
        let range = self.page(gpa, PAGE_2M)?;
        self.release(range, Self::POLICY.mixed_2m)
    }

    fn release_range(&mut self, first: u64, stop: u64) -> Done {
        let range = self.range(first, stop)?;
        self.release(range, Refusal::Mixed)
    }

    fn query(&self, gpa: u64) -> Done<bool> {
        let page = self.page(gpa, PAGE_4K)?.start;
        Ok(self.words[(page / WORD) as usize] >> (page % WORD) & 1 == 1)
    }

    fn test_range(&self, first: u64, stop: u64) -> Done<Extent> {
        Ok(self.extent(self.range(first, stop)?))
    }

    fn count(&self, first: u64, stop: u64) -> Done<u64> {
        let set = masks(self.range(first, stop)?).map(|(index, mask)| self.words[index] & mask);
        Ok(set.map(|bits| u64::from(bits.count_ones())).sum())
    }

    fn first_unclaimed(&self, first: u64, stop: u64) -> Done<u64> {
        for (index, mask) in masks(self.range(first, stop)?) {
            let free = !self.words[index] & mask;
            if free != 0 {
                let page = index as u64 * WORD + u64::from(free.trailing_zeros());
                return Ok(self.base + page * PAGE_4K);
            }
        }
        Err(Refusal::NoneUnclaimed)
    }

    fn export_words(&self, words: &mut [u64]) -> Done {
        if words.len() != self.words.len() {
            return Err(Refusal::WrongLength);
        }
        words.copy_from_slice(&self.words);
        Ok(())
    }

    fn import_words(&mut self, words: &[u64]) -> Done {
        if words.len() != self.words.len() {
            return Err(Refusal::WrongLength);
        }
        let slack = self.words.len() as u64 * WORD - self.pages;
        if slack > 0 && words[words.len() - 1] >> (WORD - slack) != 0 {
            return Err(Refusal::SlackSet);
        }
        self.words.copy_from_slice(words);
        Ok(())
    }
}

svsm_conformance::export! {
    name: "bitmap-rust",
    bitmap: Bitmap {
        create, fill, claim_4k, claim_2m, claim_range, release_4k, release_2m, release_range,
        query, test_range, count, first_unclaimed, export_words, import_words,
    },
}
