//! The record of validated pages: as a bitmap, or kept as runs.

use crate::ffi;
use crate::panic::{or_abort, status, unwritten};
use std::ffi::c_void;
use std::ops::Range;

/// Bytes of a small page.
pub const PAGE_4K: u64 = 1 << 12;
/// Bytes of a large page.
pub const PAGE_2M: u64 = 1 << 21;
/// Room for any number of runs: what a bitmap has.
pub const ANY_RUNS: u64 = ffi::ANY_RUNS;

/// Why a step was refused; a refused step has changed nothing.
///
/// An implementation with an error of its own says once what each means, and then uses `?`:
///
/// ```
/// use svsm_conformance::Refusal;
///
/// enum SvsmError { Address, Busy }
///
/// impl From<SvsmError> for Refusal {
///     fn from(error: SvsmError) -> Self {
///         match error {
///             SvsmError::Address => Refusal::Outside,
///             SvsmError::Busy => Refusal::AlreadyClaimed,
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Refusal {
    /// An address or a region is not a multiple of its page.
    Misaligned = 1,
    /// The page ends where no 64-bit address is.
    Wraps = 2,
    /// A page of it is not of the region.
    Outside = 3,
    /// There are no pages.
    Empty = 4,
    /// The range stops below its first page.
    Reversed = 5,
    /// Every page is claimed.
    AlreadyClaimed = 6,
    /// No page is claimed.
    NotClaimed = 7,
    /// Some pages are claimed, and some are not.
    Mixed = 8,
    /// The same of a 2 MiB page, where [`Policy::mixed_2m`] says so.
    SizeMismatch = 9,
    /// Every page of the range is claimed, so none was found that is not.
    NoneUnclaimed = 10,
    /// The words are not as many as the region needs.
    WrongLength = 11,
    /// A bit is set for a page that is not of the region.
    SlackSet = 12,
    /// The region ends above 2^52 bytes.
    AboveLimit = 13,
    /// The region has more pages than the implementation tracks.
    OverCap = 14,
    /// There is no room for so many runs.
    OutOfRuns = 15,
}

/// Which pages of a range are claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Extent {
    /// None of them.
    None = 0,
    /// All of them.
    All = 1,
    /// Some of them.
    Mixed = 2,
}

/// The choices that the rules leave to an implementation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The most pages that it tracks.
    pub cap_pages: u64,
    /// What a 2 MiB page of both kinds is told: [`Refusal::Mixed`] or [`Refusal::SizeMismatch`].
    pub mixed_2m: Refusal,
    /// For how many runs it has room: [`ANY_RUNS`] for a bitmap.
    pub most_runs: u64,
}

impl Policy {
    /// A bitmap for up to 1 TiB that tells a mixed 2 MiB page as mixed.
    pub const BITMAP: Policy =
        Policy { cap_pages: 1 << 28, mixed_2m: Refusal::Mixed, most_runs: ANY_RUNS };

    /// The same, kept as runs of which there is room for `most_runs`.
    pub const fn runs(most_runs: u64) -> Policy {
        Policy { most_runs, ..Policy::BITMAP }
    }
}

/// A state to take on: `pages` pages from byte address `base`; with `pages` 0 there is no region.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// The region's first byte address.
    pub base: u64,
    /// How many pages it has.
    pub pages: u64,
    /// As in the policy; [`ANY_RUNS`] in a record that has become a bitmap.
    pub most_runs: u64,
    /// Page `p` is bit `p % 64` of word `p / 64`; bits past the last page are zero.
    pub words: &'a [u64],
}

impl State<'_> {
    /// Whether a page, counted from the region's first, is claimed.
    pub fn has(&self, page: u64) -> bool {
        self.words[(page / 64) as usize] >> (page % 64) & 1 == 1
    }

    /// The runs of claimed pages, counted from the region's first, in order.
    pub fn claimed(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let first = self.alike(next, 0);
            next = self.alike(first, u64::MAX);
            (first < self.pages).then_some(first..next)
        })
    }

    /// Where the pages from `page` on end whose bits are those of `kind`.
    fn alike(&self, mut page: u64, kind: u64) -> u64 {
        while page < self.pages {
            let left = (self.words[(page / 64) as usize] ^ kind) >> (page % 64);
            if left != 0 {
                page += u64::from(left.trailing_zeros());
                break;
            }
            page = (page / 64 + 1) * 64;
        }
        page.min(self.pages)
    }
}

/// Where an implementation shows its own state.
#[derive(Debug)]
pub struct Shown<'a> {
    base: u64,
    pages: u64,
    most_runs: u64,
    words: &'a mut [u64],
}

impl Shown<'_> {
    /// The region: `pages` pages from byte address `base`.
    pub fn region(&mut self, base: u64, pages: u64) {
        (self.base, self.pages) = (base, pages);
    }

    /// Show all words of a bitmap, from the region's first page on.
    pub fn words(&mut self, words: &[u64]) {
        // What is more than there is room for belongs to pages that the rules know nothing of,
        // and their number is seen to be wrong.
        let count = words.len().min(self.words.len());
        self.words[..count].copy_from_slice(&words[..count]);
    }

    /// Show that pages, counted from the region's first, are claimed.
    pub fn claimed(&mut self, pages: Range<u64>) {
        let stop = pages.end.min(64 * self.words.len() as u64);
        let mut page = pages.start;
        while page < stop {
            let next = stop.min((page / 64 + 1) * 64);
            self.words[(page / 64) as usize] |= (u64::MAX >> (64 - (next - page))) << (page % 64);
            page = next;
        }
    }

    /// For how many runs there is room now; to be said by a record that has become a bitmap.
    pub fn most_runs(&mut self, most_runs: u64) {
        self.most_runs = most_runs;
    }
}

/// What a step answers, or why it was refused.
pub type Done<T = ()> = Result<T, Refusal>;

/// A record of which pages are validated.
///
/// [`new`](Record::new), [`load`](Record::load) and [`show`](Record::show) are needed: how the
/// suite makes one, puts it into a state, and sees what it holds. Of the steps write those that you
/// claim in [`export!`](crate::export); one at first is enough. What each has to do, which refusals
/// it has and in which order it looks is told by `svsm-conformance explain`, such as
/// `svsm-conformance explain validation.bitmap.claim_2m`.
///
/// Addresses are in bytes, ranges are half-open. Whatever comes as an argument may be any 64-bit
/// number: in the world of an SVSM the guest or the host has chosen it.
#[allow(unused_variables)]
pub trait Record: Sized {
    /// What this implementation chooses.
    const POLICY: Policy = Policy::BITMAP;

    /// A record without a region.
    fn new() -> Self;
    /// Take on a state, whatever was before.
    fn load(&mut self, state: &State<'_>);
    /// Show the state.
    fn show(&self, shown: &mut Shown<'_>);

    /// Track a region afresh, every page claimed or none; answers the bitmap's bytes.
    fn create(&mut self, base: u64, pages: u64, claimed: bool) -> Done<u64> {
        unwritten("create")
    }
    /// Every page of the region is claimed, or none.
    fn fill(&mut self, claimed: bool) -> Done {
        unwritten("fill")
    }
    /// Claim one 4 KiB page, which must be unclaimed.
    fn claim_4k(&mut self, gpa: u64) -> Done {
        unwritten("claim_4k")
    }
    /// Claim one 2 MiB page, each of whose 512 pages must be unclaimed.
    fn claim_2m(&mut self, gpa: u64) -> Done {
        unwritten("claim_2m")
    }
    /// Claim every page of a range, each of which must be unclaimed.
    fn claim_range(&mut self, first: u64, stop: u64) -> Done {
        unwritten("claim_range")
    }
    /// Release one 4 KiB page, which must be claimed.
    fn release_4k(&mut self, gpa: u64) -> Done {
        unwritten("release_4k")
    }
    /// Release one 2 MiB page, each of whose 512 pages must be claimed.
    fn release_2m(&mut self, gpa: u64) -> Done {
        unwritten("release_2m")
    }
    /// Release every page of a range, each of which must be claimed.
    fn release_range(&mut self, first: u64, stop: u64) -> Done {
        unwritten("release_range")
    }
    /// Whether one 4 KiB page is claimed.
    fn query(&self, gpa: u64) -> Done<bool> {
        unwritten("query")
    }
    /// Whether no page of a range is claimed, or all, or some.
    fn test_range(&self, first: u64, stop: u64) -> Done<Extent> {
        unwritten("test_range")
    }
    /// How many pages of a range are claimed.
    fn count(&self, first: u64, stop: u64) -> Done<u64> {
        unwritten("count")
    }
    /// The byte address of the lowest page of a range that is not claimed.
    fn first_unclaimed(&self, first: u64, stop: u64) -> Done<u64> {
        unwritten("first_unclaimed")
    }
    /// Hand out the bitmap; there must be exactly as many words as it has.
    fn export_words(&self, words: &mut [u64]) -> Done {
        unwritten("export_words")
    }
    /// Take over words as they were handed out.
    fn import_words(&mut self, words: &[u64]) -> Done {
        unwritten("import_words")
    }
    /// Go on as a bitmap, in which there is room for any number of runs (`validation.runs.switch`).
    fn become_bitmap(&mut self) -> Done {
        unwritten("switch")
    }
}

impl ffi::Record {
    /// The table of a record.
    pub const fn of<T: Record>() -> ffi::Record {
        ffi::Record {
            errors: ffi::NO_ERRORS,
            policy: ffi::Policy {
                cap_pages: T::POLICY.cap_pages,
                mixed_2m: T::POLICY.mixed_2m as u64,
                most_runs: T::POLICY.most_runs,
            },
            make: Some(make::<T>),
            drop: Some(drop::<T>),
            load: Some(load::<T>),
            observe: Some(observe::<T>),
            create: Some(create::<T>),
            fill: Some(fill::<T>),
            claim_4k: Some(claim_4k::<T>),
            claim_2m: Some(claim_2m::<T>),
            claim_range: Some(claim_range::<T>),
            release_4k: Some(release_4k::<T>),
            release_2m: Some(release_2m::<T>),
            release_range: Some(release_range::<T>),
            query: Some(query::<T>),
            test_range: Some(test_range::<T>),
            count: Some(count::<T>),
            first_unclaimed: Some(first_unclaimed::<T>),
            export_words: Some(export_words::<T>),
            import_words: Some(import_words::<T>),
            become_bitmap: Some(become_bitmap::<T>),
            run: Some(run::<T>),
        }
    }
}

fn told<V>(done: Done<V>, write: impl FnOnce(V)) -> i64 {
    match done {
        Ok(value) => {
            write(value);
            ffi::OK
        }
        Err(refusal) => refusal as i64,
    }
}

// The functions of the table. Their safety is what the header promises: `own` is what `make`
// answered and was not dropped, and pointers lead to as much as the header says.

unsafe fn held<'a, T>(own: *mut c_void) -> &'a mut T {
    unsafe { &mut *own.cast() }
}

unsafe extern "C" fn make<T: Record>() -> *mut c_void {
    or_abort(|| Box::into_raw(Box::new(T::new())).cast())
}

unsafe extern "C" fn drop<T: Record>(own: *mut c_void) {
    or_abort(|| std::mem::drop(unsafe { Box::from_raw(own.cast::<T>()) }));
}

unsafe extern "C" fn load<T: Record>(own: *mut c_void, state: *const ffi::State) {
    or_abort(|| unsafe {
        let given = &*state;
        let count = given.pages.div_ceil(64) as usize;
        let state = State {
            base: given.base,
            pages: given.pages,
            most_runs: given.most_runs,
            words: words_at(given.words, count),
        };
        held::<T>(own).load(&state);
    });
}

unsafe extern "C" fn observe<T: Record>(own: *mut c_void, state: *mut ffi::State) {
    or_abort(|| unsafe {
        let asked = &mut *state;
        let mut shown = Shown {
            base: 0,
            pages: 0,
            most_runs: asked.most_runs,
            words: words_at_mut(asked.words, asked.room as usize),
        };
        shown.words.fill(0);
        held::<T>(own).show(&mut shown);
        (asked.base, asked.pages, asked.most_runs) = (shown.base, shown.pages, shown.most_runs);
    });
}

unsafe fn words_at<'a>(words: *const u64, count: usize) -> &'a [u64] {
    if count == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(words, count) }
}

unsafe fn words_at_mut<'a>(words: *mut u64, count: usize) -> &'a mut [u64] {
    if count == 0 {
        return &mut [];
    }
    unsafe { std::slice::from_raw_parts_mut(words, count) }
}

unsafe extern "C" fn create<T: Record>(
    own: *mut c_void,
    base: u64,
    pages: u64,
    claimed: bool,
    bytes: *mut u64,
) -> i64 {
    status(|| unsafe { told(held::<T>(own).create(base, pages, claimed), |value| *bytes = value) })
}

unsafe extern "C" fn fill<T: Record>(own: *mut c_void, claimed: bool) -> i64 {
    status(|| unsafe { told(held::<T>(own).fill(claimed), |()| ()) })
}

macro_rules! at {
    ($($name:ident)*) => {$(
        unsafe extern "C" fn $name<T: Record>(own: *mut c_void, gpa: u64) -> i64 {
            status(|| unsafe { told(held::<T>(own).$name(gpa), |()| ()) })
        }
    )*};
}

macro_rules! between {
    ($($name:ident)*) => {$(
        unsafe extern "C" fn $name<T: Record>(own: *mut c_void, first: u64, stop: u64) -> i64 {
            status(|| unsafe { told(held::<T>(own).$name(first, stop), |()| ()) })
        }
    )*};
}

macro_rules! looking {
    ($($name:ident)*) => {$(
        unsafe extern "C" fn $name<T: Record>(
            own: *mut c_void,
            first: u64,
            stop: u64,
            answer: *mut u64,
        ) -> i64 {
            status(|| unsafe {
                told(held::<T>(own).$name(first, stop), |value| *answer = value as u64)
            })
        }
    )*};
}

at! { claim_4k claim_2m release_4k release_2m }
between! { claim_range release_range }
looking! { test_range count first_unclaimed }

unsafe extern "C" fn query<T: Record>(own: *mut c_void, gpa: u64, claimed: *mut u64) -> i64 {
    status(|| unsafe { told(held::<T>(own).query(gpa), |value| *claimed = u64::from(value)) })
}

unsafe extern "C" fn export_words<T: Record>(own: *mut c_void, words: *mut u64, n: u64) -> i64 {
    status(|| unsafe {
        told(held::<T>(own).export_words(words_at_mut(words, n as usize)), |()| ())
    })
}

unsafe extern "C" fn import_words<T: Record>(own: *mut c_void, words: *const u64, n: u64) -> i64 {
    status(|| unsafe { told(held::<T>(own).import_words(words_at(words, n as usize)), |()| ()) })
}

unsafe extern "C" fn become_bitmap<T: Record>(own: *mut c_void) -> i64 {
    status(|| unsafe { told(held::<T>(own).become_bitmap(), |()| ()) })
}

/// A whole trace; it ends early at a step that panics, which then is told by its status.
unsafe extern "C" fn run<T: Record>(
    own: *mut c_void,
    steps: *const ffi::Step,
    count: u64,
    words: *mut u64,
    answers: *mut ffi::Answer,
    shown: *mut u64,
    width: u64,
    done: *mut u64,
) {
    let row = 2 + width as usize;
    for place in 0..count as usize {
        unsafe {
            done.write_volatile(place as u64);
            let step = &*steps.add(place);
            let mut value = 0;
            let status = one::<T>(own, step, words, &mut value);
            let answer = &mut *answers.add(place);
            (answer.status, answer.value) = (status, if status == ffi::OK { value } else { 0 });
            if status == ffi::PANICKED {
                return;
            }
            let at = shown.add(place * row);
            let mut state =
                ffi::State { base: 0, pages: 0, most_runs: 0, words: at.add(2), room: width };
            observe::<T>(own, &mut state);
            (*at, *at.add(1)) = (state.base, state.pages);
        }
    }
    unsafe { done.write_volatile(count) };
}

unsafe fn one<T: Record>(
    own: *mut c_void,
    step: &ffi::Step,
    words: *mut u64,
    value: &mut u64,
) -> i64 {
    let ffi::Step { rule, a, b, c } = *step;
    unsafe {
        match rule {
            0 => create::<T>(own, a, b, c != 0, value),
            1 => fill::<T>(own, a != 0),
            2 => claim_4k::<T>(own, a),
            3 => claim_2m::<T>(own, a),
            4 => claim_range::<T>(own, a, b),
            5 => release_4k::<T>(own, a),
            6 => release_2m::<T>(own, a),
            7 => release_range::<T>(own, a, b),
            8 => query::<T>(own, a, value),
            9 => test_range::<T>(own, a, b, value),
            10 => self::count::<T>(own, a, b, value),
            11 => first_unclaimed::<T>(own, a, b, value),
            12 => export_words::<T>(own, words.add(b as usize), a),
            13 => import_words::<T>(own, words.add(b as usize), a),
            _ => ffi::PANICKED,
        }
    }
}
