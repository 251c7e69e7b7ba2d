"""Both twins under one name, `k`, and every back end; what is not built is skipped aloud."""

from collections.abc import Iterator
from contextlib import nullcontext
from types import ModuleType

import pytest
from machines import NOT_HERE, WORDS, Machine, trapped

from impl import kernels
from impl.handoff import Stages


@pytest.fixture(params=["pure", "fast"])
def k(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "fast" and kernels.built() != "fast":
        pytest.skip("impl._fast is not built")
    return kernels.load(request.param)


@pytest.fixture
def stages(k: ModuleType) -> Stages:
    """The handoff's stages on either twin."""
    return Stages(k)


BACKENDS = [
    pytest.param("native", marks=pytest.mark.skipif(NOT_HERE is not None, reason=str(NOT_HERE))),
    "bus",
    "snp",
    "tdx",
]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def machine(backend: str) -> Iterator[Machine]:
    one = trapped(WORDS) if backend == "native" else Machine(list(WORDS))
    with getattr(one, "page", nullcontext()):
        yield one
