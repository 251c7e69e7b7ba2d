//! The stages of the memory map's handoff, each a function of its arguments alone.

use crate::ffi;
use crate::panic::{status, unwritten};

/// Why a map was refused: whole, with nothing reserved and nothing written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
#[allow(missing_docs)]
pub enum MapRefusal {
    NonzeroReserved = 1,
    UnknownType = 2,
    Wraps = 3,
    AboveLimit = 4,
    Unsorted = 5,
    Overlaps = 6,
    NoMemory = 7,
    OverCap = 8,
    BadKernelBounds = 9,
    KernelOutside = 10,
    KernelMeetsExcluded = 11,
    NoRoom = 12,
    NoLowMemory = 13,
    AlreadyWritten = 14,
    Misaligned = 15,
    AreaOutside = 16,
    TooMany = 17,
    NotTaken = 18,
    NotPrivate = 19,
    NotValidated = 20,
}

/// Pages `[first, stop)` of 4 KiB; the empty range is `[0, 0)`.
pub type Pages = ffi::Range;

/// An entry of the host's map: pages `[first, stop)` of a type, 0 MEMORY to 5 HIDDEN.
pub type Entry = ffi::Entry;

/// What is measured of the kernel, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelBounds {
    /// Its first page.
    pub base: u64,
    /// Its least size.
    pub least: u64,
    /// Its greatest size.
    pub most: u64,
}

/// Where the guest's map is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Its byte address.
    pub address: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Whether its pages are validated already.
    pub prevalidated: bool,
}

/// What OVMF does with a map, by the version of its image; `docs/handoff.md` tells of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ovmf {
    /// It reads a map at all.
    pub takes_map: bool,
    /// It refuses a map whose first entry looks like none.
    pub checks_first: bool,
    /// Low memory is the entry at page 0.
    pub low_from_base: bool,
}

/// The machine on which the bitmaps' region is made ready: SEV-SNP and the host.
///
/// `large` is for the 512 pages from that one on.
#[derive(Debug, Clone, Copy)]
pub struct Machine<'a>(&'a ffi::Machine);

impl Machine<'_> {
    /// Ask the host to make a page private; whether it says that it has.
    pub fn make_private(&self, page: u64, large: bool) -> bool {
        let ask = self.0.make_private.expect("the machine has make_private");
        unsafe { ask(self.0.host, page, large) }
    }

    /// PVALIDATE: EAX, and the carry flag.
    pub fn pvalidate(&self, page: u64, large: bool) -> (i64, bool) {
        let (ask, mut carry) = (self.0.pvalidate.expect("the machine has pvalidate"), false);
        let code = unsafe { ask(self.0.host, page, large, &mut carry) };
        (code, carry)
    }

    /// Write zeros.
    pub fn zero(&self, page: u64, large: bool) {
        let ask = self.0.zero.expect("the machine has zero");
        unsafe { ask(self.0.host, page, large) }
    }
}

/// What a stage makes, or why the map was refused.
pub type Made<T> = Result<T, MapRefusal>;

/// The stages of the handoff; write those that you claim.
///
/// What each takes, which refusals it has and in which order it looks is told in `docs/handoff.md`.
/// `reserve` is what both rules `handoff.kernel` and `handoff.reserve` are about.
#[allow(unused_variables)]
pub trait Handoff {
    /// Stage 1, bytes to entries. `limit` is in pages.
    fn read(area: &[u8], limit: u64) -> Made<Vec<Entry>> {
        unwritten("read")
    }
    /// Stage 2: the pages that are tracked, and the pages of their bitmaps.
    fn size(entries: &[Entry], cap: u64, tracks: bool) -> Made<(u64, u64)> {
        unwritten("size")
    }
    /// Stage 3: the kernel's pages, and the bitmaps' region.
    fn reserve(
        entries: &[Entry],
        kernel: KernelBounds,
        excluded: &[Pages],
        bitmaps: u64,
        limit: u64,
    ) -> Made<(Pages, Pages)> {
        unwritten("reserve")
    }
    /// Stage 4: what the guest gets.
    fn carve(entries: &[Entry], kernel: Pages, region: Pages, low_pages: u64) -> Made<Vec<Pages>> {
        unwritten("carve")
    }
    /// Stage 5: the region's pages are made private where they are `shared`, validated and zeroed.
    fn validate(region: Pages, shared: bool, machine: Machine) -> Made<()> {
        unwritten("validate")
    }
    /// Stage 6: the pages that were validated. `memory` is what the area's pages hold, from the
    /// start of the first one on.
    fn write(
        memory: &mut [u8],
        area: Area,
        guest: &[Pages],
        with_terminator: bool,
        published: bool,
    ) -> Made<Pages> {
        unwritten("write")
    }
    /// Stage 7: what OVMF takes as RAM, and what it reserves. `page` is from the area on; `told` is
    /// the page past low memory, as QEMU tells it.
    fn view(page: &[u8], image: Ovmf, told: u64) -> Made<(Vec<Pages>, Vec<Pages>)> {
        unwritten("view")
    }
}

impl ffi::Handoff {
    /// The table of the stages.
    pub const fn of<T: Handoff>() -> ffi::Handoff {
        ffi::Handoff {
            errors: ffi::NO_ERRORS,
            read: Some(read::<T>),
            size: Some(size::<T>),
            reserve: Some(reserve::<T>),
            carve: Some(carve::<T>),
            write: Some(write::<T>),
            validate: Some(validate::<T>),
            view: Some(view::<T>),
        }
    }
}

fn told<V>(made: Made<V>, write: impl FnOnce(V)) -> i64 {
    match made {
        Ok(value) => {
            write(value);
            ffi::OK
        }
        Err(refusal) => refusal as i64,
    }
}

unsafe fn listed<'a, T>(first: *const T, count: u64) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(first, count as usize) }
}

/// Write a list where there is room for it; more than there is room for is a panic.
unsafe fn put<T: Copy>(made: &[T], to: *mut T, room: u64, count: *mut u64) {
    assert!(made.len() as u64 <= room, "made {} of what there can be {room} of", made.len());
    unsafe {
        to.copy_from_nonoverlapping(made.as_ptr(), made.len());
        *count = made.len() as u64;
    }
}

unsafe extern "C" fn read<T: Handoff>(
    area: *const u8,
    bytes: u64,
    limit: u64,
    entries: *mut Entry,
    room: u64,
    count: *mut u64,
) -> i64 {
    status(|| unsafe {
        told(T::read(listed(area, bytes), limit), |made| put(&made, entries, room, count))
    })
}

unsafe extern "C" fn size<T: Handoff>(
    entries: *const Entry,
    count: u64,
    cap: u64,
    tracks: bool,
    tracked: *mut u64,
    bitmaps: *mut u64,
) -> i64 {
    status(|| unsafe {
        told(T::size(listed(entries, count), cap, tracks), |made| (*tracked, *bitmaps) = made)
    })
}

unsafe extern "C" fn reserve<T: Handoff>(
    entries: *const Entry,
    count: u64,
    base: u64,
    least: u64,
    most: u64,
    excluded: *const Pages,
    excluded_count: u64,
    bitmaps: u64,
    limit: u64,
    kernel: *mut Pages,
    region: *mut Pages,
) -> i64 {
    status(|| unsafe {
        let bounds = KernelBounds { base, least, most };
        let excluded = listed(excluded, excluded_count);
        told(T::reserve(listed(entries, count), bounds, excluded, bitmaps, limit), |made| {
            (*kernel, *region) = made;
        })
    })
}

unsafe extern "C" fn carve<T: Handoff>(
    entries: *const Entry,
    count: u64,
    kernel: *const Pages,
    region: *const Pages,
    low_pages: u64,
    guest: *mut Pages,
    room: u64,
    guest_count: *mut u64,
) -> i64 {
    status(|| unsafe {
        told(T::carve(listed(entries, count), *kernel, *region, low_pages), |made| {
            put(&made, guest, room, guest_count);
        })
    })
}

unsafe extern "C" fn write<T: Handoff>(
    memory: *mut u8,
    address: u64,
    bytes: u64,
    prevalidated: bool,
    guest: *const Pages,
    guest_count: u64,
    with_terminator: bool,
    published: bool,
    validated: *mut Pages,
) -> i64 {
    status(|| unsafe {
        let page = u128::from(ffi::PAGE_BYTES);
        let stop = (u128::from(address) + u128::from(bytes)).div_ceil(page);
        let held = ((stop - u128::from(address) / page) * page) as usize;
        let memory = if held == 0 { &mut [] } else { std::slice::from_raw_parts_mut(memory, held) };
        let area = Area { address, bytes, prevalidated };
        let guest = listed(guest, guest_count);
        told(T::write(memory, area, guest, with_terminator, published), |made| *validated = made)
    })
}

unsafe extern "C" fn validate<T: Handoff>(
    region: *const Pages,
    shared: bool,
    machine: *const ffi::Machine,
) -> i64 {
    status(|| unsafe { told(T::validate(*region, shared, Machine(&*machine)), |()| ()) })
}

unsafe extern "C" fn view<T: Handoff>(
    page: *const u8,
    bytes: u64,
    takes_map: bool,
    checks_first: bool,
    low_from_base: bool,
    low_told: u64,
    ram: *mut Pages,
    ram_count: *mut u64,
    reserved: *mut Pages,
    reserved_count: *mut u64,
    room: u64,
) -> i64 {
    status(|| unsafe {
        let image = Ovmf { takes_map, checks_first, low_from_base };
        told(T::view(listed(page, bytes), image, low_told), |(seen, kept)| {
            put(&seen, ram, room, ram_count);
            put(&kept, reserved, room, reserved_count);
        })
    })
}
