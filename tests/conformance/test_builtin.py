"""The built-in implementation as a device: its answers and its state in the rules' terms."""

from types import ModuleType

import numpy as np
import pytest

from conformance import builtin
from conformance.builtin import BUILTIN_POLICY, MAX_PAGES, device, device_of
from conformance.device import Answer, DeviceError, DeviceFault
from conformance.packing import from_bytes, to_bytes
from impl import abi, kernels
from spec.pages import ListedPages, ListedWords
from spec.validation.bitmap import RULES, At, Between, Bitmap, Create, Export, Import, Policy
from spec.validation.outcomes import Outcome

AREA = "validation.bitmap."
BASE = 5 << 12


@pytest.fixture(params=["fast", "pure"])
def made(request):
    if request.param == "fast" and kernels.built() != "fast":
        pytest.skip("the compiled twin is not built")
    return device(request.param)


def region(pages, *runs):
    """A region of `pages` pages from `BASE`; runs count from its first page."""
    claimed = ListedPages()
    for first, stop in runs:
        claimed = claimed.with_range(5 + first, 5 + stop, True)
    return Bitmap(BUILTIN_POLICY, BASE, pages, claimed)


def test_it_claims_every_rule_and_says_its_name(made):
    assert made.claims == {rule.id for rule in RULES}
    assert made.name in ("impl:fast", "impl:pure")
    assert device().name == f"impl:{kernels.built()}"
    assert made.policy == BUILTIN_POLICY == made.observe().policy


@pytest.mark.parametrize("pages", [1, 63, 64, 65, 600, 9000])
def test_it_shows_the_state_that_it_was_given(made, pages):
    middle = pages // 2
    for start in (
        region(pages),
        region(pages, (0, pages)),
        region(pages, (middle, pages)),
        region(pages, *((p, p + 1) for p in range(0, pages, 2))),
    ):
        made.reset(start)
        assert made.observe() == start


def test_an_answer_is_an_outcome_and_a_value(made):
    made.reset(region(70, (3, 5)))
    page = [BASE + (p << 12) for p in range(71)]
    assert made.apply(AREA + "query", At(page[3])) == Answer(0, 1)
    assert made.apply(AREA + "query", At(page[70])) == Answer(Outcome.OUTSIDE)
    assert made.apply(AREA + "claim_4k", At(page[3])) == Answer(Outcome.ALREADY_CLAIMED)
    assert made.apply(AREA + "claim_range", Between(page[2], page[4])) == Answer(Outcome.MIXED)
    assert made.apply(AREA + "count", Between(page[0], page[70])) == Answer(0, 2)
    assert made.apply(AREA + "claim_4k", At(page[69])) == Answer(0, 0)
    assert made.observe() == region(70, (3, 5), (69, 70))
    assert made.apply(AREA + "export_words", Export(2)) == Answer(0, (0b11000, 1 << 5))
    assert made.apply(AREA + "export_words", Export(3)) == Answer(Outcome.WRONG_LENGTH)
    slack = Import(2, ListedWords.of([0, 1 << 6]))
    assert made.apply(AREA + "import_words", slack) == Answer(Outcome.SLACK_SET)
    assert made.apply(AREA + "import_words", Import(2, ListedWords.of([7, 1]))) == Answer(0, 0)
    assert made.observe() == region(70, (0, 3), (64, 65))
    assert made.words() == (7).to_bytes(8, "little") + (1).to_bytes(8, "little")
    assert made.apply(AREA + "create", Create(0, MAX_PAGES + 1, True)) == Answer(Outcome.OVER_CAP)


def test_the_other_word_for_a_mixed_2m_can_be_chosen():
    chosen = device("pure+size_mismatch")
    assert chosen.policy.mixed_2m == chosen.observe().policy.mixed_2m == Outcome.SIZE_MISMATCH
    mixed = Bitmap(chosen.policy, 0, 512, ListedPages((3, 9)))
    chosen.reset(mixed)
    assert chosen.apply(AREA + "claim_2m", At(0)) == Answer(Outcome.SIZE_MISMATCH)
    assert chosen.observe() == mixed


def test_a_policy_can_be_given():
    small = Policy(100, int(Outcome.SIZE_MISMATCH))
    given = device("pure", small)
    assert given.policy == given.observe().policy == small
    assert given.apply(AREA + "create", Create(0, 101, False)) == Answer(Outcome.OVER_CAP)


@pytest.mark.parametrize("choice", ["slow", "pure+ok", "pure+wraps", "pure+nonsense"])
def test_a_device_that_there_is_not_is_told_in_one_line(choice):
    with pytest.raises(DeviceError, match="impl:") as told:
        device(choice)
    assert "\n" not in str(told.value)


def test_a_twin_that_is_not_built_is_a_device_error(monkeypatch):
    def absent(_choice):
        raise ImportError("No module named 'impl._fast'")

    monkeypatch.setattr(kernels, "load", absent)
    with pytest.raises(DeviceError, match=r"impl:fast: No module named 'impl\._fast'"):
        device("fast")


def test_statuses_are_translated_by_name(monkeypatch):
    class Moved(int):
        name = "MIXED"

    monkeypatch.setattr(abi, "Status", [Moved(77)])
    assert builtin.outcomes() == {77: Outcome.MIXED}
    Moved.name = "NOVEL"
    with pytest.raises(KeyError, match="NOVEL"):
        builtin.outcomes()


class Odd:
    """A bitmap that answers whatever it is told to."""

    says: object = 0
    base, pages, max_pages, mixed_2m = 0, 0, MAX_PAGES, abi.Status.MIXED

    def __init__(self, **_chosen):
        pass

    def load_state(self, base, pages, words):
        if pages == 13:
            raise RuntimeError("unlucky")

    def query(self, gpa):
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def words(self):
        raise MemoryError("no room")


def odd(says):
    module = ModuleType("odd")
    module.ValidationBitmap = type("Bitmap", (Odd,), {"says": says})
    return device_of(module, "odd")


@pytest.mark.parametrize("says", [RuntimeError("broken"), None, 1.5, "0", -99])
def test_what_is_no_answer_is_a_fault(says):
    with pytest.raises(DeviceFault):
        odd(says).apply(AREA + "query", At(0))


def test_a_state_that_cannot_be_taken_on_or_shown_is_a_fault():
    with pytest.raises(DeviceFault, match="unlucky"):
        odd(0).reset(Bitmap(BUILTIN_POLICY, 0, 13, ListedPages()))
    with pytest.raises(DeviceFault, match="no room"):
        odd(0).observe()
    with pytest.raises(DeviceFault, match="load_state"):
        device("pure").reset(Bitmap(BUILTIN_POLICY, 1, 13, ListedPages()))


@pytest.mark.parametrize("pages", [1, 64, 130, 8192, 8193, 40_000])
@pytest.mark.parametrize("chance", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_bytes_and_boundaries_are_the_same_set(pages, chance):
    held = np.random.Generator(np.random.PCG64(pages)).random(pages) < chance
    data = np.packbits(held, bitorder="little").tobytes()
    data += bytes(-len(data) % 8)
    found = from_bytes(data, 1000)
    runs = list(found.runs())
    assert all(a < b for a, b in runs)
    assert sum(b - a for a, b in runs) == found.count(1000, 1000 + pages) == held.sum()
    assert all(found.has(1000 + p) == held[p] for p in range(0, pages, 1 + pages // 500))
    assert to_bytes(found, 1000, pages) == data


def test_a_guest_of_five_million_pages_is_shown(made):
    pages = 5_000_001
    start = region(pages, (0, 1), (64, 4_000_000), (pages - 1, pages))
    made.reset(start)
    assert made.observe() == start
