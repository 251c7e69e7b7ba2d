"""The rows of `conformance.bench` under pytest-benchmark.

`pytest benchmarks --benchmark-enable`; a time here includes one Python function call, which the
rows of the verb `bench` do not, so points are for `bench` to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conformance import bench
from impl import kernels


@pytest.fixture(scope="module", params=bench.GUESTS)
def rig(request: pytest.FixtureRequest) -> Iterator[bench.Rig]:
    yield bench.Rig(kernels.load(), bench.GUESTS[request.param])


@pytest.mark.parametrize("contest", bench.CONTESTS, ids=lambda contest: contest.name)
@pytest.mark.parametrize("who", ["ours", *bench.PEERS, "limit 0", "limit 1"])
def test_row(benchmark: Any, rig: bench.Rig, contest: bench.Contest, who: str) -> None:
    if who in rig.missing:
        pytest.skip(f"{who} is {rig.missing[who]}")
    entries = dict(rig.entries(contest))
    if who not in entries:
        pytest.skip(f"{who} has no part in {contest.name!r}")
    rig.load(contest.pattern)
    pages = rig.pages
    benchmark.group = f"{contest.name}, {pages * 4096 // 2**30} GiB"
    benchmark(bench.statement(entries[who], rig.names))
