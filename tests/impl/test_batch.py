"""A batch is the methods one at a time, and refuses what it cannot run before anything runs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from definition import KIB4, TOP, Row, call, walk

from impl.abi import Opcode, Status

PAYLOAD_WORDS = 24


def buffers(rows: list[Row], width: int, payload: int = PAYLOAD_WORDS) -> tuple[Any, ...]:
    """ops, payload, results and snapshots for `rows`, the last two full of rubbish."""
    ops = np.array(rows, np.uint64).reshape(-1, 4)
    return (
        ops,
        np.arange(payload, dtype=np.uint64),
        np.full(len(ops), 77, np.int64),
        np.full((len(ops), 2 + width), 77, np.uint64),
    )


def start(k: ModuleType, seed: int) -> Any:
    mixed = (Status.MIXED, Status.SIZE_MISMATCH)[seed % 2]
    return k.ValidationBitmap(max_pages=2000, mixed_2m=mixed)


@pytest.mark.parametrize("width", [0, 1, 8, 32])
@pytest.mark.parametrize("seed", range(4))
def test_run_is_the_methods_one_at_a_time(k: ModuleType, seed: int, width: int) -> None:
    rows = list(walk(seed, 400, PAYLOAD_WORDS))
    ops, payload, results, snapshots = buffers(rows, width)
    mine = payload.copy()
    batch, single = start(k, seed), start(k, seed)
    assert batch.run(ops, payload, results, snapshots) == len(rows)
    for row, result, snapshot in zip(rows, results, snapshots, strict=True):
        assert call(single, row, mine) == result, row
        kept = np.frombuffer(single.words(), np.uint64)[:width]
        assert list(snapshot[:2]) == [single.base, single.pages]
        assert list(snapshot[2:]) == [*kept, *[0] * (width - len(kept))]
    assert batch.same(single)
    assert np.array_equal(payload, mine)


def test_run_passes_every_bit_of_an_argument(k: ModuleType) -> None:
    end = 2**52
    rows: list[Row] = [
        (Opcode.CREATE, end - 65 * KIB4, 65, TOP - 1),
        (Opcode.RELEASE_4K, end - KIB4, 0, 0),
        (Opcode.FIRST_UNCLAIMED, end - 65 * KIB4, end, 0),
        (Opcode.QUERY, TOP - KIB4, 0, 0),
        (Opcode.CREATE, 0, 2**52, 0),
    ]
    ops, payload, results, snapshots = buffers(rows, 2)
    start(k, 0).run(ops, payload, results, snapshots)
    assert list(results) == [16, 0, end - KIB4, -Status.WRAPS, -Status.WRAPS]
    assert [hex(int(word)) for word in snapshots[-1]] == [
        hex(end - 65 * KIB4), hex(65), hex(TOP - 1), "0x0"
    ]  # fmt: skip


def test_run_of_nothing_does_nothing(k: ModuleType) -> None:
    assert start(k, 0).run(*buffers([], 0, 0)) == 0


@pytest.mark.parametrize(
    "row",
    [
        (14, 0, 0, 0),
        (TOP - 1, 0, 0, 0),
        (Opcode.EXPORT_WORDS, 0, PAYLOAD_WORDS + 1, 0),
        (Opcode.EXPORT_WORDS, PAYLOAD_WORDS, 1, 0),
        (Opcode.EXPORT_WORDS, PAYLOAD_WORDS + 1, 0, 0),
        (Opcode.IMPORT_WORDS, TOP - 1, 2, 0),
        (Opcode.IMPORT_WORDS, 1, TOP - 1, 0),
    ],
)
def test_run_refuses_a_bad_row_before_anything_runs(k: ModuleType, row: Row) -> None:
    bitmap = start(k, 0)
    bitmap.create(0, 70, 1)
    before = bitmap.words()
    given = buffers([(Opcode.FILL, 0, 0, 0), row], 2)
    kept = [buffer.copy() for buffer in given]
    with pytest.raises(ValueError, match=r"ops\[1\]"):
        bitmap.run(*given)
    assert bitmap.words() == before
    assert all(np.array_equal(a, b) for a, b in zip(given, kept, strict=True))


def test_run_accepts_an_empty_part_at_the_very_end(k: ModuleType) -> None:
    given = buffers([(Opcode.EXPORT_WORDS, PAYLOAD_WORDS, 0, 0)], 0)
    start(k, 0).run(*given)
    assert given[2][0] == 0


def _swap(position: int, buffer: Any) -> list[Any]:
    given = list(buffers([(Opcode.FILL, 1, 0, 0)] * 2, 2))
    given[position] = buffer
    return given


def _frozen(buffer: Any) -> Any:
    buffer.flags.writeable = False
    return buffer


@pytest.mark.parametrize(
    ("position", "buffer"),
    [
        (0, np.zeros((2, 3), np.uint64)),
        (0, np.zeros((2, 5), np.uint64)),
        (0, np.zeros(8, np.uint64)),
        (0, np.zeros((2, 4), np.int64)),
        (0, np.zeros((2, 4), np.float64)),
        (0, np.zeros((2, 4), ">u8")),
        (0, np.zeros((2, 4), np.uint64, order="F")),
        (0, np.zeros((2, 8), np.uint64)[:, ::2]),
        (1, np.zeros((2, 2), np.uint64)),
        (1, np.zeros(4, np.uint32)),
        (1, np.zeros(8, np.uint64)[::2]),
        (1, _frozen(np.zeros(4, np.uint64))),
        (1, b"12345678"),
        (2, np.zeros(1, np.int64)),
        (2, np.zeros(3, np.int64)),
        (2, np.zeros(2, np.uint64)),
        (2, _frozen(np.zeros(2, np.int64))),
        (3, np.zeros((2, 1), np.uint64)),
        (3, np.zeros((3, 4), np.uint64)),
        (3, np.zeros((1, 4), np.uint64)),
        (3, np.zeros((2, 4), np.int64)),
        (3, _frozen(np.zeros((2, 4), np.uint64))),
    ],
)
def test_run_refuses_buffers_of_another_kind(k: ModuleType, position: int, buffer: Any) -> None:
    bitmap = start(k, 0)
    bitmap.create(0, 70, 0)
    with pytest.raises(ValueError):
        bitmap.run(*_swap(position, buffer))
    assert bitmap.count(0, 70 * KIB4) == 0


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("value", [None, 7, [1, 2], "words"])
def test_run_refuses_what_is_no_buffer(k: ModuleType, position: int, value: Any) -> None:
    with pytest.raises(TypeError):
        start(k, 0).run(*_swap(position, value))


def test_run_obeys_the_program_it_was_given_though_the_buffers_overlap(k: ModuleType) -> None:
    # One array is at once program and payload: an export over the rows to come changes nothing.
    rows: list[Row] = [
        (Opcode.CREATE, 0, 64 * 8, 1),
        (Opcode.EXPORT_WORDS, 8, 8, 0),
        (Opcode.COUNT, 0, 512 * KIB4, 0),
        (Opcode.RELEASE_4K, 0, 0, 0),
    ]
    ops, _, results, snapshots = buffers(rows, 8)
    start(k, 0).run(ops, ops.reshape(-1), results, snapshots)
    assert list(results) == [64, 8, 512, 0]
    assert (ops[2:] == TOP - 1).all()


def test_a_batch_survives_snapshots_over_everything(k: ModuleType) -> None:
    shared = np.zeros(4 * 50, np.uint64)
    ops = shared.reshape(50, 4)
    ops[:] = [[Opcode.CREATE, 0, 1 + i * 20, i % 2] for i in range(50)]
    bitmap = start(k, 0)
    assert bitmap.run(ops, shared, shared[:50].view(np.int64), ops) == 50
    assert (bitmap.pages, bitmap.count(0, 981 * KIB4)) == (981, 981)
