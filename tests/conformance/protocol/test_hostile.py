"""Hostile requests each end as the rules say; one that does not is told of."""

from collections import Counter
from random import Random

import pytest

from conformance.protocol import defects
from conformance.protocol.device import SvsmDevice
from conformance.protocol.hostile import SCENES, Stand, entries, requests, running
from conformance.protocol.judge import Differs, Reached
from spec.rule import step
from spec.validation import pvalidate
from spec.validation.svsm import Pc


def asked(start):
    return start.with_cpu(0, pc=Pc.READ, block=0x10008, entries=2, next=0)


def tried(make=SvsmDevice, count: int = 2000) -> Reached:
    reached: Reached = Counter()
    stand, random = Stand(SCENES[0], reached, make), Random(1)
    for _ in range(count):
        stand.request(random)
    return reached


def test_the_solver_makes_a_request_for_every_case_that_words_alone_lead_to() -> None:
    start = running()
    calls = {step(pvalidate.call, start, op).case for op in requests(start)}
    assert calls >= {"misaligned", "outside", "vmsa", "caa", "no_entry", "too_many", "taken"}
    read = {step(pvalidate.entry, asked(start), op).case for op in entries(asked(start))}
    assert read >= {"reserved_bits", "bad_size", "misaligned", "wraps", "outside", "own_block"}
    assert {"validates", "rescinds"} <= read


def test_hostile_requests_end_as_the_rules_say() -> None:
    reached = tried()
    assert {case for _, case in reached} >= {"unvalidated", "exits", "mixed", "all_claimed"}


@pytest.mark.parametrize("defect", ["reserved_bits_ignored", "request_past_its_page"])
def test_a_device_that_checks_too_little_is_found(defect: str) -> None:
    with pytest.raises(Differs):
        tried(defects.maker(defect))
