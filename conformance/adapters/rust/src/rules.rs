//! The ids of the rules that can be claimed, by the names that [`export!`](crate::export) takes.
//!
//! A name that is no rule does not compile.

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
    read size kernel reserve carve write
}
ids! { mmio "Of MMIO." "mmio.":
    open attach detach close read write read_u8 read_u16 read_u32 read_u64
    write_u8 write_u16 write_u32 write_u64 config_round
}
