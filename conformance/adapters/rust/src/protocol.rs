//! The core protocol of an SVSM on SEV-SNP: its calls, and what it asks of the platform meanwhile.

use crate::ffi;
use crate::panic::{or_abort, status};
use std::ffi::c_void;

/// Why a call cannot go on: it has to return, with nothing more asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The page is not validated (#VC): the SVSM must stop for good, and show it by `halted`.
    Fault,
    /// The vCPU was stopped: nothing may be changed any more.
    Stopped,
}

/// What the platform answers, or why the call cannot go on.
pub type Asked<T = ()> = Result<T, Stop>;
/// Where a call came to: a result code of the protocol (0 is success), or why it could not go on.
pub type Ended = Result<u64, Stop>;

/// Frames, half-open.
pub type Frames = ffi::Range;
/// A vCPU: the frames of its VMSA and of its calling area.
pub type Vcpu = ffi::Vcpu;

/// What the contents of a frame are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Fill {
    /// Zeros.
    Zero = 0,
    /// What the firmware's image has there.
    Firmware = 1,
    /// What a migration brings.
    Stream = 2,
}

/// All that an SVSM does to the outside; made by the suite, which outlives it.
///
/// Each of these names the vCPU that it is done on. Where it is called, that vCPU rests, and others
/// go on; so no lock may be held that another vCPU would wait for: tell it that you are busy.
#[derive(Debug, Clone, Copy)]
pub struct Platform(*const ffi::Platform);

// SAFETY: the header has each vCPU be a thread, all of which are given the same platform, and of
// which only one runs at a time; the table itself is never written.
unsafe impl Send for Platform {}
// SAFETY: as above.
unsafe impl Sync for Platform {}

macro_rules! ask {
    ($platform:ident.$name:ident($($told:expr),*)) => {{
        let table = $platform.table();
        let ask = table.$name.expect(concat!("the platform has ", stringify!($name)));
        // SAFETY: the places that the answer is written to are there until it has come.
        heard(unsafe { ask(table.host, $($told),*) })
    }};
}

fn heard(status: i64) -> Asked {
    match status {
        0 => Ok(()),
        1 => Err(Stop::Fault),
        _ => Err(Stop::Stopped),
    }
}

impl Platform {
    fn table(&self) -> &ffi::Platform {
        // SAFETY: the header promises that the platform outlives what is made with it.
        unsafe { &*self.0 }
    }

    /// Read from a byte address of the guest's.
    pub fn read(&self, vcpu: u64, gpa: u64, data: &mut [u8]) -> Asked {
        ask!(self.read(vcpu, gpa, data.as_mut_ptr(), data.len() as u64))
    }

    /// Write to a byte address of the guest's.
    pub fn write(&self, vcpu: u64, gpa: u64, data: &[u8]) -> Asked {
        ask!(self.write(vcpu, gpa, data.as_ptr(), data.len() as u64))
    }

    /// Write the contents of a frame, or of 512.
    pub fn fill(&self, vcpu: u64, frame: u64, large: bool, what: Fill) -> Asked {
        ask!(self.fill(vcpu, frame, large, what as u64))
    }

    /// Have every CPU forget its translations.
    pub fn flush(&self, vcpu: u64) -> Asked {
        ask!(self.flush(vcpu))
    }

    /// PVALIDATE: EAX, and the carry flag.
    pub fn pvalidate(
        &self,
        vcpu: u64,
        frame: u64,
        large: bool,
        validate: bool,
    ) -> Asked<(u64, bool)> {
        let (mut code, mut carry) = (0, false);
        ask!(self.pvalidate(vcpu, frame, large, validate, &mut code, &mut carry))?;
        Ok((code, carry))
    }

    /// RMPADJUST of the guest's rights; `each`: page by page where the RMP entry is smaller.
    pub fn rmpadjust(
        &self,
        vcpu: u64,
        frame: u64,
        large: bool,
        rights: u64,
        each: bool,
    ) -> Asked<u64> {
        let mut code = 0;
        ask!(self.rmpadjust(vcpu, frame, large, rights, each, &mut code))?;
        Ok(code)
    }

    /// Set the VMSA bit, if what the frame holds makes a VMSA or comes from the SVSM itself
    /// (`trusted`); whether it was set.
    pub fn promote(&self, vcpu: u64, frame: u64, trusted: bool) -> Asked<bool> {
        let mut done = false;
        ask!(self.promote(vcpu, frame, trusted, &mut done))?;
        Ok(done)
    }

    /// Clear the VMSA bit, and give the guest rights.
    pub fn demote(&self, vcpu: u64, frame: u64, rights: u64) -> Asked {
        ask!(self.demote(vcpu, frame, rights))
    }

    /// A page-state change of one entry: SW_EXITINFO2, and the buffer's first 8 bytes back.
    pub fn page_state(&self, vcpu: u64, frame: u64, private: bool) -> Asked<(u64, [u8; 8])> {
        let (mut info2, mut header) = (0, [0; 8]);
        ask!(self.page_state(vcpu, frame, private, &mut info2, header.as_mut_ptr()))?;
        Ok((info2, header))
    }

    /// A page-state change by the MSR protocol; what the MSR holds then.
    pub fn page_state_msr(&self, vcpu: u64, frame: u64, private: bool) -> Asked<u64> {
        let mut response = 0;
        ask!(self.page_state_msr(vcpu, frame, private, &mut response))?;
        Ok(response)
    }
}

/// An SVSM in which every vCPU is at rest.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Start<'a> {
    pub guest: &'a [Frames],
    pub own: &'a [Frames],
    pub ghcbs: &'a [Frames],
    pub measured: &'a [Frames],
    pub firmware: &'a [Frames],
    pub launch_vmsa: u64,
    /// One lock for all frames, or one for each.
    pub one_lock: bool,
    /// Whether an entry may ask that the carry flag be ignored.
    pub heeds_ignore_cf: bool,
    /// Whether the host is asked for page states by the MSR protocol.
    pub by_msr: bool,
    /// What asking twice is told: a result code.
    pub refused: u64,
    /// What a migration brings.
    pub stream: &'a [Frames],
    pub stream_vmsas: &'a [Frames],
    pub nonce: u64,
    pub claimed: &'a [Frames],
    pub caas: &'a [Frames],
    pub shared: &'a [Frames],
    pub vcpus: &'a [Vcpu],
    /// 0 off, 1 cold, 2 running, 3 rebooting, 4 importing, 5 moved.
    pub stage: u64,
    pub halted: bool,
}

/// An SVSM, which is run whole: whoever claims one rule of it claims all.
///
/// Each vCPU is a thread, and only one of them runs at a time: a call rests in a function of the
/// [`Platform`] while others go on with the same SVSM, hence `&self`. A lock that a vCPU at rest has
/// taken must be told as busy (`try_lock`), and never be waited for. What the calls do is told in
/// `docs/rules`, by `validation.pvalidate.*`, `.vmsa.*` and their kin.
pub trait Svsm: Send + Sync + Sized {
    /// An SVSM on a platform; [`load`](Svsm::load) follows.
    fn new(platform: Platform) -> Self;
    /// Take on a state.
    fn load(&self, start: &Start<'_>);

    /// What it as a whole is doing, by the numbers of [`Start::stage`].
    fn stage(&self) -> u64;
    /// Whether it has stopped for good.
    fn halted(&self) -> bool;
    /// The frames that are recorded as validated, in order, not touching.
    fn claimed(&self) -> Vec<Frames>;
    /// The frames that are VMSAs, so too.
    fn vmsas(&self) -> Vec<Frames>;
    /// The frames that are calling areas, so too.
    fn caas(&self) -> Vec<Frames>;
    /// The frames that are shared with the host, so too.
    fn shared(&self) -> Vec<Frames>;

    /// SVSM_CORE_PVALIDATE; `rcx`: where the list is.
    fn pvalidate(&self, vcpu: u64, rcx: u64) -> Ended;
    /// SVSM_CORE_CREATE_VCPU.
    fn create_vcpu(&self, vcpu: u64, vmsa: u64, caa: u64) -> Ended;
    /// SVSM_CORE_DELETE_VCPU.
    fn delete_vcpu(&self, vcpu: u64, vmsa: u64) -> Ended;
    /// A page is shared with the host.
    fn share(&self, vcpu: u64, gpa: u64) -> Ended;
    /// A page is private again.
    fn unshare(&self, vcpu: u64, gpa: u64) -> Ended;
    /// A page is given to the guest at launch.
    fn launch(&self, vcpu: u64, gpa: u64) -> Ended;
    /// The guest is ended, and begins again.
    fn reboot(&self, vcpu: u64) -> Ended;
    /// A page is brought by a migration.
    fn bring(&self, vcpu: u64, gpa: u64) -> Ended;

    /// What the launch validated is recorded; done at once, like all below: 0, or a refusal.
    fn record(&self, frame: u64, large: bool) -> u64;
    /// The record is whole.
    fn power_on(&self) -> u64;
    /// The guest begins.
    fn start(&self) -> u64;
    /// The record goes to where a migration leads.
    fn export_record(&self) -> u64;
    /// A migration is taken in.
    fn take(&self, nonce: u64) -> u64;
    /// The migration has come whole.
    fn complete(&self) -> u64;
}

impl ffi::Protocol {
    /// The table of an implementation.
    pub const fn of<T: Svsm>() -> ffi::Protocol {
        ffi::Protocol {
            make: Some(make::<T>),
            drop: Some(drop::<T>),
            load: Some(load::<T>),
            stage: Some(stage::<T>),
            halted: Some(halted::<T>),
            ranges: Some(ranges::<T>),
            pvalidate: Some(pvalidate::<T>),
            create_vcpu: Some(create_vcpu::<T>),
            delete_vcpu: Some(delete_vcpu::<T>),
            share: Some(share::<T>),
            unshare: Some(unshare::<T>),
            launch: Some(launch::<T>),
            reboot: Some(reboot::<T>),
            bring: Some(bring::<T>),
            record: Some(record::<T>),
            power_on: Some(power_on::<T>),
            start: Some(start::<T>),
            export_record: Some(export_record::<T>),
            take: Some(take::<T>),
            complete: Some(complete::<T>),
        }
    }
}

/// What a call answers that could not go on; nobody looks at it.
const LEFT: u64 = 0x8000_0006;

/// A shared reference, since calls on several vCPUs are under way at once.
unsafe fn held<'a, T>(own: *mut c_void) -> &'a T {
    unsafe { &*own.cast() }
}

/// The result of a call; of one that panicked a number that is no result code.
fn result(call: impl FnOnce() -> u64) -> u64 {
    status(|| call() as i64) as u64
}

unsafe extern "C" fn make<T: Svsm>(platform: *const ffi::Platform) -> *mut c_void {
    or_abort(|| Box::into_raw(Box::new(T::new(Platform(platform)))).cast())
}

unsafe extern "C" fn drop<T: Svsm>(own: *mut c_void) {
    or_abort(|| std::mem::drop(unsafe { Box::from_raw(own.cast::<T>()) }));
}

unsafe fn listed<'a>(ranges: &ffi::Ranges) -> &'a [Frames] {
    unsafe { slice(ranges.listed, ranges.count) }
}

unsafe fn slice<'a, K>(listed: *const K, count: u64) -> &'a [K] {
    if count == 0 {
        return &[];
    }
    unsafe { std::slice::from_raw_parts(listed, count as usize) }
}

unsafe extern "C" fn load<T: Svsm>(own: *mut c_void, start: *const ffi::Start) {
    or_abort(|| unsafe {
        let told = &*start;
        held::<T>(own).load(&Start {
            guest: listed(&told.guest),
            own: listed(&told.own),
            ghcbs: listed(&told.ghcbs),
            measured: listed(&told.measured),
            firmware: listed(&told.firmware),
            launch_vmsa: told.launch_vmsa,
            one_lock: told.one_lock,
            heeds_ignore_cf: told.heeds_ignore_cf,
            by_msr: told.by_msr,
            refused: told.refused,
            stream: listed(&told.stream),
            stream_vmsas: listed(&told.stream_vmsas),
            nonce: told.nonce,
            claimed: listed(&told.claimed),
            caas: listed(&told.caas),
            shared: listed(&told.shared),
            vcpus: slice(told.vcpus, told.vcpu_count),
            stage: told.stage,
            halted: told.halted,
        });
    });
}

unsafe extern "C" fn stage<T: Svsm>(own: *mut c_void) -> u64 {
    or_abort(|| unsafe { held::<T>(own).stage() })
}

unsafe extern "C" fn halted<T: Svsm>(own: *mut c_void) -> bool {
    or_abort(|| unsafe { held::<T>(own).halted() })
}

unsafe extern "C" fn ranges<T: Svsm>(
    own: *mut c_void,
    set: u64,
    to: *mut Frames,
    room: u64,
) -> u64 {
    or_abort(|| unsafe {
        let svsm = held::<T>(own);
        let shown = match set {
            0 => svsm.claimed(),
            1 => svsm.vmsas(),
            2 => svsm.caas(),
            _ => svsm.shared(),
        };
        to.copy_from_nonoverlapping(shown.as_ptr(), shown.len().min(room as usize));
        shown.len() as u64
    })
}

macro_rules! calls {
    ($($name:ident($($told:ident),*);)*) => {$(
        unsafe extern "C" fn $name<T: Svsm>(own: *mut c_void, vcpu: u64 $(, $told: u64)*) -> u64 {
            result(|| unsafe { held::<T>(own).$name(vcpu $(, $told)*).unwrap_or(LEFT) })
        }
    )*};
}

macro_rules! done_at_once {
    ($($name:ident($($told:ident: $kind:ty),*);)*) => {$(
        unsafe extern "C" fn $name<T: Svsm>(own: *mut c_void $(, $told: $kind)*) -> u64 {
            result(|| unsafe { held::<T>(own).$name($($told),*) })
        }
    )*};
}

calls! {
    pvalidate(rcx);
    create_vcpu(vmsa, caa);
    delete_vcpu(vmsa);
    share(gpa);
    unshare(gpa);
    launch(gpa);
    reboot();
    bring(gpa);
}
done_at_once! {
    record(frame: u64, large: bool);
    power_on();
    start();
    export_record();
    take(nonce: u64);
    complete();
}
