//! What becomes of a panic: it never leaves a function of the interface.

use crate::ffi::PANICKED;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::abort;
use std::sync::Once;

/// Let a panic say what it is in one line on the error output, from where the suite tells it.
#[doc(hidden)]
pub fn speak_in_one_line() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let words = info.to_string();
            let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
            eprintln!("{line}");
        }));
    });
}

/// The status of a step; a panic in it is a status of its own.
///
/// Under `panic = "abort"` nothing is caught: the process ends, and the suite tells that.
pub(crate) fn status(step: impl FnOnce() -> i64) -> i64 {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or(PANICKED)
}

/// What a function answers that has no status to say it panicked with: then the process ends.
pub(crate) fn or_abort<T>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| abort())
}

/// Said by a step that is claimed in [`export!`](crate::export), but that nobody wrote.
#[track_caller]
pub(crate) fn unwritten(what: &str) -> ! {
    panic!("{what} is claimed, but not implemented: write it, or drop the claim")
}
