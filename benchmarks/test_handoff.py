"""The handoff under pytest-benchmark: `pytest benchmarks/test_handoff.py --benchmark-enable`."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import bench_handoff
from impl import kernels
from impl.handoff import Done

BUILT = pytest.mark.skipif(kernels.built() != "fast", reason="impl._fast is not built")
TWINS = pytest.mark.parametrize("twin", ["pure", pytest.param("fast", marks=BUILT)])


@TWINS
def test_handoff_of_170_entries(benchmark: Any, twin: str) -> None:
    names = bench_handoff.names(kernels.load(twin))
    benchmark.group = "handoff of 170 entries, as bytes"
    done = benchmark(names["handoff"], names["host_map"])
    assert isinstance(done, Done)
    assert (len(done.entries), len(done.guest)) == (170, 170)
    if twin == "fast" and benchmark.stats is not None:
        assert benchmark.stats.stats.min < 100e-6


@TWINS
def test_handoff_of_170_entries_as_objects(benchmark: Any, twin: str) -> None:
    names = bench_handoff.names(kernels.load(twin))
    benchmark.group = "handoff of 170 entries, and lists of them"

    def work() -> tuple[Any, Any]:
        done = names["handoff"](names["host_map"])
        return done.entries, done.guest

    entries, guest = benchmark(work)
    assert (len(entries), len(guest)) == (170, 170)
