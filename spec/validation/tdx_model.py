"""The SVSM's rules on TDX: the same steps, on the other machine, under its host."""

from dataclasses import dataclass

from spec.assumptions import ATOMIC_STEPS, BLOCK_ACCESS, FIXED_LAYOUT
from spec.machine import tdx_host
from spec.machine.tdx import Tdx
from spec.prove.inductive import Model
from spec.validation import (
    any_model,
    launch,
    migration,
    pvalidate,
    reboot,
    tdx_visibility,
    visibility,
    vmsa,
)
from spec.validation.svsm import Svsm
from spec.validation.svsm_claims import GIVEN, plain
from spec.validation.tdx_claims import FIRST, FOLLOWS, KEPT, STEPS


@dataclass(frozen=True)
class SvsmOnTdx(Svsm):
    """The whole state on TDX; `hw` is the machine."""

    hw: Tdx  # type: ignore[assignment]


RULES = (
    *tdx_host.RULES,
    *launch.RULES,
    *pvalidate.RULES,
    *vmsa.RULES,
    visibility.share,
    visibility.unshare,
    *tdx_visibility.RULES,
    *reboot.RULES,
    *migration.RULES,
)
NEVER = frozenset(
    {
        # A page is given up by taking the guest's rights away; nothing is asked of the machine.
        ("validation.pvalidate.rescind", "exits"),
        ("validation.pvalidate.rescind", "size_mismatch"),
        ("validation.pvalidate.rescind", "unchanged"),
    }
)
MODEL = Model(
    "validation.tdx",
    SvsmOnTdx,
    RULES,
    GIVEN,
    KEPT,
    STEPS,
    FOLLOWS,
    FIRST,
    any_model.named,
    plain,
    (ATOMIC_STEPS, BLOCK_ACCESS, FIXED_LAYOUT),
    NEVER,
    "tdx",
    inherits=any_model.MODEL,
)
