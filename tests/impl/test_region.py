"""The bitmaps' region is made ready page by page, each once, or not at all."""

from collections.abc import Callable
from typing import Any

import pytest

from impl import snp
from impl.platform import Fill, drive
from impl.region import Unready, make_ready

REGION = (1024, 2048)


def asked_of(
    answer: Callable[[Any], Any], region: tuple[int, int] = REGION, shared: bool = True
) -> tuple[int, list[Any]]:
    """What comes of it, and everything that the machine was asked."""
    seen: list[Any] = []

    def machine(operation: Any) -> Any:
        seen.append(operation)
        return answer(operation)

    return drive(make_ready(region, snp.platform(), shared), machine), seen


def honest(operation: Any) -> Any:
    if isinstance(operation, snp.PageState):
        return 0, snp.HEADER.pack(1, 0, 0)
    return None if isinstance(operation, Fill) else (snp.SUCCESS, False)


def test_all_is_private_before_anything_is_validated() -> None:
    told, seen = asked_of(honest)
    assert told == Unready.DONE
    kinds = [type(operation).__name__ for operation in seen]
    assert kinds == ["PageState"] * 1024 + ["Pvalidate", "Fill"] * 2
    assert {op.frame for op in seen[:1024]} == set(range(*REGION))
    assert [op.frame for op in seen[1024:]] == [1024, 1024, 1536, 1536]


def test_the_host_is_not_asked_where_memory_is_private() -> None:
    _, seen = asked_of(honest, shared=False)
    assert len(seen) == 4


def test_smaller_entries_are_validated_and_zeroed_one_by_one() -> None:
    def split(operation: Any) -> Any:
        if isinstance(operation, snp.Pvalidate) and operation.large and operation.frame == 1536:
            return snp.FAIL_SIZEMISMATCH, False
        return honest(operation)

    told, seen = asked_of(split, shared=False)
    assert told == Unready.DONE
    assert len(seen) == 3 + 2 * 512
    zeroed = [op.frame for op in seen if isinstance(op, Fill) and not op.large]
    assert zeroed == list(range(1536, 2048))


@pytest.mark.parametrize("answer", [(snp.SUCCESS, True), (1, False), (6, False)])
def test_a_page_that_is_not_newly_validated_is_refused(answer: tuple[int, bool]) -> None:
    def tampering(operation: Any) -> Any:
        if isinstance(operation, snp.Pvalidate):
            if operation.large:
                return snp.FAIL_SIZEMISMATCH, False
            return answer if operation.frame == 1030 else (snp.SUCCESS, False)
        return honest(operation)

    told, seen = asked_of(tampering)
    assert told == Unready.NOT_VALIDATED
    assert seen[-1] == snp.Pvalidate(1030, False, True)


def test_a_host_that_refuses_is_refused() -> None:
    told, seen = asked_of(lambda operation: (1, bytes(8)))
    assert told == Unready.NOT_PRIVATE
    assert len(seen) == 1


def test_an_empty_region_is_ready() -> None:
    assert asked_of(honest, (0, 0)) == (Unready.DONE, [])


@pytest.mark.parametrize("region", [(1, 513), (0, 100), (1024, 512)])
def test_a_region_that_is_not_in_whole_blocks_raises(region: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be multiples of 512"):
        asked_of(honest, region)
