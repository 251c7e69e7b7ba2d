//! Run a Rust implementation beside the rules of `svsm-conformance`.
//!
//! Implement a trait, say which rules you claim, and build a `cdylib`. For the record of validated
//! pages the trait is [`Record`], for the stages of the memory map's handoff [`Handoff`], for MMIO
//! [`Mmio`], for the calls of a whole SVSM [`Svsm`]. Nothing else is needed; the crate has no
//! dependencies.
//!
//! ```
//! use svsm_conformance::{Done, Record, Refusal, Shown, State};
//!
//! #[derive(Default)]
//! pub struct Mine { base: u64, pages: u64, words: Vec<u64> }
//!
//! impl Record for Mine {
//!     fn new() -> Self {
//!         Self::default()
//!     }
//!
//!     fn load(&mut self, state: &State<'_>) {
//!         *self = Mine { base: state.base, pages: state.pages, words: state.words.to_vec() };
//!     }
//!
//!     fn show(&self, shown: &mut Shown<'_>) {
//!         shown.region(self.base, self.pages);
//!         shown.words(&self.words);
//!     }
//!
//!     fn claim_4k(&mut self, gpa: u64) -> Done {
//!         if gpa % 4096 != 0 {
//!             return Err(Refusal::Misaligned);
//!         }
//!         if gpa.checked_add(4096).is_none() {
//!             return Err(Refusal::Wraps);
//!         }
//!         let page = match gpa.checked_sub(self.base) {
//!             Some(offset) if offset / 4096 < self.pages => offset / 4096,
//!             _ => return Err(Refusal::Outside),
//!         };
//!         let (word, bit) = (&mut self.words[(page / 64) as usize], 1 << (page % 64));
//!         if *word & bit != 0 {
//!             return Err(Refusal::AlreadyClaimed);
//!         }
//!         *word |= bit;
//!         Ok(())
//!     }
//! }
//!
//! svsm_conformance::export! {
//!     name: "mine",
//!     bitmap: Mine { claim_4k },
//! }
//! ```
//!
//! In `Cargo.toml`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! svsm-conformance = { path = "..." }
//! ```
//!
//! Then `svsm-conformance conform --device rust:.` builds it twice, debug and release, since
//! arithmetic that overflows panics in the one and wraps in the other, and runs both.
//! `svsm-conformance adapter new --lang rust NAME` writes all of this.
//!
//! # Panics
//!
//! A panic never unwinds into the suite. In a step it is caught, and told with its step as a fault
//! of the implementation (under `panic = "unwind"`); in what is no step, and under
//! `panic = "abort"`, the process ends, and that is told. Either way the run goes on.

#![deny(missing_docs)]

pub mod ffi;
mod handoff;
mod mmio;
mod panic;
mod protocol;
mod record;
pub mod rules;

pub use handoff::{Area, Entry, Handoff, KernelBounds, Machine, Made, MapRefusal, Ovmf, Pages};
pub use mmio::{Accessed, Backend, Bus, Exit, Mmio, MmioRefusal, Slot};
pub use panic::speak_in_one_line;
pub use protocol::{Asked, Ended, Fill, Frames, Platform, Start, Stop, Svsm, Vcpu};
pub use record::{Done, Extent, Policy, Record, Refusal, Shown, State, ANY_RUNS, PAGE_2M, PAGE_4K};

/// Exports the C interface: which rules are claimed, and by which type each group is implemented.
///
/// One line for each group that there is, in this order, with the names of the rules that are
/// claimed of it; what is not claimed is told as "not claimed", never as passed. The last,
/// `protocol: MySvsm`, takes no names, since an SVSM is claimed whole:
///
/// ```
/// # use svsm_conformance::*;
/// # struct Bits;
/// # impl Record for Bits {
/// #     fn new() -> Self { Bits }
/// #     fn load(&mut self, _: &State<'_>) {}
/// #     fn show(&self, _: &mut Shown<'_>) {}
/// # }
/// # struct Runs;
/// # impl Record for Runs {
/// #     const POLICY: Policy = Policy::runs(12);
/// #     fn new() -> Self { Runs }
/// #     fn load(&mut self, _: &State<'_>) {}
/// #     fn show(&self, _: &mut Shown<'_>) {}
/// # }
/// # struct Stages;
/// # impl Handoff for Stages {}
/// svsm_conformance::export! {
///     name: "my tracker",
///     bitmap: Bits { claim_4k, release_4k },
///     runs: Runs { claim_4k, switch },
///     handoff: Stages { read },
/// }
/// ```
///
/// A name that is no rule does not compile:
///
/// ```compile_fail
/// # use svsm_conformance::*;
/// # struct Stages;
/// # impl Handoff for Stages {}
/// svsm_conformance::export! { name: "mine", handoff: Stages { reed } }
/// ```
#[macro_export]
macro_rules! export {
    (
        name: $name:literal
        $(, bitmap: $bitmap:ty { $($of_bitmap:ident),* $(,)? })?
        $(, runs: $runs:ty { $($of_runs:ident),* $(,)? })?
        $(, handoff: $handoff:ty { $($of_handoff:ident),* $(,)? })?
        $(, mmio: $mmio:ty { $($of_mmio:ident),* $(,)? })?
        $(, protocol: $protocol:ty)?
        $(,)?
    ) => {
        const _: () = {
            const LISTED: &[&[&str]] = &[
                &[
                    $($($crate::rules::bitmap::$of_bitmap,)*)?
                    $($($crate::rules::runs::$of_runs,)*)?
                    $($($crate::rules::handoff::$of_handoff,)*)?
                    $($($crate::rules::mmio::$of_mmio,)*)?
                ],
                $($crate::rules::whole::<$protocol>(),)?
            ];
            const CLAIMS: &[*const ::std::ffi::c_char; $crate::rules::count(LISTED) + 1] =
                &$crate::rules::joined(LISTED);
            #[allow(unused_mut)]
            static LIBRARY: $crate::ffi::Exported = $crate::ffi::Exported({
                let mut library = $crate::ffi::Library {
                    name: if cfg!(debug_assertions) {
                        concat!($name, " (debug)\0").as_ptr().cast()
                    } else {
                        concat!($name, " (release)\0").as_ptr().cast()
                    },
                    claims: CLAIMS.as_ptr(),
                    bitmap: ::std::ptr::null(),
                    runs: ::std::ptr::null(),
                    handoff: ::std::ptr::null(),
                    mmio: ::std::ptr::null(),
                    protocol: ::std::ptr::null(),
                };
                $(library.bitmap = {
                    const TABLE: &$crate::ffi::Record = &$crate::ffi::Record::of::<$bitmap>();
                    TABLE
                };)?
                $(library.runs = {
                    const TABLE: &$crate::ffi::Record = &$crate::ffi::Record::of::<$runs>();
                    TABLE
                };)?
                $(library.handoff = {
                    const TABLE: &$crate::ffi::Handoff = &$crate::ffi::Handoff::of::<$handoff>();
                    TABLE
                };)?
                $(library.mmio = {
                    const TABLE: &$crate::ffi::Mmio = &$crate::ffi::Mmio::of::<$mmio>();
                    TABLE
                };)?
                $(library.protocol = {
                    const TABLE: &$crate::ffi::Protocol =
                        &$crate::ffi::Protocol::of::<$protocol>();
                    TABLE
                };)?
                library
            });

            #[no_mangle]
            extern "C" fn svsm_conformance_version() -> u32 {
                $crate::ffi::VERSION
            }

            #[no_mangle]
            extern "C" fn svsm_conformance_library() -> *const $crate::ffi::Library {
                $crate::speak_in_one_line();
                &LIBRARY.0
            }
        };
    };
}
