"""The page: all that was found is on it, nothing that was not, and no text of a file is markup."""

import json
import random
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from report_results import (
    bad_devices,
    bench,
    conforming,
    kill,
    map_file,
    of_each_word,
    proofs,
    result,
    with_device,
)

from conformance import bench as benches
from conformance.conform_report import Speed
from conformance.conform_tables import show
from conformance.console import stdout
from conformance.report import page as pages
from conformance.report.given import Given, ResultsError, read
from conformance.report.marks import mark
from conformance.report.tiles import exit_code, tiles
from spec.prove.run import catalogue
from spec.prove.verdict import Verdict


class Text(HTMLParser):
    """The words of a page, and the elements that it has."""

    def __init__(self, page):
        super().__init__()
        self.words, self.tags, self.attributes = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value) for name, value in attrs]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def made(**lists):
    return pages.page(Given(**lists), Path()).decode()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A page with every section filled."""
    folder = tmp_path_factory.mktemp("results")
    bad = bad_devices()
    bad.kills = [kill(), kill("survivor", conform=False)]
    (folder / "prove.json").write_bytes(proofs(of_each_word()).to_json())
    (folder / "conform.json").write_bytes(bad.to_json())
    (folder / "bench.json").write_bytes(benches.to_json(bench()))
    map_file(folder)
    return pages.page(read(sorted(folder.glob("*.json"))), folder).decode()


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ("compiled", "batches judged by the rules, compiled"),
        ("on arrays, which is slower: no C compiler", "batches judged by the rules, on arrays"),
        ("", ""),
    ],
)
def test_page_and_console_say_by_which_rules_batches_were_judged(capsys, rules, says):
    found = with_device(speed=Speed(7, 5, rules), device="c:" + "long/" * 40 + "x.so")
    show(found, stdout())
    told = [row.rstrip() for row in capsys.readouterr().out.splitlines() if "judged" in row]
    assert len(told) == bool(says)
    assert all(row.startswith(f"{says}: c:long/") and len(row) <= 100 for row in told)
    page = pages.page(Given(conforms=[found]), Path()).decode()
    assert page.count("judged by") == bool(says)
    assert f"one by one 5{f'; {says}' * bool(says)}</span>" in page


def test_every_verdict_and_its_reason_is_on_the_page(full):
    text = Text(full).text
    for word in Verdict:
        assert f"area.rule.case/is_{word.lower()}" in text or word == "PROVED"
        assert str(word) in text
    assert "serial-steps" in text
    assert "by definition, a test" in text
    assert "p = 0x41" in text


def test_each_area_of_the_suite_has_its_pictures(full):
    for part in ('class="strip"', 'class="timeline"', 'class="lanes"', "<svg"):
        assert part in full
    for device in bad_devices().devices:
        assert device.differences
        for one in device.differences:
            assert f"replay {one.trace}" in full
    assert "no picture" not in full


def test_page_needs_no_network_and_runs_no_script_but_its_own(full):
    seen = Text(full)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    links = [value for name, value in seen.attributes if name in ("href", "src", "action")]
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    assert "default-src 'none'" in full


def test_what_was_not_run_is_told_as_not_run_and_never_as_passed():
    page = made()
    text = Text(page).text
    assert "Nothing was judged" in text
    assert text.count("NOT RUN") >= 5
    assert "✓" not in text
    assert exit_code(tiles(Given())) == 3


CODES = [
    (lambda: Given(proofs=[proofs([result()])]), 0, "PROVED"),
    (lambda: Given(proofs=[proofs()]), 3, "NOTHING COMPARED"),
    (lambda: Given(proofs=[proofs([result()], partial=True)]), 3, "INTERRUPTED"),
    *(
        (lambda word=word: Given(proofs=[proofs([result(), result("a.b/c", word)])]), code, word)
        for word, code in [
            ("REFUTED", 1), ("UNKNOWN", 3), ("BOUNDED", 3), ("VACUOUS", 4), ("DISAGREE", 6),
            ("ERROR", 6),
        ]
    ),
    (lambda: Given(conforms=[conforming()]), 0, "CONFORMS"),
    (lambda: Given(conforms=[with_device(rules=[])]), 3, "NOTHING COMPARED"),
    (lambda: Given(conforms=[with_device(crash="it died")]), 1, "CRASHES OR HANGS"),
    (lambda: Given(conforms=[bad_devices()]), 1, "DIVERGES"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "code", "word"), CODES)
def test_page_has_the_exit_code_of_the_worst_result_and_says_its_word(given, code, word):
    shown = tiles(given())
    assert exit_code(shown) == code
    assert word in {tile.word for tile in shown}
    holds = pages.headline(shown) == "All that was run holds"
    assert holds == (code == 0)
    worst = next(tile for tile in shown if tile.word == word)
    assert (mark(worst.word).tone == "good") == (code == 0)


def test_word_that_no_mark_is_known_of_is_no_pass():
    assert mark("SPLENDID").tone == "bad"


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{ 7*7 }} \x00\u202e"


def hostile(value):
    """A copy of plain values in which every text has markup before what it said."""
    if isinstance(value, dict):
        return {key: hostile(one) for key, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return f"{HOSTILE}{value}" if isinstance(value, str) else value


def test_no_text_of_a_file_becomes_markup(full, tmp_path):
    plain = json.loads(bad_devices().to_json())
    device = {**hostile(plain["devices"][0]), "crash": HOSTILE}
    files = {
        "c": {**plain, "devices": [*hostile(plain["devices"]), device], "only": HOSTILE},
        "p": {
            **json.loads(proofs(of_each_word()).to_json()),
            "profile": HOSTILE,
            "solvers": {HOSTILE: HOSTILE},
            "obligations": [
                {**hostile(one), "verdict": one["verdict"]}
                for one in json.loads(proofs(of_each_word()).to_json())["obligations"]
            ],
        },
        "b": {
            **hostile(json.loads(benches.to_json(bench()))),
            "schema": benches.SCHEMA,
            "missing": {HOSTILE: HOSTILE},
        },
        "m": {
            **hostile(json.loads(map_file(tmp_path).read_bytes())),
            "schema": "svsm-conformance/handoff/1",
        },
    }
    files["c"]["kills"] = [hostile(msgspec.to_builtins(kill()))]
    (tmp_path / "map.json").unlink()
    for name, value in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    page = pages.page(read(sorted(tmp_path.glob("*.json"))), tmp_path).decode()
    seen, good = Text(page), Text(full)
    assert seen.tags.count("script") == 1
    assert set(seen.tags) <= set(good.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in seen.text
    assert "onerror=alert(2)" in seen.text


BROKEN = {
    "text": b"nonsense",
    "list": b"[]",
    "other": b'{"schema": "svsm-conformance/prove/99"}',
    "no_schema": b"{}",
    "schema_is_a_list": b'{"schema": ["svsm-conformance/prove/1"]}',
    "cut": proofs(of_each_word()).to_json()[:-40],
    "deep": b'{"schema":' + b"[" * 100_000,
    "bytes": bytes(range(256)),
    "false_word": proofs([result(verdict="PROVED!")]).to_json(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_file_that_is_no_result_is_told_in_one_line(name, tmp_path):
    path = tmp_path / f"{name}.json"
    path.write_bytes(BROKEN[name])
    with pytest.raises(ResultsError, match=rf"^{path}: ") as told:
        read([path])
    assert "\n" not in str(told.value)


def test_verdict_is_computed_from_the_figures_whatever_the_file_says(tmp_path):
    lies = json.loads(bad_devices().to_json())
    lies["exit_code"] = 0
    for device in lies["devices"]:
        device["verdict"] = "CONFORMS"
    path = tmp_path / "lies.json"
    path.write_text(json.dumps(lies))
    assert exit_code(tiles(read([path]))) == 1


def test_divergence_without_its_trace_is_told_all_the_same(tmp_path):
    plain = json.loads(bad_devices().to_json())
    for device in plain["devices"]:
        for one in device["differences"]:
            one["trace"] = "/nonexistent/trace.json"
    path = tmp_path / "conform.json"
    path.write_text(json.dumps(plain))
    page = pages.page(read([path]), tmp_path).decode()
    assert page.count("is not there: only its last step") == 5
    assert page.count('class="strip"') >= 2


@pytest.mark.slow
def test_all_obligations_fit_into_a_page_under_a_megabyte():
    chance = random.Random(0)
    results = [
        result(
            one.id, citation=str(one.source), claim=one.claim, method=one.method,
            assumptions=[a.name for a in one.assumptions], solver_seconds=chance.random(),
        )
        for one in catalogue().values()
    ]  # fmt: skip
    page = made(
        proofs=[proofs(results)],
        conforms=[bad_devices()],
        benches=[bench()],
    )
    assert len(results) > 6000
    assert len(page.encode()) < pages.MOST_BYTES
    text = Text(page).text
    assert "would be too large" not in text
    for one in chance.sample(results, 50):
        assert one.id.partition("/")[2] in text


def test_results_that_do_not_fit_are_shortened_and_it_is_said():
    results = [result(f"area.rule/s{i}", claim=f"{i} " * 90) for i in range(3000)]
    page = made(proofs=[proofs(results)])
    assert len(page.encode()) < pages.MOST_BYTES
    assert "the page would be too large" in page


def test_of_very_many_that_are_not_proved_the_page_says_how_many():
    many = [result(f"a.b/s{i}", Verdict.UNKNOWN, claim="x" * 900) for i in range(3000)]
    page = made(proofs=[proofs(many)])
    assert len(page.encode()) < pages.MOST_BYTES
    assert "And 2950 more that are not PROVED" in Text(page).text


def test_more_than_a_page_holds_is_told_in_one_line():
    many = [result(f"area{i}/s", Verdict.UNKNOWN) for i in range(3000)]
    with pytest.raises(pages.PageError, match="fewer results"):
        made(proofs=[proofs(many)])


NUMBERS = (0, -1, 1, 2**40, 2**63, 2**64 - 1, 2**64, 2**200)
TEXTS = ("", "validation.bitmap.create", "handoff.carve", "mmio.read", "²", "\ud800", "x" * 5000)


def damaged(value, chance):
    """A copy of plain values in which some are others of the same kind."""
    if chance.random() < 0.03:
        if isinstance(value, int) and not isinstance(value, bool):
            return chance.choice(NUMBERS)
        if isinstance(value, list):
            return value[:1] * chance.randrange(3)
        if isinstance(value, str):
            return chance.choice(TEXTS)
    if isinstance(value, dict):
        return {key: damaged(one, chance) for key, one in value.items()}
    return [damaged(one, chance) for one in value] if isinstance(value, list) else value


def test_findings_that_make_no_sense_are_told_without_a_picture(tmp_path):
    plain = json.loads(bad_devices().to_json())
    traces = {
        one["trace"]: json.loads(Path(one["trace"]).read_bytes())
        for device in plain["devices"]
        for one in device["differences"]
    }
    seen = 0
    for seed in range(24):
        chance = random.Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        odd = damaged(plain, chance) | {"schema": plain["schema"]}
        for device in odd["devices"]:
            for one in device["differences"]:
                trace = traces.get(one["trace"])
                one["trace"] = str(folder / "trace.json")
                if trace is not None:
                    (folder / "trace.json").write_text(json.dumps(damaged(trace, chance)))
        path = folder / "conform.json"
        path.write_text(json.dumps(odd))
        try:
            given = read([path])
        except ResultsError:
            continue
        seen += b"no picture" in pages.page(given, folder)
        tiles(given)
    assert seen > 2
