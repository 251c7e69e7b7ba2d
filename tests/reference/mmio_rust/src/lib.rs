//! Accessors in Rust, alone and through the crates that SVSMs use, each a function to be audited.
//!
//! `EXPECT` says how a function is called and what is right of it. What is called `right_*` has to
//! be judged PASS, what is called `wrong_*` FAIL. The records that `transport` points to are laid
//! out as the compiler likes; `transport_layout` tells where their fields are.

#![allow(clippy::missing_safety_doc)]

use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr::{self, NonNull};
use safe_mmio::fields::{ReadOnly, ReadPure, ReadPureWrite, ReadWrite, WriteOnly};
use safe_mmio::{UniqueMmioPointer, field, field_shared};
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceStatus, Transport};

// EXPECT right_read32(mmio): R32
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_read32(mmio: *const u32) -> u32 {
    unsafe { ptr::read_volatile(mmio) }
}

// EXPECT right_write16(mmio,value:16): W16
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_write16(mmio: *mut u16, value: u16) {
    unsafe { ptr::write_volatile(mmio, value) }
}

/// The slice interface, read: one access of as many bytes as the slice has.
// EXPECT right_read_slice(mmio,data,length): R{length} if length in 1,2,4,8 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_read_slice(
    mmio: *const u8,
    data: *mut MaybeUninit<u8>,
    length: usize,
) -> bool {
    unsafe {
        match length {
            1 => data.cast::<u8>().write_unaligned(ptr::read_volatile(mmio)),
            2 => data.cast::<u16>().write_unaligned(ptr::read_volatile(mmio.cast())),
            4 => data.cast::<u32>().write_unaligned(ptr::read_volatile(mmio.cast())),
            8 => data.cast::<u64>().write_unaligned(ptr::read_volatile(mmio.cast())),
            _ => return false,
        }
    }
    true
}

// EXPECT right_write_slice(mmio,data,length): W{length} if length in 1,2,4,8 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_write_slice(mmio: *mut u8, data: *const u8, length: usize) -> bool {
    unsafe {
        match length {
            1 => ptr::write_volatile(mmio, data.read_unaligned()),
            2 => ptr::write_volatile(mmio.cast(), data.cast::<u16>().read_unaligned()),
            4 => ptr::write_volatile(mmio.cast(), data.cast::<u32>().read_unaligned()),
            8 => ptr::write_volatile(mmio.cast(), data.cast::<u64>().read_unaligned()),
            _ => return false,
        }
    }
    true
}

/// Registers by number, as an emulator or a dispatcher has them: a jump table.
// EXPECT right_dispatch(mmio,register,value:32): R32@8 if register == 0 else W8@1(value) if register == 1 else W16@2(value) if register == 2 else W32@4(value) if register == 3 else R32@0x10 if register == 4 else W32@0x14(value * 3) if register == 5 else W32@0x18(value + 1) if register == 6 else W64@0x20(value) if register == 7 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_dispatch(mmio: *mut u8, register: u64, value: u32) -> u32 {
    unsafe {
        match register {
            0 => return ptr::read_volatile(mmio.add(8).cast::<u32>()),
            1 => ptr::write_volatile(mmio.add(1), value as u8),
            2 => ptr::write_volatile(mmio.add(2).cast::<u16>(), value as u16),
            3 => ptr::write_volatile(mmio.add(4).cast::<u32>(), value),
            4 => return ptr::read_volatile(mmio.add(16).cast::<u32>()),
            5 => ptr::write_volatile(mmio.add(20).cast::<u32>(), value.wrapping_mul(3)),
            6 => ptr::write_volatile(mmio.add(24).cast::<u32>(), value.wrapping_add(1)),
            7 => ptr::write_volatile(mmio.add(32).cast::<u64>(), value.into()),
            _ => {}
        }
    }
    0
}

// EXPECT right_poll(mmio): R32* returning read
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_poll(mmio: *const u32) -> u32 {
    loop {
        let value = unsafe { ptr::read_volatile(mmio) };
        if value & 1 != 0 {
            return value;
        }
        core::hint::spin_loop();
    }
}

// safe-mmio, as its users have it: a block of registers, and pointers to its fields.

#[repr(C)]
pub struct Uart {
    data: ReadWrite<u8>,
    _padding: [u8; 3],
    status: ReadPure<u32>,
    fifo: ReadOnly<u32>,
    control: ReadPureWrite<u32>,
    doorbell: WriteOnly<u64>,
    scratch: [ReadPureWrite<u16>; 4],
}

// EXPECT right_safe_status(mmio): R32@4
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_status(mmio: NonNull<Uart>) -> u32 {
    let uart = unsafe { UniqueMmioPointer::new(mmio) };
    field_shared!(uart, status).read()
}

// EXPECT right_safe_fifo(mmio): R32@8
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_fifo(mmio: NonNull<Uart>) -> u32 {
    let mut uart = unsafe { UniqueMmioPointer::new(mmio) };
    field!(uart, fifo).read()
}

// EXPECT right_safe_data(mmio,value:8): W8
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_data(mmio: NonNull<Uart>, value: u8) {
    let mut uart = unsafe { UniqueMmioPointer::new(mmio) };
    field!(uart, data).write(value);
}

// EXPECT right_safe_doorbell(mmio,value): W64@16
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_doorbell(mmio: NonNull<Uart>, value: u64) {
    let mut uart = unsafe { UniqueMmioPointer::new(mmio) };
    field!(uart, doorbell).write(value);
}

// EXPECT right_safe_modify(mmio,value:32): RMW32@12(old | value)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_modify(mmio: NonNull<Uart>, value: u32) {
    let mut uart = unsafe { UniqueMmioPointer::new(mmio) };
    let mut control = field!(uart, control);
    let old = control.read();
    control.write(old | value);
}

// EXPECT right_safe_index(mmio,index,value:16): W16@(24 + 2 * index) if index < 4 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn right_safe_index(mmio: NonNull<Uart>, index: usize, value: u16) -> bool {
    let mut uart = unsafe { UniqueMmioPointer::new(mmio) };
    match field!(uart, scratch).get(index) {
        Some(mut one) => {
            one.write(value);
            true
        }
        None => false,
    }
}

// virtio-drivers: a transport that a driver was given.

/// Where `MmioTransport` keeps its pointers: that of the header, of the configuration space and
/// its length, a byte each; found by looking at one that is made over ordinary memory.
#[unsafe(no_mangle)]
pub extern "C" fn transport_layout() -> u64 {
    let mut block = [0u32; 128];
    block[0] = 0x7472_6976;
    block[1] = 2;
    block[2] = 1;
    let header = NonNull::new(block.as_mut_ptr().cast::<VirtIOHeader>()).unwrap();
    const SIZE: usize = size_of::<MmioTransport<'static>>() / 8;
    let Ok(made) = (unsafe { MmioTransport::new(header, 512) }) else {
        return u64::MAX;
    };
    let made = ManuallyDrop::new(made);
    let words: [MaybeUninit<u64>; SIZE] = unsafe { ptr::read((&raw const made).cast()) };
    let base = header.as_ptr() as u64;
    let place = |wanted: u64| {
        // The last word may be half padding, and no field that is looked for lies there.
        (0..3).find(|n| unsafe { words[*n].assume_init() } == wanted).unwrap_or(31) as u64 * 8
    };
    place(base) | place(base + 256) << 8 | place(256) << 16
}

// EXPECT right_virtio_notify(transport,queue:16): W32@0x50(queue)
#[unsafe(no_mangle)]
pub fn right_virtio_notify(transport: &mut MmioTransport<'static>, queue: u16) {
    transport.notify(queue);
}

// EXPECT right_virtio_status(transport): R32@0x70 returning any
#[unsafe(no_mangle)]
pub fn right_virtio_status(transport: &mut MmioTransport<'static>) -> bool {
    transport.get_status().contains(DeviceStatus::DRIVER_OK)
}

// EXPECT right_virtio_set_status(transport,value:32): W32@0x70
#[unsafe(no_mangle)]
pub fn right_virtio_set_status(transport: &mut MmioTransport<'static>, value: u32) {
    transport.set_status(DeviceStatus::from_bits_retain(value));
}

// EXPECT right_virtio_features(transport): W32@0x14(0) then R32@0x10 then W32@0x14(1) then R32@0x10 returning (answer2 << 32) + answer1
#[unsafe(no_mangle)]
pub fn right_virtio_features(transport: &mut MmioTransport<'static>) -> u64 {
    transport.read_device_features()
}

// EXPECT right_virtio_ack(transport): R32@0x60 then W32@0x64(read) if answer1 != 0 else R32@0x60 returning any
#[unsafe(no_mangle)]
pub fn right_virtio_ack(transport: &mut MmioTransport<'static>) -> bool {
    !transport.ack_interrupt().is_empty()
}

// EXPECT right_virtio_config(transport): R32@0x108 returning any
#[unsafe(no_mangle)]
pub fn right_virtio_config(transport: &mut MmioTransport<'static>) -> u32 {
    transport.read_config_space::<u32>(8).unwrap_or(0)
}

// EXPECT right_virtio_config_write(transport,value:16): W16@0x102
#[unsafe(no_mangle)]
pub fn right_virtio_config_write(transport: &mut MmioTransport<'static>, value: u16) -> bool {
    transport.write_config_space::<u16>(2, value).is_ok()
}

/// A hardware address as one volatile value: six bytes, which is no width of a register.
// EXPECT wrong_virtio_config_array(transport): R8@0x100 then R8@0x101 then R8@0x102 then R8@0x103 then R8@0x104 then R8@0x105 returning any
#[unsafe(no_mangle)]
pub fn wrong_virtio_config_array(transport: &mut MmioTransport<'static>) -> u16 {
    let read = transport.read_config_space::<[u16; 3]>(0).unwrap_or([0; 3]);
    read[0] ^ read[1] ^ read[2]
}

// Wrong ones.

// EXPECT wrong_u128(mmio,data): R64
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_u128(mmio: *const u128, data: *mut u128) {
    unsafe { *data = ptr::read_volatile(mmio) }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Ring {
    low: u32,
    high: u32,
    size: u16,
    flags: u16,
}

// EXPECT wrong_struct(mmio,data): W32
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_struct(mmio: *mut Ring, data: *const Ring) {
    unsafe { ptr::write_volatile(mmio, *data) }
}

// EXPECT wrong_safe_struct(mmio,data): W32
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_safe_struct(mmio: NonNull<Ring>, data: *const [u32; 3]) {
    let words: UniqueMmioPointer<'_, [u32; 3]> = unsafe { UniqueMmioPointer::new(mmio.cast()) };
    let mut words = words;
    unsafe { words.write_unsafe(*data) }
}

// EXPECT wrong_copy(mmio,data,length): W{length} if length in 1,2,4,8 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_copy(mmio: *mut u8, data: *const u8, length: usize) {
    unsafe { ptr::copy_nonoverlapping(data, mmio, length) }
}

// EXPECT wrong_modify(mmio,value:32): W32
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_modify(mmio: *mut u32, value: u32) {
    unsafe { ptr::write_volatile(mmio, ptr::read_volatile(mmio) | value) }
}

// EXPECT wrong_double_read(mmio): R32
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_double_read(mmio: *const u32) -> u32 {
    unsafe {
        if ptr::read_volatile(mmio) == u32::MAX {
            return 0;
        }
        ptr::read_volatile(mmio)
    }
}

// EXPECT wrong_byte_loop(mmio,data,length): W{length} if length in 1,2,4,8 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_byte_loop(mmio: *mut u8, data: *const u8, length: usize) {
    let mut at = 0;
    while at < length {
        unsafe { ptr::write_volatile(mmio.wrapping_add(at), *data.wrapping_add(at)) }
        at += 1;
    }
}

// EXPECT wrong_dispatch(mmio,register,value:32): W32@(4 * register) if register < 6 else none
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wrong_dispatch(mmio: *mut u32, register: u64, value: u32) {
    unsafe {
        match register {
            0 => ptr::write_volatile(mmio, value),
            1 => ptr::write_volatile(mmio.add(1), value),
            2 => ptr::write_volatile(mmio.add(2), value.swap_bytes()),
            3 => ptr::write_volatile(mmio.add(3), value),
            4 => ptr::write_volatile(mmio.add(4).cast::<u16>(), value as u16),
            5 => ptr::write_volatile(mmio.add(5), value),
            _ => {}
        }
    }
}
