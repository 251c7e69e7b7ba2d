"""One call is one transaction of that width, or a refusal; natively, as the processor counts."""

from __future__ import annotations

import random
from contextlib import nullcontext
from types import ModuleType

import pytest
from machines import (
    GPA,
    LIMIT,
    WIDTHS,
    WORDS,
    Machine,
    made,
    seen,
    trapped,
    typed_read,
    typed_write,
)

from impl import kernels
from impl.mmio import Mmio, Refusal


def refusal(size: int, base: int, offset: int, length: int) -> Refusal:
    """The table of docs/mmio.md, for an open slot."""
    if length not in WIDTHS:
        return Refusal.BAD_LENGTH
    if offset + length > size:
        return Refusal.OUTSIDE
    if (base + offset) % length:
        return Refusal.MISALIGNED
    return Refusal.OK


@pytest.mark.parametrize("base", [0, 1, 2, 4, 5, 8, 4090])
def test_a_call_is_one_transaction_or_a_refusal_with_none(
    machine: Machine, backend: str, base: int
) -> None:
    mmio, size, asked = made(backend, machine), 40, iter(WORDS)
    assert mmio.open(3, GPA + base, size) >= 0
    for offset in (*range(size + 3), 2**64 - 8, 2**64 - 1):
        for length in (*range(18), 32, 2**32 + 4, 2**63, 2**64 - 1):
            right = refusal(size, GPA + base, offset, length)
            place = (GPA + base + offset, length)
            got = mmio.read(3, offset, length)
            if right is Refusal.OK:
                value = next(asked) % (1 << 8 * length)
                assert got == value.to_bytes(length, "little")
                assert seen(machine) == [(False, *place, value)]
            else:
                assert (got, seen(machine)) == (right, [])
            if length < 18:
                data = bytes(range(0x81, 0x81 + length))
                assert mmio.write(3, offset, data) == right
                wrote = [(True, *place, int.from_bytes(data, "little"))]
                assert seen(machine) == ([] if right else wrote)


@pytest.mark.parametrize("base", [0, 3, 4])
def test_a_typed_access_is_the_slice_of_its_width(
    machine: Machine, backend: str, base: int
) -> None:
    mmio, size, asked = made(backend, machine), 24, iter(WORDS)
    mmio.open(0, GPA + base, size)
    for offset in range(size + 2):
        for width in WIDTHS:
            right = refusal(size, GPA + base, offset, width)
            place = (GPA + base + offset, width)
            got = typed_read(mmio, 0, offset, width)
            if right is Refusal.OK:
                value = next(asked) % (1 << 8 * width)
                assert (got, seen(machine)) == (value, [(False, *place, value)])
            else:
                assert (got, seen(machine)) == (right, [])
            for value in (0, 1, (1 << 8 * width) - 1, 0x8182_8384_8586_8788 % (1 << 8 * width)):
                assert typed_write(mmio, 0, offset, width, value) == right
                assert seen(machine) == ([] if right else [(True, *place, value)])


def test_no_slot_no_transaction(machine: Machine, backend: str) -> None:
    mmio = made(backend, machine)
    for _ in range(2):
        assert mmio.read(1, 0, 4) == mmio.write(1, 0, bytes(4)) == Refusal.UNMAPPED
        assert mmio.read(1, 0, 3) == mmio.write(1, 0, b"") == Refusal.BAD_LENGTH
        assert {typed_read(mmio, 1, 0, width) for width in WIDTHS} == {Refusal.UNMAPPED}
        assert {typed_write(mmio, 1, 0, width, 1) for width in WIDTHS} == {Refusal.UNMAPPED}
        assert mmio.read_config_u64(1, 0, 3) == Refusal.UNMAPPED
        assert mmio.attach(1) == mmio.detach(1) == mmio.close(1) == Refusal.UNMAPPED
        assert seen(machine) == []
        # The second time, it was open and is closed.
        mmio.open(1, GPA, 64)
        assert mmio.close(1) == 0


@pytest.mark.parametrize("seed", range(5))
def test_transactions_come_in_program_order(machine: Machine, backend: str, seed: int) -> None:
    rng, mmio, right, asked = random.Random(seed), made(backend, machine), [], iter(WORDS)
    mmio.open(1, GPA + 8, 0x40)
    mmio.open(2, GPA + 0x48, 0x100)
    for _ in range(300):
        slot, width = rng.choice(((1, GPA + 8), (2, GPA + 0x48))), rng.choice(WIDTHS)
        offset, value = 8 * rng.randrange(8), rng.getrandbits(8 * width)
        write, typed = rng.random() < 0.5, rng.random() < 0.5
        if write and typed:
            assert typed_write(mmio, slot[0], offset, width, value) == 0
        elif write:
            assert mmio.write(slot[0], offset, value.to_bytes(width, "little")) == 0
        else:
            value = next(asked) % (1 << 8 * width)
            got = (
                typed_read(mmio, slot[0], offset, width)
                if typed
                else mmio.read(slot[0], offset, width)
            )
            assert got == (value if typed else value.to_bytes(width, "little"))
        right.append((write, slot[1] + offset, width, value))
    assert seen(machine) == right


# Hosts that lie: one transaction, and no second one

BUFFER = bytes(range(0xF1, 0xF9))
LIES = [
    ("snp", (0, 0, BUFFER, False), Refusal.NO_ANSWER),
    ("snp", (1, 0, BUFFER, False), Refusal.NO_ANSWER),
    ("snp", (1, 0, BUFFER, True), Refusal.HOST_REFUSED),
    ("snp", (2, 0, BUFFER, True), Refusal.HOST_REFUSED),
    ("snp", (2**32 + 1, 0, BUFFER, True), Refusal.HOST_REFUSED),
    ("snp", (3, 0, BUFFER, True), Refusal.GARBAGE),
    ("snp", (2**32, 0, BUFFER, True), Refusal.GARBAGE),
    ("snp", (2**63, 0, BUFFER, True), Refusal.GARBAGE),
    ("snp", (0, 2**64 - 1, BUFFER, True), Refusal.OK),
    ("tdx", (1, 0, 0), Refusal.NO_ANSWER),
    ("tdx", (2**63, 2**63, 0), Refusal.NO_ANSWER),
    ("tdx", (0, 2**63, 0), Refusal.HOST_REFUSED),
    ("tdx", (0, 2**64 - 1, 0), Refusal.HOST_REFUSED),
    ("tdx", (0, 1, 0), Refusal.GARBAGE),
    ("tdx", (0, 2**62, 0), Refusal.GARBAGE),
    ("tdx", (0, 0, int.from_bytes(BUFFER, "little")), Refusal.OK),
]


@pytest.mark.parametrize(("platform", "lie", "right"), LIES)
def test_a_host_is_asked_once_whatever_it_answers(
    platform: str, lie: object, right: Refusal
) -> None:
    for width in WIDTHS:
        machine = Machine(lie=lie)
        mmio = made(platform, machine)
        mmio.open(1, GPA, 0x100)
        value = int.from_bytes(BUFFER[:width], "little")
        assert typed_read(mmio, 1, 8, width) == (right if right else value)
        assert len(seen(machine)) == 1
        assert mmio.read(1, 8, width) == (right if right else BUFFER[:width])
        assert len(seen(machine)) == 1
        assert typed_write(mmio, 1, 8, width, 5) == right
        assert mmio.write(1, 8, bytes(width)) == right
        assert [row[0] for row in seen(machine)] == [True, True]
        # The driver is gone whatever the host says.
        mmio.attach(1)
        assert (mmio.detach(1), mmio.slots()[1][2]) == (right, False)


def test_what_a_bus_answers_is_cut_to_the_width() -> None:
    machine = Machine([2**200 - 1] * 8)
    mmio = made("bus", machine)
    mmio.open(1, GPA, 16)
    assert [typed_read(mmio, 1, 0, width) for width in WIDTHS] == [
        2 ** (8 * width) - 1 for width in WIDTHS
    ]
    assert [mmio.read(1, 0, width) for width in WIDTHS] == [b"\xff" * width for width in WIDTHS]


# A field of 64 bits


@pytest.mark.parametrize(
    ("answers", "tries", "right", "reads"),
    [
        ([5, 0x11, 0x22, 5], 1, 0x22_0000_0011, 4),
        ([5, 0x11, 0x22, 6, 6, 0x33, 0xFFFF_FFFF, 6], 2, 0xFFFF_FFFF_0000_0033, 8),
        ([5, 0x11, 0x22, 6, 6, 0x33, 0x44, 7, 7, 0, 0, 7], 2, Refusal.UNSTABLE, 8),
        ([5, 1, 1, 5], 0, Refusal.UNSTABLE, 0),
        ([2**32 + 5, 1, 1, 5], 2**64 - 1, 2**32 + 1, 4),
    ],
)
def test_a_field_of_64_bits_is_read_until_nothing_changed(
    backend: str, answers: list[int], tries: int, right: int, reads: int
) -> None:
    machine = trapped(answers) if backend == "native" else Machine(list(answers))
    with getattr(machine, "page", nullcontext()):
        mmio = made(backend, machine)
        mmio.open(1, GPA, 0x200)
        assert mmio.read_config_u64(1, 8, tries) == right
        round_ = [(False, GPA + place, 4) for place in (0xFC, 0x108, 0x10C, 0xFC)]
        assert [row[:3] for row in seen(machine)] == (3 * round_)[:reads]


def test_a_field_ends_with_the_first_read_that_is_refused(machine: Machine, backend: str) -> None:
    mmio = made(backend, machine)
    mmio.open(1, GPA, 0x104)
    assert mmio.read_config_u64(1, 0, 9) == Refusal.OUTSIDE
    assert [row[1] - GPA for row in seen(machine)] == [0xFC, 0x100]
    assert mmio.read_config_u64(1, 2, 9) == Refusal.OUTSIDE
    assert mmio.read_config_u64(1, 2**32 - 1, 9) == Refusal.OUTSIDE
    assert [row[1] - GPA for row in seen(machine)] == [0xFC, 0xFC]


# Misuse


@pytest.mark.parametrize(
    ("backend", "limit", "said"),
    [
        ("metal", LIMIT, "backend is 'metal', must be one of native, bus, snp, tdx"),
        ("bus", 0, "limit is 0, must be a power of two"),
        ("bus", 3, "limit is 3, must be a power of two"),
        ("bus", 2 * LIMIT, "must be a power of two of at most 4503599627370496"),
        ("bus", -4096, "limit is -4096"),
    ],
)
def test_what_makes_no_machine_is_misuse(backend: str, limit: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Mmio(backend, Machine(), limit)


@pytest.mark.parametrize("wrong", [-1, 2**64, -(2**70), 2**200])
def test_numbers_that_are_not_of_64_bits_are_misuse(wrong: int) -> None:
    machine = Machine()
    mmio = made("bus", machine)
    mmio.open(1, GPA, 0x200)
    calls = [
        lambda: mmio.open(wrong, 0, 1), lambda: mmio.open(2, wrong, 1),
        lambda: mmio.open(2, 0, wrong), lambda: mmio.attach(wrong), lambda: mmio.detach(wrong),
        lambda: mmio.close(wrong), lambda: mmio.read(wrong, 0, 4), lambda: mmio.read(1, wrong, 4),
        lambda: mmio.read(1, 0, wrong), lambda: mmio.write(1, wrong, bytes(4)),
        lambda: mmio.read_u8(1, wrong), lambda: mmio.write_u16(wrong, 0, 0),
        lambda: mmio.write_u64(1, 0, wrong), lambda: mmio.read_config_u64(1, 0, wrong),
        lambda: mmio.read_config_u64(1, wrong, 1),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match=f"is {wrong}, must be 0 to"):
            call()
    assert machine.history == []


def test_a_value_that_does_not_fit_its_type_is_misuse() -> None:
    machine = Machine()
    mmio = made("bus", machine)
    mmio.open(1, GPA, 0x200)
    for width in WIDTHS:
        with pytest.raises(ValueError, match=f"value is {1 << 8 * width}, must be 0 to"):
            typed_write(mmio, 1, 0, width, 1 << 8 * width)
    with pytest.raises(ValueError, match="must be 0 to 4294967295"):
        mmio.read_config_u64(1, 2**32, 1)
    for wrong in (5, None, "four"):
        with pytest.raises(TypeError):
            mmio.write(1, 0, wrong)  # type: ignore[arg-type]
    assert machine.history == []


def test_without_the_compiled_twin_there_is_no_native_back_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain: ModuleType = kernels.load("pure")
    monkeypatch.setattr(kernels, "load", lambda choice: plain)
    with pytest.raises(ValueError, match="needs the compiled twin"):
        made("native", Machine())
    assert made("bus", Machine()).open(1, GPA, 8) == 1
