//! The C interface as it is: the structs and numbers of `svsm_conformance.h`, version 1.
//!
//! Nobody needs these who implements a trait of this crate and exports it with
//! [`export!`](crate::export). They are public because the macro speaks of them, and so that a test
//! can lay them beside the header.

#![allow(missing_docs, clippy::type_complexity)]

use std::ffi::{c_char, c_void};

/// The version of the header that these are.
pub const VERSION: u32 = 1;
/// What a function answers that has done what it was asked.
pub const OK: i64 = 0;
/// What a function answers that panicked, and was caught. No table of errors leads it anywhere, so
/// it is told as a fault of the library, never as a refusal.
pub const PANICKED: i64 = i64::MIN;
/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;
/// Room for any number of runs: what a bitmap has.
pub const ANY_RUNS: u64 = u64::MAX;

/// The name in the header of one struct here, its size, and its fields with their places.
#[derive(Debug, Clone)]
pub struct Layout {
    pub name: &'static str,
    pub size: usize,
    pub fields: Vec<(&'static str, usize)>,
}

macro_rules! c_structs {
    ($( $(#[$note:meta])* $c:literal $name:ident { $($field:ident: $kind:ty),* $(,)? } )*) => {
        $(
            $(#[$note])*
            #[derive(Debug, Clone, Copy)]
            #[repr(C)]
            pub struct $name { $(pub $field: $kind),* }
        )*

        /// Every struct of this module, as the compiler laid it out.
        pub fn layouts() -> Vec<Layout> {
            vec![$(Layout {
                name: $c,
                size: size_of::<$name>(),
                fields: vec![$((
                    stringify!($field).trim_start_matches("r#"),
                    std::mem::offset_of!($name, $field),
                )),*],
            }),*]
        }
    };
}

type Own = *mut c_void;
type F<T> = Option<T>;

c_structs! {
    "svsm_error" Error { own: i64, means: i64 }
    "svsm_errors" Errors { listed: *const Error, count: u64 }
    "svsm_policy" Policy { cap_pages: u64, mixed_2m: u64, most_runs: u64 }
    "svsm_state" State { base: u64, pages: u64, most_runs: u64, words: *mut u64, room: u64 }
    "svsm_step" Step { rule: u64, a: u64, b: u64, c: u64 }
    "svsm_answer" Answer { status: i64, value: u64 }
    "svsm_record" Record {
        errors: Errors,
        policy: Policy,
        make: F<unsafe extern "C" fn() -> Own>,
        drop: F<unsafe extern "C" fn(Own)>,
        load: F<unsafe extern "C" fn(Own, *const State)>,
        observe: F<unsafe extern "C" fn(Own, *mut State)>,
        create: F<unsafe extern "C" fn(Own, u64, u64, bool, *mut u64) -> i64>,
        fill: F<unsafe extern "C" fn(Own, bool) -> i64>,
        claim_4k: F<unsafe extern "C" fn(Own, u64) -> i64>,
        claim_2m: F<unsafe extern "C" fn(Own, u64) -> i64>,
        claim_range: F<unsafe extern "C" fn(Own, u64, u64) -> i64>,
        release_4k: F<unsafe extern "C" fn(Own, u64) -> i64>,
        release_2m: F<unsafe extern "C" fn(Own, u64) -> i64>,
        release_range: F<unsafe extern "C" fn(Own, u64, u64) -> i64>,
        query: F<unsafe extern "C" fn(Own, u64, *mut u64) -> i64>,
        test_range: F<unsafe extern "C" fn(Own, u64, u64, *mut u64) -> i64>,
        count: F<unsafe extern "C" fn(Own, u64, u64, *mut u64) -> i64>,
        first_unclaimed: F<unsafe extern "C" fn(Own, u64, u64, *mut u64) -> i64>,
        export_words: F<unsafe extern "C" fn(Own, *mut u64, u64) -> i64>,
        import_words: F<unsafe extern "C" fn(Own, *const u64, u64) -> i64>,
        become_bitmap: F<unsafe extern "C" fn(Own) -> i64>,
        run: F<unsafe extern "C" fn(
            Own, *const Step, u64, *mut u64, *mut Answer, *mut u64, u64, *mut u64,
        )>,
    }
    "svsm_range" Range { first: u64, stop: u64 }
    "svsm_entry" Entry { first: u64, stop: u64, r#type: u64 }
    "svsm_machine" Machine {
        host: Own,
        make_private: F<unsafe extern "C" fn(Own, u64, bool) -> bool>,
        pvalidate: F<unsafe extern "C" fn(Own, u64, bool, *mut bool) -> i64>,
        zero: F<unsafe extern "C" fn(Own, u64, bool)>,
    }
    "svsm_handoff" Handoff {
        errors: Errors,
        read: F<unsafe extern "C" fn(*const u8, u64, u64, *mut Entry, u64, *mut u64) -> i64>,
        size: F<unsafe extern "C" fn(*const Entry, u64, u64, bool, *mut u64, *mut u64) -> i64>,
        reserve: F<unsafe extern "C" fn(
            *const Entry, u64, u64, u64, u64, *const Range, u64, u64, u64, *mut Range, *mut Range,
        ) -> i64>,
        carve: F<unsafe extern "C" fn(
            *const Entry, u64, *const Range, *const Range, u64, *mut Range, u64, *mut u64,
        ) -> i64>,
        write: F<unsafe extern "C" fn(
            *mut u8, u64, u64, bool, *const Range, u64, bool, bool, *mut Range,
        ) -> i64>,
        validate: F<unsafe extern "C" fn(*const Range, bool, *const Machine) -> i64>,
        view: F<unsafe extern "C" fn(
            *const u8, u64, bool, bool, bool, u64, *mut Range, *mut u64, *mut Range, *mut u64, u64,
        ) -> i64>,
    }
    "svsm_exit" Exit { info1: u64, info2: u64, buffer: [u8; 8] }
    "svsm_bus" Bus {
        host: Own,
        buffer_gpa: u64,
        shared_bit: u64,
        map: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        unmap: F<unsafe extern "C" fn(Own, u64, u64)>,
        load: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        store: F<unsafe extern "C" fn(Own, u64, u64, u64)>,
        exit_to_host: F<unsafe extern "C" fn(
            Own, u64, u64, u64, u64, *const u8, u64, *mut Exit,
        ) -> bool>,
        tdvmcall: F<unsafe extern "C" fn(
            Own, u64, u64, u64, u64, u64, *mut u64, *mut u64,
        ) -> u64>,
    }
    "svsm_slot" Slot { slot: u64, gpa: u64, size: u64, attached: u64 }
    "svsm_mmio" Mmio {
        errors: Errors,
        backends: u64,
        make: F<unsafe extern "C" fn(u64, *const Bus, u64) -> Own>,
        drop: F<unsafe extern "C" fn(Own)>,
        slots: F<unsafe extern "C" fn(Own, *mut Slot, u64) -> u64>,
        open: F<unsafe extern "C" fn(Own, u64, u64, u64, *mut u64) -> i64>,
        attach: F<unsafe extern "C" fn(Own, u64) -> i64>,
        detach: F<unsafe extern "C" fn(Own, u64) -> i64>,
        close: F<unsafe extern "C" fn(Own, u64) -> i64>,
        read: F<unsafe extern "C" fn(Own, u64, u64, u64, *mut u8) -> i64>,
        write: F<unsafe extern "C" fn(Own, u64, u64, *const u8, u64) -> i64>,
        read_u8: F<unsafe extern "C" fn(Own, u64, u64, *mut u8) -> i64>,
        read_u16: F<unsafe extern "C" fn(Own, u64, u64, *mut u16) -> i64>,
        read_u32: F<unsafe extern "C" fn(Own, u64, u64, *mut u32) -> i64>,
        read_u64: F<unsafe extern "C" fn(Own, u64, u64, *mut u64) -> i64>,
        write_u8: F<unsafe extern "C" fn(Own, u64, u64, u8) -> i64>,
        write_u16: F<unsafe extern "C" fn(Own, u64, u64, u16) -> i64>,
        write_u32: F<unsafe extern "C" fn(Own, u64, u64, u32) -> i64>,
        write_u64: F<unsafe extern "C" fn(Own, u64, u64, u64) -> i64>,
        read_config_u64: F<unsafe extern "C" fn(Own, u64, u64, u64, *mut u64) -> i64>,
    }
    "svsm_platform" Platform {
        host: Own,
        read: F<unsafe extern "C" fn(Own, u64, u64, *mut u8, u64) -> i64>,
        write: F<unsafe extern "C" fn(Own, u64, u64, *const u8, u64) -> i64>,
        fill: F<unsafe extern "C" fn(Own, u64, u64, bool, u64) -> i64>,
        flush: F<unsafe extern "C" fn(Own, u64) -> i64>,
        pvalidate: F<unsafe extern "C" fn(
            Own, u64, u64, bool, bool, *mut u64, *mut bool,
        ) -> i64>,
        rmpadjust: F<unsafe extern "C" fn(Own, u64, u64, bool, u64, bool, *mut u64) -> i64>,
        promote: F<unsafe extern "C" fn(Own, u64, u64, bool, *mut bool) -> i64>,
        demote: F<unsafe extern "C" fn(Own, u64, u64, u64) -> i64>,
        page_state: F<unsafe extern "C" fn(Own, u64, u64, bool, *mut u64, *mut u8) -> i64>,
        page_state_msr: F<unsafe extern "C" fn(Own, u64, u64, bool, *mut u64) -> i64>,
    }
    "svsm_ranges" Ranges { listed: *const Range, count: u64 }
    "svsm_vcpu" Vcpu { vmsa: u64, caa: u64 }
    "svsm_start" Start {
        guest: Ranges,
        own: Ranges,
        ghcbs: Ranges,
        measured: Ranges,
        firmware: Ranges,
        launch_vmsa: u64,
        one_lock: bool,
        heeds_ignore_cf: bool,
        by_msr: bool,
        refused: u64,
        stream: Ranges,
        stream_vmsas: Ranges,
        nonce: u64,
        claimed: Ranges,
        caas: Ranges,
        shared: Ranges,
        vcpus: *const Vcpu,
        vcpu_count: u64,
        stage: u64,
        halted: bool,
    }
    "svsm_protocol" Protocol {
        make: F<unsafe extern "C" fn(*const Platform) -> Own>,
        drop: F<unsafe extern "C" fn(Own)>,
        load: F<unsafe extern "C" fn(Own, *const Start)>,
        stage: F<unsafe extern "C" fn(Own) -> u64>,
        halted: F<unsafe extern "C" fn(Own) -> bool>,
        ranges: F<unsafe extern "C" fn(Own, u64, *mut Range, u64) -> u64>,
        pvalidate: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        create_vcpu: F<unsafe extern "C" fn(Own, u64, u64, u64) -> u64>,
        delete_vcpu: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        share: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        unshare: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        launch: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        reboot: F<unsafe extern "C" fn(Own, u64) -> u64>,
        bring: F<unsafe extern "C" fn(Own, u64, u64) -> u64>,
        record: F<unsafe extern "C" fn(Own, u64, bool) -> u64>,
        power_on: F<unsafe extern "C" fn(Own) -> u64>,
        start: F<unsafe extern "C" fn(Own) -> u64>,
        export_record: F<unsafe extern "C" fn(Own) -> u64>,
        take: F<unsafe extern "C" fn(Own, u64) -> u64>,
        complete: F<unsafe extern "C" fn(Own) -> u64>,
    }
    "svsm_library" Library {
        name: *const c_char,
        claims: *const *const c_char,
        bitmap: *const Record,
        runs: *const Record,
        handoff: *const Handoff,
        mmio: *const Mmio,
        protocol: *const Protocol,
    }
}

/// No table of errors: the codes of the header are answered as they are.
pub const NO_ERRORS: Errors = Errors { listed: std::ptr::null(), count: 0 };

/// The tables of a library, at a place that stays.
#[repr(transparent)]
pub struct Exported(pub Library);

// SAFETY: what it points to is constant, and is never written.
unsafe impl Sync for Exported {}
