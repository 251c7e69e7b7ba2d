//! What the suite meets behind the C interface: statuses, a whole trace in one call, panics.

use std::ffi::CStr;
use svsm_conformance::{ffi, Done, Record, Refusal, Shown, State};

/// Claims the pages of one word; page 13 makes it panic.
struct Word {
    word: u64,
}

impl Record for Word {
    fn new() -> Self {
        Word { word: 0 }
    }

    fn load(&mut self, state: &State<'_>) {
        self.word = 0;
        for pages in state.claimed() {
            for page in pages {
                self.word |= 1 << page;
            }
        }
    }

    fn show(&self, shown: &mut Shown<'_>) {
        shown.region(0, 64);
        for page in (0..64).filter(|page| self.word >> page & 1 == 1) {
            shown.claimed(page..page + 1);
        }
    }

    fn claim_4k(&mut self, gpa: u64) -> Done {
        assert_ne!(gpa, 13 << 12, "unlucky");
        let bit = 1 << (gpa >> 12);
        if self.word & bit != 0 {
            return Err(Refusal::AlreadyClaimed);
        }
        self.word |= bit;
        Ok(())
    }

    fn count(&self, _first: u64, _stop: u64) -> Done<u64> {
        Ok(u64::from(self.word.count_ones()))
    }
}

svsm_conformance::export! {
    name: "one word",
    bitmap: Word { claim_4k, count },
}

extern "C" {
    fn svsm_conformance_version() -> u32;
    fn svsm_conformance_library() -> *const ffi::Library;
}

fn table() -> &'static ffi::Record {
    unsafe { &*(*svsm_conformance_library()).bitmap }
}

#[test]
fn the_library_says_its_name_and_claims() {
    let (library, claims) = unsafe {
        let library = &*svsm_conformance_library();
        let texts = (0..).map(|n| *library.claims.add(n)).take_while(|claim| !claim.is_null());
        (library, texts.map(|text| CStr::from_ptr(text).to_str().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(unsafe { svsm_conformance_version() }, ffi::VERSION);
    assert_eq!(unsafe { CStr::from_ptr(library.name) }.to_str().unwrap(), "one word (debug)");
    assert_eq!(claims, ["validation.bitmap.claim_4k", "validation.bitmap.count"]);
    assert!(library.runs.is_null() && library.handoff.is_null() && library.mmio.is_null());
}

#[test]
fn a_refusal_is_its_code_and_a_panic_is_one_that_leads_nowhere() {
    let own = unsafe { table().make.unwrap()() };
    let claim = |page: u64| unsafe { table().claim_4k.unwrap()(own, page << 12) };
    assert_eq!([claim(3), claim(3), claim(13)], [0, Refusal::AlreadyClaimed as i64, ffi::PANICKED]);
    let unwritten = unsafe { table().fill.unwrap()(own, true) };
    assert_eq!(unwritten, ffi::PANICKED);
    unsafe { table().drop.unwrap()(own) };
}

#[test]
fn a_trace_in_one_call_does_what_its_steps_do() {
    let step = |rule, a| ffi::Step { rule, a, b: 0, c: 0 };
    let steps = [step(2, 0), step(2, 5 << 12), step(10, 0), step(2, 0), step(2, 13 << 12)];
    let mut answers = [ffi::Answer { status: 7, value: 7 }; 5];
    let (mut shown, mut words, mut done) = ([0; 15], [1 << 9], 0);
    let own = unsafe { table().make.unwrap()() };
    let state = ffi::State { base: 0, pages: 64, most_runs: 0, words: words.as_mut_ptr(), room: 1 };
    unsafe {
        table().load.unwrap()(own, &state);
        table().run.unwrap()(
            own,
            steps.as_ptr(),
            5,
            words.as_mut_ptr(),
            answers.as_mut_ptr(),
            shown.as_mut_ptr(),
            1,
            &mut done,
        );
        table().drop.unwrap()(own);
    }
    let told: Vec<_> = answers.iter().map(|answer| (answer.status, answer.value)).collect();
    let again = Refusal::AlreadyClaimed as i64;
    assert_eq!(told[..4], [(0, 0), (0, 0), (0, 3), (again, 0)]);
    assert_eq!((answers[4].status, done), (ffi::PANICKED, 4));
    assert_eq!(shown[..6], [0, 64, 0x201, 0, 64, 0x221]);
}

#[test]
fn runs_of_claimed_pages_are_found_and_shown() {
    let words = [u64::MAX << 62, 0b1011, u64::MAX, 0];
    let state = State { base: 0, pages: 200, most_runs: 0, words: &words };
    let found: Vec<_> = state.claimed().collect();
    assert_eq!(found, [62..66, 67..68, 128..192]);
}
