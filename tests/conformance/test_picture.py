"""The page strip shows where expected and got differ, in at most 100 columns."""

import pytest

from conformance.doors import doors
from conformance.guard import guarded
from conformance.picture import WIDTH_COLUMNS, describe, strip
from conformance.trace import judge
from spec.pages import ListedPages
from spec.validation import bitmap as b
from tests.conformance.broken import ONE_STEP, POLICY, Garbage, LongRange, ShortRange


def found(device, start, rule, op):
    return judge(start, [(rule, op)], guarded(device()))


def short(pages=80, first=2, stop=70):
    claimed = ListedPages().with_range(0x100, 0x101, True)
    start = b.Bitmap(POLICY, 0x100000, pages, claimed)
    op = b.Between((0x100 + first) << 12, (0x100 + stop) << 12)
    return found(ShortRange, start, b.claim_range, op)


def rows(text):
    return {line.split(" ")[0]: line[10:] for line in text.splitlines()[:6]}


def test_strip_shows_the_page_that_differs():
    drawn = rows(strip(short(), ascii=True))
    place = drawn["differs"].index("^")
    assert drawn["differs"].strip() == "^"
    assert drawn["expected"][place] == "#"
    assert drawn["got"][place] == drawn["before"][place] == "."
    assert drawn["asked"].rindex("-") == place
    assert drawn["asked"].count("-") == 68
    assert drawn["before"].count("#") == 1


def test_strip_numbers_the_pages_of_the_region():
    text = strip(short(), ascii=True)
    drawn = rows(text)
    zero = drawn["before"].index("#")
    for number in (0, 8, 16, 64):
        assert drawn["page"][zero + number :].startswith(str(number))
    first = 0x100 - zero
    assert f"first column: frame {first:#x}, byte address {first << 12:#x}" in text


def test_strip_shows_a_difference_far_inside_a_long_range():
    drawn = rows(strip(short(pages=2000, first=5, stop=1900), ascii=True))
    assert drawn["differs"].strip() == "^"
    assert drawn["expected"] != drawn["got"]


def test_strip_shows_a_claim_outside_the_region():
    start = b.Bitmap(POLICY, 0, 8, ListedPages().with_range(0, 8, True))
    finding = found(LongRange, start, b.release_range, b.Between(0, 4 << 12))
    drawn = rows(strip(finding, ascii=True))
    assert drawn["differs"].strip() == "^"
    assert drawn["expected"].rstrip() == "....####"
    assert drawn["got"].rstrip() == ".....###"


def test_strip_without_a_state_says_so():
    start = b.Bitmap(POLICY, 0, 8, ListedPages())
    finding = found(Garbage, start, b.query, b.At(0x1000))
    assert rows(strip(finding))["got"] == "not shown"


def test_strip_has_an_ascii_form():
    assert strip(short(), ascii=True).isascii()
    assert not strip(short()).isascii()


@pytest.mark.parametrize("device", ONE_STEP, ids=lambda d: d.__name__)
def test_strip_fits_for_every_door(device):
    shown = 0
    for door in doors(POLICY):
        finding = found(device, door.start, door.rule, door.op)
        if finding is not None:
            shown += 1
            lines = strip(finding).splitlines() + strip(finding, ascii=True).splitlines()
            assert max(map(len, lines)) <= WIDTH_COLUMNS
    assert shown


def test_describe_names_step_rule_field_source_and_replay():
    lines = describe(short(), "traces/claim_range-1.json").splitlines()
    assert lines[0] == "step 0: validation.bitmap.claim_range.unclaimed: claimed differs"
    assert lines[1] == "operands: first=0x102000, stop=0x146000"
    assert lines[2].startswith("expected: frames [0x100, 0x101) [0x102, 0x146)")
    assert lines[3].startswith("got: frames [0x100, 0x101) [0x102, 0x145)")
    assert "source: AMD64 APM vol. 2 (24593), section 15.36.6" in lines
    assert lines[-1] == "replay: svsm-conformance replay traces/claim_range-1.json"
