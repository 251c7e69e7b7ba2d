"""The one model: every rule of the SVSM, of the host and of the guest on one state."""

from spec.assumptions import ATOMIC_STEPS, BLOCK_ACCESS, FIXED_LAYOUT, ONE_GUEST, RMPUPDATE_FLUSHES
from spec.machine import host
from spec.prove.inductive import Model
from spec.validation import launch, migration, pvalidate, reboot, visibility, vmsa
from spec.validation.svsm import Svsm
from spec.validation.svsm_claims import FIRST, FOLLOWS, GIVEN, KEPT, apart, named, plain_in_place
from spec.validation.svsm_steps import STEPS

RULES = (
    *host.RULES,
    *launch.RULES,
    *pvalidate.RULES,
    *vmsa.RULES,
    *visibility.RULES,
    *reboot.RULES,
    *migration.RULES,
)
MODEL = Model(
    "validation.svsm",
    Svsm,
    RULES,
    GIVEN,
    KEPT,
    STEPS,
    FOLLOWS,
    FIRST,
    named,
    plain_in_place,
    (ATOMIC_STEPS, BLOCK_ACCESS, FIXED_LAYOUT, ONE_GUEST, RMPUPDATE_FLUSHES),
    apart=apart,
)
