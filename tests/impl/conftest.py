"""Both twins under one name, `k`; a twin that is not built is skipped aloud."""

from types import ModuleType

import pytest

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
