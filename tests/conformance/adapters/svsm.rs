//! As much of an SVSM as records what the launch validated, and asks a few things.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Mutex;
use svsm_conformance::{Ended, Fill, Frames, Platform, Start, Stop, Svsm};

struct Mine {
    platform: Platform,
    claimed: Mutex<Vec<Frames>>,
    stage: AtomicU64,
    halted: AtomicBool,
}

impl Mine {
    fn guarded(&self, ended: Ended) -> Ended {
        if ended == Err(Stop::Fault) {
            self.halted.store(true, SeqCst);
        }
        ended
    }

    fn asks_all(&self, vcpu: u64, rcx: u64) -> Ended {
        let p = self.platform;
        let mut data = [0; 8];
        p.read(vcpu, rcx, &mut data)?;
        p.fill(vcpu, 16, true, Fill::Stream)?;
        p.flush(vcpu)?;
        let (code, carry) = p.pvalidate(vcpu, 17, false, true)?;
        let rights = p.rmpadjust(vcpu, 18, true, 15, false)?;
        let done = p.promote(vcpu, 19, true)?;
        p.demote(vcpu, 20, 3)?;
        let (info, header) = p.page_state(vcpu, 21, true)?;
        let msr = p.page_state_msr(vcpu, 22, false)?;
        p.write(vcpu, rcx, b"12345678")?;
        Ok(u64::from(data[0])
            + code
            + u64::from(carry)
            + rights
            + u64::from(done)
            + info
            + u64::from(header[7])
            + msr)
    }
}

impl Svsm for Mine {
    fn new(platform: Platform) -> Self {
        Mine {
            platform,
            claimed: Mutex::default(),
            stage: AtomicU64::new(0),
            halted: AtomicBool::new(false),
        }
    }

    fn load(&self, start: &Start<'_>) {
        self.claimed.clear_poison();
        *self.claimed.lock().unwrap() = start.claimed.to_vec();
        self.stage.store(start.stage, SeqCst);
        self.halted.store(start.halted, SeqCst);
    }

    fn stage(&self) -> u64 {
        self.stage.load(SeqCst)
    }

    fn halted(&self) -> bool {
        self.halted.load(SeqCst)
    }

    fn claimed(&self) -> Vec<Frames> {
        self.claimed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn vmsas(&self) -> Vec<Frames> {
        Vec::new()
    }

    fn caas(&self) -> Vec<Frames> {
        Vec::new()
    }

    fn shared(&self) -> Vec<Frames> {
        Vec::new()
    }

    fn pvalidate(&self, vcpu: u64, rcx: u64) -> Ended {
        self.guarded(self.asks_all(vcpu, rcx))
    }

    fn create_vcpu(&self, _vcpu: u64, vmsa: u64, caa: u64) -> Ended {
        Ok(vmsa + caa)
    }

    /// Panics while its lock is taken, after it has asked.
    fn delete_vcpu(&self, vcpu: u64, vmsa: u64) -> Ended {
        self.platform.flush(vcpu)?;
        let _held = self.claimed.lock();
        panic!("no vCPU has a VMSA at {vmsa:#x}");
    }

    fn share(&self, _vcpu: u64, gpa: u64) -> Ended {
        Ok(gpa)
    }

    fn unshare(&self, _vcpu: u64, gpa: u64) -> Ended {
        Ok(gpa)
    }

    fn launch(&self, _vcpu: u64, gpa: u64) -> Ended {
        Ok(gpa)
    }

    fn reboot(&self, vcpu: u64) -> Ended {
        Ok(vcpu)
    }

    fn bring(&self, _vcpu: u64, gpa: u64) -> Ended {
        Ok(gpa)
    }

    fn record(&self, frame: u64, _large: bool) -> u64 {
        let frame = frame + RECORDED_AT;
        let mut claimed = self.claimed.lock().unwrap();
        match claimed.iter().position(|one| one.stop >= frame) {
            Some(place) if claimed[place].stop == frame => claimed[place].stop += 1,
            Some(place) => claimed.insert(place, Frames { first: frame, stop: frame + 1 }),
            None => claimed.push(Frames { first: frame, stop: frame + 1 }),
        }
        0
    }

    fn power_on(&self) -> u64 {
        self.stage.store(1, SeqCst);
        0
    }

    fn start(&self) -> u64 {
        7
    }

    fn export_record(&self) -> u64 {
        7
    }

    fn take(&self, nonce: u64) -> u64 {
        assert_ne!(nonce, 13, "unlucky");
        nonce
    }

    fn complete(&self) -> u64 {
        7
    }
}

svsm_conformance::export! { name: "mine", protocol: Mine }
