//! `{name}` beside the rules of svsm-conformance:
//!
//!     svsm-conformance conform --device rust:{name}
//!
//! The words below are a stand-in for your own record of validated pages. Put yours in their place,
//! and let `load` put it into a state and `show` tell what it holds. Then write one function of the
//! trait `Record` after another, such as
//!
//!     fn claim_4k(&mut self, gpa: u64) -> Done
//!
//! and name it in `export!` at the end. What it has to do is told by
//!
//!     svsm-conformance explain validation.bitmap.claim_4k
//!
//! There are other groups of rules, which `export!` knows by names of their own: `runs`, a record
//! kept as runs (`Record` too), `handoff`, the memory map's stages (`Handoff`), `mmio` (`Mmio`), and
//! `protocol`, the calls of a whole SVSM (`Svsm`).

use svsm_conformance::*;

/// The pages of one region: bit `p % 64` of word `p / 64` is page `p`.
#[derive(Default)]
pub struct {Name} {
    base: u64,
    pages: u64,
    words: Vec<u64>,
}

impl Record for {Name} {
    fn new() -> Self {
        Self::default()
    }

    fn load(&mut self, state: &State<'_>) {
        self.base = state.base;
        self.pages = state.pages;
        self.words = state.words.to_vec();
    }

    fn show(&self, shown: &mut Shown<'_>) {
        shown.region(self.base, self.pages);
        shown.words(&self.words);
    }
}

svsm_conformance::export! {
    name: "{name}",
    bitmap: {Name} {
        // The rules that are claimed; what is not claimed is told as "not claimed".
    },
}
