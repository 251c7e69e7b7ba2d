//! MMIO by three back ends, written from docs/mmio.md: one call, one transaction, of that width.

use std::collections::BTreeMap;
use svsm_conformance::{Accessed, Backend, Bus, Mmio, MmioRefusal, Slot};

const PAGE: u64 = 4096;
const SNP_READ: u64 = 0x8000_0001;
const SNP_WRITE: u64 = 0x8000_0002;
const TDX_MMIO: u64 = 48;
/// Offsets of a virtio device's control registers.
const STATUS: u64 = 0x70;
const GENERATION: u64 = 0xfc;
const CONFIG: u64 = 0x100;

/// A slot that is open.
struct Open {
    gpa: u64,
    size: u64,
    attached: bool,
    /// Native: where its first page is mapped, and how many are.
    mapped: (u64, u64),
}

/// The slots of a machine.
pub struct Machine {
    backend: Backend,
    bus: Bus,
    limit: u64,
    open: BTreeMap<u64, Open>,
}

/// What is done at an address.
enum Access {
    Read,
    Write(u64),
}

impl Machine {
    fn slot(&mut self, slot: u64) -> Accessed<&mut Open> {
        self.open.get_mut(&slot).ok_or(MmioRefusal::Unmapped)
    }

    /// One access; answers what was read.
    fn access(&mut self, slot: u64, offset: u64, length: u64, what: Access) -> Accessed<u64> {
        if !matches!(length, 1 | 2 | 4 | 8) {
            return Err(MmioRefusal::BadLength);
        }
        let at = self.slot(slot)?;
        if offset.checked_add(length).is_none_or(|stop| stop > at.size) {
            return Err(MmioRefusal::Outside);
        }
        let address = at.gpa + offset;
        if address % length != 0 {
            return Err(MmioRefusal::Misaligned);
        }
        let virtual_address = at.mapped.0 + at.gpa % PAGE + offset;
        let got = match self.backend {
            Backend::Native => self.native(virtual_address, length, what),
            Backend::Snp => self.snp(address, length, what)?,
            Backend::Tdx => self.tdx(address, length, what)?,
        };
        // Nothing that came back is trusted further than its width.
        Ok(got & (u64::MAX >> (64 - 8 * length)))
    }

    fn native(&self, address: u64, length: u64, what: Access) -> u64 {
        match what {
            Access::Read => self.bus.load(address, length),
            Access::Write(value) => {
                self.bus.store(address, length, value);
                0
            }
        }
    }

    fn snp(&self, address: u64, length: u64, what: Access) -> Accessed<u64> {
        let bytes;
        let (code, buffer) = match what {
            Access::Read => (SNP_READ, &[][..]),
            Access::Write(value) => {
                bytes = value.to_le_bytes();
                (SNP_WRITE, &bytes[..length as usize])
            }
        };
        let back = self
            .bus
            .exit_to_host(code, address, length, self.bus.buffer_gpa(), buffer)
            .ok_or(MmioRefusal::NoAnswer)?;
        if matches!(back.info1 as u32, 1 | 2) {
            return Err(MmioRefusal::HostRefused);
        }
        if back.info1 != 0 {
            return Err(MmioRefusal::Garbage);
        }
        Ok(u64::from_le_bytes(back.buffer))
    }

    fn tdx(&self, address: u64, length: u64, what: Access) -> Accessed<u64> {
        let (direction, value) = match what {
            Access::Read => (0, 0),
            Access::Write(value) => (1, value),
        };
        let shared = address | self.bus.shared_bit();
        let (rax, r10, r11) = self.bus.tdvmcall(TDX_MMIO, length, direction, shared, value);
        if rax != 0 {
            return Err(MmioRefusal::NoAnswer);
        }
        if r10 >> 63 == 1 {
            return Err(MmioRefusal::HostRefused);
        }
        if r10 != 0 {
            return Err(MmioRefusal::Garbage);
        }
        Ok(r11)
    }
}

macro_rules! typed {
    ($($read:ident $write:ident $kind:ty, $bytes:literal;)*) => {$(
        fn $read(&mut self, slot: u64, offset: u64) -> Accessed<$kind> {
            Ok(self.access(slot, offset, $bytes, Access::Read)? as $kind)
        }

        fn $write(&mut self, slot: u64, offset: u64, value: $kind) -> Accessed {
            self.access(slot, offset, $bytes, Access::Write(u64::from(value))).map(drop)
        }
    )*};
}

impl Mmio for Machine {
    const BACKENDS: &'static [Backend] = &[Backend::Native, Backend::Snp, Backend::Tdx];

    fn new(backend: Backend, bus: Bus, limit: u64) -> Self {
        Machine { backend, bus, limit, open: BTreeMap::new() }
    }

    fn slots(&self) -> Vec<Slot> {
        let slots = self.open.iter();
        let shown = slots.map(|(&slot, at)| Slot {
            slot,
            gpa: at.gpa,
            size: at.size,
            attached: u64::from(at.attached),
        });
        shown.collect()
    }

    fn open(&mut self, slot: u64, gpa: u64, size: u64) -> Accessed<u64> {
        if self.open.contains_key(&slot) {
            return Err(MmioRefusal::AlreadyOpen);
        }
        if size == 0 {
            return Err(MmioRefusal::Empty);
        }
        let stop = gpa.checked_add(size).filter(|&stop| stop <= self.limit);
        let stop = stop.ok_or(MmioRefusal::AboveLimit)?;
        if self.open.values().any(|at| at.gpa < stop && gpa < at.gpa + at.size) {
            return Err(MmioRefusal::Overlaps);
        }
        let mut mapped = (0, 0);
        if self.backend == Backend::Native {
            let pages = (gpa % PAGE + size).div_ceil(PAGE);
            let address = self.bus.map(gpa / PAGE, pages).ok_or(MmioRefusal::NoMapping)?;
            mapped = (address, pages);
        }
        self.open.insert(slot, Open { gpa, size, attached: false, mapped });
        Ok(mapped.1)
    }

    fn attach(&mut self, slot: u64) -> Accessed {
        let at = self.slot(slot)?;
        if at.attached {
            return Err(MmioRefusal::Attached);
        }
        if at.size < CONFIG {
            return Err(MmioRefusal::Outside);
        }
        if at.gpa % 4 != 0 {
            return Err(MmioRefusal::Misaligned);
        }
        at.attached = true;
        Ok(())
    }

    fn detach(&mut self, slot: u64) -> Accessed {
        let at = self.slot(slot)?;
        if !at.attached {
            return Err(MmioRefusal::NotAttached);
        }
        at.attached = false;
        self.write_u32(slot, STATUS, 0)
    }

    fn close(&mut self, slot: u64) -> Accessed {
        if self.slot(slot)?.attached {
            return Err(MmioRefusal::Attached);
        }
        if let Some(Open { mapped: (address, pages), .. }) = self.open.remove(&slot) {
            if self.backend == Backend::Native {
                self.bus.unmap(address, pages);
            }
        }
        Ok(())
    }

    fn read(&mut self, slot: u64, offset: u64, length: u64) -> Accessed<u64> {
        self.access(slot, offset, length, Access::Read)
    }

    fn write(&mut self, slot: u64, offset: u64, data: &[u8]) -> Accessed {
        let mut bytes = [0; 8];
        let count = data.len().min(8);
        bytes[..count].copy_from_slice(&data[..count]);
        let value = Access::Write(u64::from_le_bytes(bytes));
        self.access(slot, offset, data.len() as u64, value).map(drop)
    }

    typed! {
        read_u8 write_u8 u8, 1;
        read_u16 write_u16 u16, 2;
        read_u32 write_u32 u32, 4;
        read_u64 write_u64 u64, 8;
    }

    fn read_config_u64(&mut self, slot: u64, offset: u64, tries: u64) -> Accessed<u64> {
        for _ in 0..tries {
            let before = self.read_u32(slot, GENERATION)?;
            let low = self.read_u32(slot, CONFIG + offset)?;
            let high = self.read_u32(slot, CONFIG + offset + 4)?;
            if self.read_u32(slot, GENERATION)? == before {
                return Ok(u64::from(high) << 32 | u64::from(low));
            }
        }
        Err(MmioRefusal::Unstable)
    }
}

svsm_conformance::export! {
    name: "mmio-rust",
    mmio: Machine {
        open, attach, detach, close, read, write, read_u8, read_u16, read_u32, read_u64,
        write_u8, write_u16, write_u32, write_u64, config_round,
    },
}
