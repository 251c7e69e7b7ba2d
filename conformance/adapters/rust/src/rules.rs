//! The ids of the rules that can be claimed, by the names that [`export!`](crate::export) takes.
//!
//! A name that is no rule does not compile.

use crate::Svsm;
use std::ffi::c_char;

macro_rules! ids {
    ($group:ident $note:literal $prefix:literal: $($name:ident)*) => {
        #[doc = $note]
        #[allow(non_upper_case_globals)]
        pub mod $group {
            $(
                #[doc = concat!("`", $prefix, stringify!($name), "`")]
                pub const $name: &str = concat!($prefix, stringify!($name), "\0");
            )*
        }
    };
}

ids! { bitmap "Of the bitmap." "validation.bitmap.":
    create fill claim_4k claim_2m claim_range release_4k release_2m release_range query test_range
    count first_unclaimed export_words import_words
}
ids! { runs "Of the record that is kept as runs." "validation.runs.":
    create fill claim_4k claim_2m claim_range release_4k release_2m release_range query test_range
    count first_unclaimed export_words import_words switch
}
ids! { handoff "Of the memory map's handoff." "handoff.":
    read size kernel reserve carve validate write low_memory view
}
ids! { mmio "Of MMIO." "mmio.":
    open attach detach close read write read_u8 read_u16 read_u32 read_u64
    write_u8 write_u16 write_u32 write_u64 config_round
}

macro_rules! all {
    ($($area:literal: $($name:literal)*;)*) => {
        &[$($(concat!("validation.", $area, ".", $name, "\0")),*),*]
    };
}

const PROTOCOL: &[&str] = all! {
    "pvalidate": "call" "entry" "claim" "validate" "fill" "grant" "check" "revoke" "rescind"
        "restore" "flush" "release" "finish" "answer";
    "vmsa": "create" "promote" "delete" "demote";
    "visibility": "share" "unshare" "ask_shared" "ask_private";
    "launch": "record" "power_on" "launch" "start";
    "reboot": "reboot" "reboot_vmsa" "reboot_page" "reboot_end";
    "migration": "export" "take" "bring" "complete";
};

/// The ids of all rules of the core protocol.
#[doc(hidden)]
pub const fn whole<T: Svsm>() -> &'static [&'static str] {
    PROTOCOL
}

/// How many ids there are in some lists.
#[doc(hidden)]
pub const fn count(listed: &[&[&str]]) -> usize {
    let (mut total, mut place) = (0, 0);
    while place < listed.len() {
        total += listed[place].len();
        place += 1;
    }
    total
}

/// The ids of some lists as C has them, with no pointer behind the last.
#[doc(hidden)]
pub const fn joined<const N: usize>(listed: &[&[&str]]) -> [*const c_char; N] {
    let mut made = [std::ptr::null(); N];
    let (mut list, mut written) = (0, 0);
    while list < listed.len() {
        let mut place = 0;
        while place < listed[list].len() {
            made[written] = listed[list][place].as_ptr().cast();
            written += 1;
            place += 1;
        }
        list += 1;
    }
    made
}
