//! MMIO: one call is one transaction, of that width.

use crate::ffi;
use crate::panic::{or_abort, status, unwritten};
use std::ffi::c_void;

/// Why an access or a slot was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
#[allow(missing_docs)]
pub enum MmioRefusal {
    BadLength = 1,
    Unmapped = 2,
    Outside = 3,
    Misaligned = 4,
    NoAnswer = 5,
    HostRefused = 6,
    Garbage = 7,
    AlreadyOpen = 8,
    Empty = 9,
    AboveLimit = 10,
    Overlaps = 11,
    NoMapping = 12,
    Attached = 13,
    NotAttached = 14,
    Unstable = 15,
}

/// How an implementation reaches the devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Backend {
    /// By the bus's load and store, which stand for the native instructions.
    Native = 1,
    /// By exits to the host with a GHCB.
    Snp = 2,
    /// By calls of the TDX module.
    Tdx = 4,
}

/// An open slot; `attached` is 0 or 1.
pub type Slot = ffi::Slot;
/// What comes back from an exit to the host: the first 8 bytes of the shared buffer among it.
pub type Exit = ffi::Exit;

/// All that an implementation does to the outside; made by the suite, which outlives it.
#[derive(Debug, Clone, Copy)]
pub struct Bus(*const ffi::Bus);

impl Bus {
    fn table(&self) -> &ffi::Bus {
        // SAFETY: the header promises that the bus outlives what is made with it.
        unsafe { &*self.0 }
    }

    /// SNP: where the shared buffer is.
    pub fn buffer_gpa(&self) -> u64 {
        self.table().buffer_gpa
    }

    /// TDX: the bit that says that an address is shared, as a mask.
    pub fn shared_bit(&self) -> u64 {
        self.table().shared_bit
    }

    /// Native: map pages; the virtual address of the first, or none where they cannot be.
    pub fn map(&self, first_page: u64, pages: u64) -> Option<u64> {
        let bus = self.table();
        let address = unsafe { bus.map.expect("a native bus")(bus.host, first_page, pages) };
        (address != 0).then_some(address)
    }

    /// Native: undo a mapping.
    pub fn unmap(&self, address: u64, pages: u64) {
        let bus = self.table();
        unsafe { bus.unmap.expect("a native bus")(bus.host, address, pages) }
    }

    /// Native: one load of `width` bytes at a mapped address.
    pub fn load(&self, address: u64, width: u64) -> u64 {
        let bus = self.table();
        unsafe { bus.load.expect("a native bus")(bus.host, address, width) }
    }

    /// Native: one store of `width` bytes at a mapped address.
    pub fn store(&self, address: u64, width: u64, value: u64) {
        let bus = self.table();
        unsafe { bus.store.expect("a native bus")(bus.host, address, width, value) }
    }

    /// SNP: one exit; none where the host did not mark its answer as valid.
    pub fn exit_to_host(
        &self,
        code: u64,
        info1: u64,
        info2: u64,
        scratch: u64,
        buffer: &[u8],
    ) -> Option<Exit> {
        let bus = self.table();
        let mut back = Exit { info1: 0, info2: 0, buffer: [0; 8] };
        let exit = bus.exit_to_host.expect("an SNP bus");
        let (data, bytes) = (buffer.as_ptr(), buffer.len() as u64);
        let valid = unsafe { exit(bus.host, code, info1, info2, scratch, data, bytes, &mut back) };
        valid.then_some(back)
    }

    /// TDX: one call; answers RAX, R10 and R11.
    pub fn tdvmcall(&self, r11: u64, r12: u64, r13: u64, r14: u64, r15: u64) -> (u64, u64, u64) {
        let bus = self.table();
        let (mut r10_back, mut r11_back) = (0, 0);
        let call = bus.tdvmcall.expect("a TDX bus");
        let rax = unsafe { call(bus.host, r11, r12, r13, r14, r15, &mut r10_back, &mut r11_back) };
        (rax, r10_back, r11_back)
    }
}

/// What a call answers, or why it was refused.
pub type Accessed<T = ()> = Result<T, MmioRefusal>;

/// A machine's MMIO; write the calls that you claim. See `docs/mmio.md`.
#[allow(unused_variables)]
pub trait Mmio: Sized {
    /// The back ends that it has.
    const BACKENDS: &'static [Backend];

    /// A machine with no slot open. `limit` is the address limit in bytes.
    fn new(backend: Backend, bus: Bus, limit: u64) -> Self;
    /// The open slots.
    fn slots(&self) -> Vec<Slot>;

    /// Open a slot; answers the number of pages mapped.
    fn open(&mut self, slot: u64, gpa: u64, size: u64) -> Accessed<u64> {
        unwritten("open")
    }
    /// Begin to use a slot by a transport.
    fn attach(&mut self, slot: u64) -> Accessed {
        unwritten("attach")
    }
    /// Drop the transport, which resets the device.
    fn detach(&mut self, slot: u64) -> Accessed {
        unwritten("detach")
    }
    /// Close a slot.
    fn close(&mut self, slot: u64) -> Accessed {
        unwritten("close")
    }
    /// Read `length` bytes; answers them as a little-endian number.
    fn read(&mut self, slot: u64, offset: u64, length: u64) -> Accessed<u64> {
        unwritten("read")
    }
    /// Write as many bytes as there are.
    fn write(&mut self, slot: u64, offset: u64, data: &[u8]) -> Accessed {
        unwritten("write")
    }
    /// Read 8 bits.
    fn read_u8(&mut self, slot: u64, offset: u64) -> Accessed<u8> {
        unwritten("read_u8")
    }
    /// Read 16 bits.
    fn read_u16(&mut self, slot: u64, offset: u64) -> Accessed<u16> {
        unwritten("read_u16")
    }
    /// Read 32 bits.
    fn read_u32(&mut self, slot: u64, offset: u64) -> Accessed<u32> {
        unwritten("read_u32")
    }
    /// Read 64 bits.
    fn read_u64(&mut self, slot: u64, offset: u64) -> Accessed<u64> {
        unwritten("read_u64")
    }
    /// Write 8 bits.
    fn write_u8(&mut self, slot: u64, offset: u64, value: u8) -> Accessed {
        unwritten("write_u8")
    }
    /// Write 16 bits.
    fn write_u16(&mut self, slot: u64, offset: u64, value: u16) -> Accessed {
        unwritten("write_u16")
    }
    /// Write 32 bits.
    fn write_u32(&mut self, slot: u64, offset: u64, value: u32) -> Accessed {
        unwritten("write_u32")
    }
    /// Write 64 bits.
    fn write_u64(&mut self, slot: u64, offset: u64, value: u64) -> Accessed {
        unwritten("write_u64")
    }
    /// Read a field of 64 bits in virtio's configuration space (the rule `mmio.config_round`).
    fn read_config_u64(&mut self, slot: u64, offset: u64, tries: u64) -> Accessed<u64> {
        unwritten("config_round")
    }
}

impl ffi::Mmio {
    /// The table of an implementation.
    pub const fn of<T: Mmio>() -> ffi::Mmio {
        let (mut backends, mut place) = (0, 0);
        while place < T::BACKENDS.len() {
            backends |= T::BACKENDS[place] as u64;
            place += 1;
        }
        ffi::Mmio {
            errors: ffi::NO_ERRORS,
            backends,
            make: Some(make::<T>),
            drop: Some(drop::<T>),
            slots: Some(slots::<T>),
            open: Some(open::<T>),
            attach: Some(attach::<T>),
            detach: Some(detach::<T>),
            close: Some(close::<T>),
            read: Some(read::<T>),
            write: Some(write::<T>),
            read_u8: Some(read_u8::<T>),
            read_u16: Some(read_u16::<T>),
            read_u32: Some(read_u32::<T>),
            read_u64: Some(read_u64::<T>),
            write_u8: Some(write_u8::<T>),
            write_u16: Some(write_u16::<T>),
            write_u32: Some(write_u32::<T>),
            write_u64: Some(write_u64::<T>),
            read_config_u64: Some(read_config_u64::<T>),
        }
    }
}

fn told<V>(done: Accessed<V>, write: impl FnOnce(V)) -> i64 {
    match done {
        Ok(value) => {
            write(value);
            ffi::OK
        }
        Err(refusal) => refusal as i64,
    }
}

unsafe fn held<'a, T>(own: *mut c_void) -> &'a mut T {
    unsafe { &mut *own.cast() }
}

unsafe extern "C" fn make<T: Mmio>(backend: u64, bus: *const ffi::Bus, limit: u64) -> *mut c_void {
    or_abort(|| {
        let known = [Backend::Native, Backend::Snp, Backend::Tdx];
        match known.into_iter().find(|&one| one as u64 == backend) {
            Some(backend) => Box::into_raw(Box::new(T::new(backend, Bus(bus), limit))).cast(),
            None => std::ptr::null_mut(),
        }
    })
}

unsafe extern "C" fn drop<T: Mmio>(own: *mut c_void) {
    or_abort(|| std::mem::drop(unsafe { Box::from_raw(own.cast::<T>()) }));
}

unsafe extern "C" fn slots<T: Mmio>(own: *mut c_void, to: *mut Slot, room: u64) -> u64 {
    or_abort(|| unsafe {
        let open = held::<T>(own).slots();
        let count = open.len().min(room as usize);
        to.copy_from_nonoverlapping(open.as_ptr(), count);
        open.len() as u64
    })
}

unsafe extern "C" fn open<T: Mmio>(
    own: *mut c_void,
    slot: u64,
    gpa: u64,
    size: u64,
    pages: *mut u64,
) -> i64 {
    status(|| unsafe { told(held::<T>(own).open(slot, gpa, size), |value| *pages = value) })
}

macro_rules! of_a_slot {
    ($($name:ident)*) => {$(
        unsafe extern "C" fn $name<T: Mmio>(own: *mut c_void, slot: u64) -> i64 {
            status(|| unsafe { told(held::<T>(own).$name(slot), |()| ()) })
        }
    )*};
}

macro_rules! typed {
    ($($read:ident $write:ident $kind:ty;)*) => {$(
        unsafe extern "C" fn $read<T: Mmio>(
            own: *mut c_void,
            slot: u64,
            offset: u64,
            value: *mut $kind,
        ) -> i64 {
            status(|| unsafe { told(held::<T>(own).$read(slot, offset), |got| *value = got) })
        }

        unsafe extern "C" fn $write<T: Mmio>(
            own: *mut c_void,
            slot: u64,
            offset: u64,
            value: $kind,
        ) -> i64 {
            status(|| unsafe { told(held::<T>(own).$write(slot, offset, value), |()| ()) })
        }
    )*};
}

of_a_slot! { attach detach close }
typed! {
    read_u8 write_u8 u8;
    read_u16 write_u16 u16;
    read_u32 write_u32 u32;
    read_u64 write_u64 u64;
}

unsafe extern "C" fn read<T: Mmio>(
    own: *mut c_void,
    slot: u64,
    offset: u64,
    length: u64,
    data: *mut u8,
) -> i64 {
    status(|| unsafe {
        told(held::<T>(own).read(slot, offset, length), |got| {
            let bytes = got.to_le_bytes();
            data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        })
    })
}

unsafe extern "C" fn write<T: Mmio>(
    own: *mut c_void,
    slot: u64,
    offset: u64,
    data: *const u8,
    length: u64,
) -> i64 {
    status(|| unsafe {
        // There are 8 bytes at `data`; a longer write is to be refused whatever they are.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(1 << 20)];
        let count = bytes.len().min(8);
        bytes[..count].copy_from_slice(std::slice::from_raw_parts(data, count));
        told(held::<T>(own).write(slot, offset, &bytes), |()| ())
    })
}

unsafe extern "C" fn read_config_u64<T: Mmio>(
    own: *mut c_void,
    slot: u64,
    offset: u64,
    tries: u64,
    value: *mut u64,
) -> i64 {
    status(|| unsafe {
        told(held::<T>(own).read_config_u64(slot, offset, tries), |got| *value = got)
    })
}
