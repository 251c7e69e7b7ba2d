//! The pages of one region, kept as runs of pages that are alike.
//!
//! The list says where the pages change from unclaimed to claimed and back, counted from the
//! region's first page, in order. The first run is of unclaimed pages and may be empty; so a page
//! is claimed where an odd number of changes is not past it.

use std::ops::Range;
use svsm_conformance::{
    Done, Extent, Policy, Record, Refusal, Shown, State, ANY_RUNS, PAGE_2M, PAGE_4K,
};

/// Where addresses end.
const LIMIT: u64 = 1 << 52;
const WORD: u64 = 64;
/// For how many runs there is room.
const MOST_RUNS: u64 = 12;

/// Which pages of a region are claimed.
#[derive(Default)]
pub struct Runs {
    base: u64,
    pages: u64,
    most_runs: u64,
    changes: Vec<u64>,
}

impl Runs {
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
        if (first | stop) % PAGE_4K != 0 {
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

    /// How many changes are not past a page.
    fn changes_up_to(&self, page: u64) -> usize {
        self.changes.partition_point(|&change| change <= page)
    }

    fn has(&self, page: u64) -> bool {
        self.changes_up_to(page) % 2 == 1
    }

    /// Where the run ends that a page is in.
    fn end_of_run(&self, page: u64) -> u64 {
        self.changes.get(self.changes_up_to(page)).copied().unwrap_or(self.pages)
    }

    fn extent(&self, range: &Range<u64>) -> Extent {
        match (self.end_of_run(range.start) >= range.end, self.has(range.start)) {
            (false, _) => Extent::Mixed,
            (true, true) => Extent::All,
            (true, false) => Extent::None,
        }
    }

    /// The runs of claimed pages.
    fn claimed(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.changes.chunks(2).map(|run| run[0]..run.get(1).copied().unwrap_or(self.pages))
    }

    /// Make pages claimed or not, if there is room for the runs that this makes.
    fn mark(&mut self, range: Range<u64>, claimed: bool) -> Done {
        let first = self.changes.partition_point(|&change| change < range.start);
        let past = self.changes_up_to(range.end);
        let begins = (first % 2 == 1) != claimed;
        let ends = (past % 2 == 1) != claimed && range.end < self.pages;
        let kept = self.changes.len() - (past - first);
        let runs = 1 + kept + usize::from(begins) + usize::from(ends);
        if runs as u64 > self.most_runs {
            return Err(Refusal::OutOfRuns);
        }
        let edges = begins.then_some(range.start).into_iter().chain(ends.then_some(range.end));
        self.changes.splice(first..past, edges);
        Ok(())
    }

    fn claim(&mut self, range: Range<u64>, mixed: Refusal) -> Done {
        match self.extent(&range) {
            Extent::All => Err(Refusal::AlreadyClaimed),
            Extent::Mixed => Err(mixed),
            Extent::None => self.mark(range, true),
        }
    }

    fn release(&mut self, range: Range<u64>, mixed: Refusal) -> Done {
        match self.extent(&range) {
            Extent::None => Err(Refusal::NotClaimed),
            Extent::Mixed => Err(mixed),
            Extent::All => self.mark(range, false),
        }
    }

    fn uniform(&mut self, claimed: bool) {
        self.changes.clear();
        if claimed && self.pages > 0 {
            self.changes.push(0);
        }
    }

    fn words(&self) -> usize {
        self.pages.div_ceil(WORD) as usize
    }
}

impl Record for Runs {
    const POLICY: Policy = Policy::runs(MOST_RUNS);

    fn new() -> Self {
        Runs { most_runs: MOST_RUNS, ..Self::default() }
    }

    fn load(&mut self, state: &State<'_>) {
        self.base = state.base;
        self.pages = state.pages;
        self.most_runs = state.most_runs;
        self.changes.clear();
        for run in state.claimed() {
            self.changes.push(run.start);
            if run.end < state.pages {
                self.changes.push(run.end);
            }
        }
    }

    fn show(&self, shown: &mut Shown<'_>) {
        shown.region(self.base, self.pages);
        shown.most_runs(self.most_runs);
        for run in self.claimed() {
            shown.claimed(run);
        }
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
        self.base = base;
        self.pages = pages;
        self.uniform(claimed);
        Ok(self.words() as u64 * 8)
    }

    fn fill(&mut self, claimed: bool) -> Done {
        self.uniform(claimed);
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
        Ok(self.has(self.page(gpa, PAGE_4K)?.start))
    }

    fn test_range(&self, first: u64, stop: u64) -> Done<Extent> {
        Ok(self.extent(&self.range(first, stop)?))
    }

    fn count(&self, first: u64, stop: u64) -> Done<u64> {
        let range = self.range(first, stop)?;
        let shared =
            |run: Range<u64>| run.end.min(range.end).saturating_sub(run.start.max(range.start));
        Ok(self.claimed().map(shared).sum())
    }

    fn first_unclaimed(&self, first: u64, stop: u64) -> Done<u64> {
        let range = self.range(first, stop)?;
        let page = match self.has(range.start) {
            true => self.end_of_run(range.start),
            false => range.start,
        };
        if page >= range.end {
            return Err(Refusal::NoneUnclaimed);
        }
        Ok(self.base + page * PAGE_4K)
    }

    fn export_words(&self, words: &mut [u64]) -> Done {
        if words.len() != self.words() {
            return Err(Refusal::WrongLength);
        }
        words.fill(0);
        for page in self.claimed().flatten() {
            words[(page / WORD) as usize] |= 1 << (page % WORD);
        }
        Ok(())
    }

    fn import_words(&mut self, words: &[u64]) -> Done {
        if words.len() != self.words() {
            return Err(Refusal::WrongLength);
        }
        let slack = words.len() as u64 * WORD - self.pages;
        if slack > 0 && words[words.len() - 1] >> (WORD - slack) != 0 {
            return Err(Refusal::SlackSet);
        }
        let mut changes = Vec::new();
        let mut before = false;
        for page in 0..self.pages {
            let claimed = words[(page / WORD) as usize] >> (page % WORD) & 1 == 1;
            if claimed != before {
                changes.push(page);
            }
            before = claimed;
        }
        if changes.len() as u64 + 1 > self.most_runs {
            return Err(Refusal::OutOfRuns);
        }
        self.changes = changes;
        Ok(())
    }

    fn become_bitmap(&mut self) -> Done {
        // A list that may grow has room for any number of runs.
        self.most_runs = ANY_RUNS;
        Ok(())
    }
}

svsm_conformance::export! {
    name: "runs-rust",
    runs: Runs {
        create, fill, claim_4k, claim_2m, claim_range, release_4k, release_2m, release_range,
        query, test_range, count, first_unclaimed, export_words, import_words, switch,
    },
}
