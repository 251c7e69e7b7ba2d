"""Whatever a file holds, each reader ends in a reading or in one clear line; a short, fixed run.

`tests/fuzz/run.py` does the same by the million; `tests/fuzz/guided.py` is led by coverage.
"""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run import SHARES, fuzz
from targets import DefectError, Target, read_igvm, refused, targets

from conformance.formats import igvm_layout as layout
from conformance.formats.igvm_write import Draft, Loaded, Raw, write_igvm
from conformance.formats.source import FormatError

INPUTS = 2000
EDGES = st.sampled_from((0, 1, 4095, 4096, 0x200000, (1 << 52) - 4096, 1 << 52, (1 << 64) - 4096))
SMALL = st.sampled_from((0, 1, 2, 3, 4, 8, 0xFFE8, 0xFFFFFFFF))
gpas = EDGES | st.integers(0, (1 << 64) - 1)
words = SMALL | st.integers(0, 0xFFFFFFFF)
shorts = st.integers(0, 4) | st.integers(0, 0xFFFF)
areas = st.builds(layout.ParameterArea, gpas, st.integers(0, 2), words)
pages = st.builds(layout.PageData, gpas, words, words, words, shorts, shorts)
records = st.one_of(
    st.builds(layout.Platform, words, st.integers(0, 9), st.integers(0, 9), shorts, gpas),
    areas,
    pages,
    st.builds(layout.Insert, gpas, words, st.integers(0, 2)),
    st.builds(layout.VpContext, gpas, words, words, shorts, shorts),
    st.builds(layout.Required, gpas, words, words, words, words),
    st.builds(Raw, st.sampled_from(layout.PARAMETERS), st.binary(min_size=8, max_size=8)),
    st.builds(Raw, words, st.binary(max_size=40)),
    st.builds(Loaded, areas | pages, st.binary(max_size=4096)),
)
drafts = st.builds(
    Draft, st.lists(records, max_size=12), st.integers(1, 2), st.integers(0, 2), st.just(4096)
)


@pytest.mark.parametrize("name", SHARES)
def test_changed_inputs_are_read_or_refused(tmp_path: Path, name: str) -> None:
    (target,) = (one for one in targets(tmp_path) if one.name == name)
    count = fuzz(target, INPUTS, Random(name), tmp_path / "findings")
    assert (count.inputs, count.read + count.refused) == (INPUTS, INPUTS)
    assert count.read, "some changed inputs are still read"
    assert count.refused, "some changed inputs are refused"


@settings(derandomize=True, deadline=None)
@given(draft=drafts)
def test_any_headers_in_any_order_are_read_or_refused(draft: Draft) -> None:
    read_igvm(write_igvm(draft))


def test_the_fuzzing_sees_a_reader_that_breaks(tmp_path: Path) -> None:
    def breaks(data: bytes) -> bool:
        return data[4] > 0

    with pytest.raises(IndexError):
        fuzz(Target("broken", (b"12345",), breaks), 1000, Random(0), tmp_path / "findings")
    assert list((tmp_path / "findings").iterdir())


@pytest.mark.parametrize("said", ["no offset; try", "f: at 0x0: no advice", "a\nb: at 0x0: c; d"])
def test_the_fuzzing_sees_a_refusal_that_is_not_clear(said: str) -> None:
    with pytest.raises(DefectError):
        refused(FormatError(said))
