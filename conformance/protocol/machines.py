"""The machines that an SVSM is run on, each beside its rules.

Which one a state is of, its machine tells. A step for which the machine is asked nothing is one in
the SVSM's own memory: the device takes it without being seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import z3

from conformance.protocol import asked, snp_host, tdx_host
from conformance.protocol.places import Drawn
from conformance.protocol.world import VCPUS, SvsmNatively
from spec.machine.native import Native
from spec.machine.snp import Snp
from spec.machine.tdx import Tdx
from spec.prove.world import Symbolic, record
from spec.rule import Rule
from spec.terms import truth
from spec.validation import any_model, pvalidate, reboot, svsm_model, tdx_model, visibility
from spec.validation.svsm import Cpu, Pc, Svsm
from spec.validation.tdx_visibility import Mapped

Step = Callable[[Any, int], Drawn | None]


@dataclass(frozen=True)
class Machine:
    """One machine.

    name: as obligations have it; none is SEV-SNP. rules: of the SVSM on it, the host's and the
    guest's among them. asks: what the machine is asked, by the name of a rule. inside: the step
    that a vCPU takes next in the SVSM's own memory, by where it is. host, guest: what each does by
    itself. repair, blow: what the host does to help a vCPU, or to hurt it. told: operands of a
    step in which the host is asked. unseen: cases that a device takes without being seen to.
    """

    name: str
    state: type
    rules: tuple[Rule, ...]
    asks: Mapping[str, asked.Ask]
    inside: Mapping[int, Step]
    host: Callable[[Random, Any], Drawn]
    repair: Callable[[Random, Any, int], Drawn]
    blow: Callable[[Random, Any, int], Drawn]
    told: Callable[[Random, int, Any], Any]
    silent: Callable[[int], Any]
    unseen: frozenset[tuple[str, str]] = frozenset()

    def called(self, rule: Rule) -> str:
        """The id of a rule in reports: as obligations have it."""
        area, _, rest = rule.id.partition(".")
        return f"{area}.{self.name}.{rest}" if self.name else rule.id

    @property
    def by_name(self) -> Mapping[str, Rule]:
        """The rules by their names."""
        return _by_name(self.name)


_CPU = tuple(Cpu(vcpu) for vcpu in range(len(VCPUS)))


def _own(rule: Rule) -> Step:
    """A step that needs nothing but the vCPU."""
    return lambda _s, vcpu: (rule, _CPU[vcpu])


MEMORY: Mapping[int, Step] = {
    Pc.CLAIM: _own(pvalidate.claim),
    Pc.CHECK: _own(pvalidate.check),
    Pc.RELEASE: _own(pvalidate.release),
    Pc.FINISH: _own(pvalidate.finish),
}
SNP = Machine(
    "",
    Svsm,
    svsm_model.RULES,
    asked.SNP,
    MEMORY,
    snp_host.a_host_move,
    snp_host.a_repair,
    snp_host.a_blow,
    snp_host.told,
    lambda vcpu: visibility.Told(vcpu, 0, 0, 0),
)
TDX = Machine(
    "tdx",
    tdx_model.SvsmOnTdx,
    tdx_model.RULES,
    asked.TDX,
    {**MEMORY, Pc.RESCIND: _own(pvalidate.rescind)},
    tdx_host.a_host_move,
    tdx_host.a_repair,
    tdx_host.a_blow,
    tdx_host.told,
    lambda vcpu: Mapped(vcpu, 0, 0),
)


def _given_up(s: Any, vcpu: int) -> Drawn | None:
    """What a reboot gives up next, for which natively nobody is asked: VMSAs first."""
    if not s.vmsas.is_empty():
        return reboot.reboot_vmsa, reboot.Frame(vcpu, s.vmsas.bounds[0])
    left = s.layout.guest.meet(s.claimed).bounds
    return (reboot.reboot_page, reboot.Frame(vcpu, left[0])) if left else None


def _nothing(_random: Random, s: Any, *_vcpu: int) -> Drawn:
    """A host that can do nothing to a page: something is asked of the SVSM that it refuses."""
    return visibility.share, visibility.Page(VCPUS[0], s.layout.launch_vmsa << 12)


_NATIVE = {rule.name: rule for rule in any_model.NATIVE}
NATIVE = Machine(
    "native",
    SvsmNatively,
    any_model.NATIVE,
    asked.NATIVE,
    {
        **MEMORY,
        Pc.VALIDATE: _own(pvalidate.validate),
        Pc.GRANT: _own(pvalidate.grant),
        Pc.REVOKE: _own(pvalidate.revoke),
        Pc.RESCIND: _own(pvalidate.rescind),
        Pc.RESTORE: _own(pvalidate.restore),
        Pc.DEMOTE: _own(_NATIVE["demote"]),
        Pc.ASK_PRIVATE: _own(_NATIVE["count_private"]),
        Pc.ASK_SHARED: _own(_NATIVE["count_shared"]),
        Pc.REBOOT: _given_up,
    },
    _nothing,
    _nothing,
    _nothing,
    lambda _random, vcpu, _s: Cpu(vcpu),
    Cpu,
    frozenset(
        {
            (reboot.reboot_page.id, "vmsa_left"),
            (reboot.reboot_end.id, "vmsa_left"),
            (reboot.reboot_end.id, "page_left"),
        }
    ),
)
MACHINES = {machine.name: machine for machine in (SNP, TDX, NATIVE)}
_OF = {Snp: SNP, Tdx: TDX, Native: NATIVE}


def of(state: Any) -> Machine:
    """The machine that a state is of."""
    return _OF[type(state.hw)]


@cache
def _by_name(machine: str) -> Mapping[str, Rule]:
    return {rule.name: rule for rule in MACHINES[machine].rules}


@cache
def every_rule() -> Mapping[str, tuple[Machine, Rule]]:
    """Every rule on every machine, as reports call it."""
    return {m.called(rule): (m, rule) for m in MACHINES.values() for rule in m.rules}


@cache
def names(machine: str, rule_id: str) -> tuple[str, ...]:
    """The cases of a rule that a device can be seen to take on a machine.

    A case that can plainly not be taken there is none of them, nor one that is proved never to be.
    """
    here = MACHINES[machine]
    rule = next(rule for rule in here.rules if rule.id == rule_id)
    world = Symbolic()
    state, op = record(world, here.state, "s"), record(world, rule.operands, "op")
    never = tdx_model.NEVER if here is TDX else frozenset()
    return tuple(
        case.name
        for case in rule(state, op)
        if not case.never
        and (rule.id, case.name) not in never | here.unseen
        and not z3.is_false(z3.simplify(truth(case.when)))
    )
