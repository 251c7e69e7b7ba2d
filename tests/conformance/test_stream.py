"""A migration stream is taken whole as it was written, or refused whole, for the reason it has."""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.stream.oracle import steps, verdict
from impl.stream import RECORD, Refusal, read, write
from spec.prove.inductive import situation
from spec.prove.world import Symbolic
from spec.validation.stream import RULES, Phase, Why
from spec.validation.stream_model import MODEL

NONCE, CAP = 0x5EED, 1 << 20
RUNS = ((0x10, 0x12), (0x40, 0x41))
VMSAS = (0x11,)


def contents(frame: int) -> bytes:
    return struct.pack("<Q", frame * 0x9E3779B97F4A7C15 % 2**64) * 512


def stream(runs=RUNS, vmsas=VMSAS, nonce=NONCE) -> bytes:
    return b"".join(write(runs, vmsas, nonce, contents))


def sealed(data: bytes) -> bytes:
    """The same bytes with a checksum that fits."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def both(data: bytes, nonce: int = NONCE, cap: int = CAP) -> Refusal:
    said, taken = read(data, nonce, cap)
    assert (taken is None) == (said is not Refusal.NONE)
    assert said.name == verdict(data, nonce, cap)
    return said


def test_what_is_written_is_read() -> None:
    data = stream()
    said, taken = read(data, NONCE, CAP)
    assert said is Refusal.NONE
    assert both(data) is Refusal.NONE
    assert taken is not None
    assert (taken.runs, taken.vmsas) == (RUNS, VMSAS)
    assert [taken.page(data, k) for k in range(3)] == [contents(f) for f in (0x10, 0x11, 0x40)]


def test_an_empty_record_is_a_stream() -> None:
    assert both(stream((), ())) is Refusal.NONE


def test_every_single_bit_change_is_refused() -> None:
    data = bytearray(stream(((0x10, 0x11),), ()))
    for place in range(len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            assert read(bytes(data), NONCE, CAP)[0] is not Refusal.NONE
            data[place] ^= 1 << bit
    assert read(bytes(data), NONCE, CAP)[0] is Refusal.NONE


def test_every_truncation_and_extension_is_refused() -> None:
    data = stream(((0x10, 0x11),), ())
    for length in range(len(data)):
        assert both(data[:length]) is not Refusal.NONE
    assert both(data + b"\0") is Refusal.WRONG_LENGTH


def test_an_old_stream_is_refused() -> None:
    assert both(stream(nonce=NONCE - 1)) is Refusal.REPLAYED


def changed(place: int, size: int, value: int) -> bytes:
    data = bytearray(stream())
    data[place : place + size] = value.to_bytes(size, "little")
    return sealed(bytes(data))


RECORDS = 48 + 16 * len(RUNS) + 8 * len(VMSAS)


INSIDE = [
    (changed(0, 8, 0), Refusal.BAD_MAGIC),
    (changed(8, 4, 2), Refusal.BAD_VERSION),
    (changed(12, 4, 1), Refusal.BAD_VERSION),
    (changed(32, 8, CAP + 1), Refusal.OVER_CAP),
    (changed(24, 8, 4), Refusal.OVER_CAP),
    (changed(40, 8, 2), Refusal.WRONG_LENGTH),
    (changed(48, 8, 0x12), Refusal.BAD_RUNS),
    (changed(56, 8, 0x40), Refusal.BAD_RUNS),
    (changed(72, 8, 1 << 41), Refusal.BAD_RUNS),
    (changed(80, 8, 0x13), Refusal.BAD_VMSAS),
    (changed(RECORDS, 8, 0x11), Refusal.BAD_RECORDS),
    (stream(vmsas=(0x11, 0x10)), Refusal.BAD_VMSAS),
    (stream(vmsas=(0x11, 0x11)), Refusal.BAD_VMSAS),
    (changed(56, 8, 0x10), Refusal.BAD_RUNS),
    (changed(56, 8, 0x11), Refusal.BAD_RUNS),
    (changed(56, 8, 0x30), Refusal.BAD_RUNS),
    (changed(64, 8, 0x12), Refusal.BAD_RUNS),
]


@pytest.mark.parametrize(
    ("data", "why"), INSIDE, ids=lambda case: case.name if isinstance(case, Refusal) else ""
)
def test_what_is_wrong_inside_is_named_even_with_a_checksum_that_fits(
    data: bytes, why: Refusal
) -> None:
    assert both(data) is why


def test_records_in_another_order_are_refused() -> None:
    data = stream()
    first, second = data[RECORDS : RECORDS + RECORD], data[RECORDS + RECORD : RECORDS + 2 * RECORD]
    swapped = data[:RECORDS] + second + first + data[RECORDS + 2 * RECORD :]
    assert both(swapped) is Refusal.BAD_CHECKSUM
    assert both(sealed(swapped)) is Refusal.BAD_RECORDS


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=4),
    st.booleans(),
    st.integers(0, 3),
)
def test_any_change_is_judged_alike_by_two_readers(
    changes: list[tuple[int, int]], seal: bool, cap: int
) -> None:
    data = bytearray(stream())
    for place, value in changes:
        data[place] = value
    both(sealed(bytes(data)) if seal else bytes(data), cap=(CAP, 3, 2, 0)[cap])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_a_refusal(data: bytes) -> None:
    assert both(data) is not Refusal.NONE


def test_the_reasons_are_the_same_on_both_sides() -> None:
    assert {why.name: why.value for why in Why} == {why.name: why.value for why in Refusal}


def test_every_case_of_every_rule_is_reached() -> None:
    data = stream()
    tried = [data, data[:40], stream(((0x10, 0x11),), ()), stream(nonce=0)]
    tried += [one for one, _ in INSIDE]
    tried += [data[:-1] + bytes([data[-1] ^ 1])]
    reached = {(r.id, case) for one in tried for r, case, _, _ in steps(one, NONCE, CAP)}
    wanted = {
        (rule.id, case.name)
        for rule in RULES
        for case in situation(MODEL, rule, "kept", Symbolic()).cases
    }
    assert reached == wanted


def test_a_stream_that_is_taken_has_had_each_frame_once() -> None:
    *_, (_, _, _, last) = steps(stream(), NONCE, CAP)
    assert last.phase == Phase.TAKEN
    assert last.read == last.claimed
    assert last.seen_records == last.pages == 3
