"""What the bitmap costs, beside other bit sets and beside what the machine allows.

Every figure is the least of several samples, and the samples of one row are interleaved, so
that a ratio compares two things of one moment. A row's limit is the work that no bitmap can
avoid: an empty call for one page, a memset or a plain read of as many bytes for a region.
The bitmap's steps check their arguments; the peers do the bits alone, tests included.
"""

from __future__ import annotations

import importlib
import math
import platform
import sys
import timeit
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from rich import box
from rich.table import Table

from conformance import bench_handoff, bench_runs
from conformance.bench_runs import PLACES

SCHEMA: Final = "svsm-conformance/bench/1"
GUESTS: Final = {"1 GiB": 2**18, "64 GiB": 2**24, "1 TiB": 2**28}
PEERS: Final = ("bitarray", "pyroaring", "numpy", "int")
PATTERNS: Final = ("empty", "full", "alternating", "boot")
AS_RUNS: Final = "boot by 2 MiB, runs"
_ONES: Final = np.uint64(2**64 - 1)


LEAST_SAMPLES: Final = 12


@dataclass(frozen=True)
class Profile:
    """How long one contestant of one row is measured, and in how many samples."""

    seconds: float
    samples: int


PROFILES: Final = {"quick": Profile(0.008, 5), "ci": Profile(0.1, 9), "full": Profile(0.5, 25)}


@dataclass(frozen=True)
class Contest:
    """One row: the same work as statements over the names of a `Rig`.

    per: calls of the bitmap in `ours`; every time is divided by it.
    limits: statements that do what cannot be avoided; the fastest is the limit.
    target: the ratio to the limit that is asked for with 1 TiB, or None.
    """

    name: str
    pattern: str
    per: int
    ours: str
    peers: dict[str, str]
    limit: str = ""
    limits: tuple[str, ...] = ()
    target: float | None = None


_READS = ("read()", "np_or(plain)")
CONTESTS: Final = (
    Contest(
        "query 4 KiB", "empty", 1, "query(gpa)",
        {
            "bitarray": "bits[page]",
            "pyroaring": "page in roaring",
            "numpy": "array[word] & bit",
            "int": "big >> page & 1",
        },
        "empty call", ("call(gpa)",), 1.5,
    ),
    Contest(
        "claim, release 4 KiB", "empty", 2, "claim_4k(gpa); release_4k(gpa)",
        {
            "bitarray": "bits[page]; bits[page] = 1; bits[page]; bits[page] = 0",
            "pyroaring": "page in roaring; add(page); page in roaring; discard(page)",
            "numpy": "array[word] & bit; array[word] |= bit; array[word] & bit; array[word] ^= bit",
            "int": "big >> page & 1; x = big | 1 << page; x >> page & 1; x ^ 1 << page",
        },
        "empty call", ("call(gpa); call(gpa)",), 1.5,
    ),
    Contest(
        "claim, release 2 MiB", "empty", 2, "claim_2m(gpa); release_2m(gpa)",
        {
            "bitarray": "find(1, page, to); bits[page:to] = 1; "
            "find(0, page, to); bits[page:to] = 0",
            "pyroaring": "within(page, to); add_range(page, to); "
            "within(page, to); remove_range(page, to)",
            "numpy": "part.any(); part[:] = ones; (part == ones).all(); part[:] = 0",
            "int": "big & large; x = big | large; x & large == large; x ^ large",
        },
        "empty call", ("call(gpa); call(gpa)",),
    ),
    Contest(
        "one row of a batch", "empty", 1024, "batch(ops, nothing, results, snapshots)", {},
    ),
    Contest(
        "claim, release region", "empty", 2, "claim_range(0, end); release_range(0, end)",
        {
            "bitarray": "bits.any(); bits.setall(1); bits.all(); bits.setall(0)",
            "pyroaring": "within(0, pages); add_range(0, pages); "
            "within(0, pages); remove_range(0, pages)",
            "numpy": "array.any(); array.fill(ones); (array == ones).all(); array.fill(0)",
            "int": "big == 0; x = big | every; x == every; x ^ every",
        },
        "read + memset", tuple(f"{read}; write(255); {read}; write(0)" for read in _READS),
    ),
    Contest(
        "fill: set, clear", "empty", 2, "fill(1); fill(0)",
        {
            "bitarray": "bits.setall(1); bits.setall(0)",
            "pyroaring": "add_range(0, pages); clear()",
            "numpy": "array.fill(ones); array.fill(0)",
            "int": "(1 << pages) - 1; big ^ big",
        },
        "memset", ("write(255); write(0)",), 1.15,
    ),
    Contest(
        "test region", "full", 1, "test_range(0, end)",
        {
            "bitarray": "bits.all()",
            "pyroaring": "within(0, pages) == pages",
            "numpy": "(array == ones).all()",
            "int": "big == every",
        },
        "read", _READS,
    ),
    Contest(
        "count region", "boot", 1, "count(0, end)",
        {
            "bitarray": "bits.count(1)",
            "pyroaring": "len(roaring)",
            "numpy": "np_count(array).sum()",
            "int": "big.bit_count()",
        },
        "read", _READS, 1.7,
    ),
    Contest(
        "first unclaimed, at end", "last", 1, "first_unclaimed(0, end)",
        {
            "bitarray": "find(0)",
            "numpy": "i = (array != ones).argmax(); w = int(array[i]); "
            "64 * i + (~w & w + 1).bit_length() - 1",
            "int": "(~big & big + 1).bit_length() - 1",
        },
        "read", _READS,
    ),
    Contest(
        "compare two equal", "boot", 1, "same(other)",
        {
            "bitarray": "bits == bits_too",
            "pyroaring": "roaring == roaring_too",
            "numpy": "(array == array_too).all()",
            "int": "big == big_too",
        },
        "read of both", ("read(); read_too()", "np_or(plain); np_or(plain_too)"),
    ),
    Contest(
        "runs: query 4 KiB", "boot", PLACES, "[runs_query(g) for g in places]", {},
        "the bitmap's", ("[dense_query(g) for g in places]",), 3.0,
    ),
    Contest(
        "runs: release, claim", "boot", 2 * PLACES,
        "[(runs_release_4k(g), runs_claim_4k(g)) for g in places]", {},
        "the bitmap's", ("[(dense_release_4k(g), dense_claim_4k(g)) for g in places]",), 3.0,
    ),
    Contest(
        "runs: to a bitmap", "boot", 1, "to_bitmap()", {},
        "alloc, memset", ("plain_words()",), 1.3,
    ),
    Contest(
        "handoff of 170 entries", "boot", 1, "handoff(host_map)", {},
        "plain twin", ("plain_handoff(host_map)",),
    ),
)  # fmt: skip


def pattern_words(name: str, pages: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The packed words, shape (pages / 64,), of a bitmap in a state that occurs.

    `boot` is a guest validated in order with every hundredth page a hole; `last` is full but
    for the last page. `pages` is a multiple of 64.
    """
    if name == "boot":
        # 1600 is the least common multiple of 64 and 100: the words repeat after 25.
        period = sum(1 << page for page in range(1600) if page % 100 != 50)
        words = np.frombuffer(period.to_bytes(200, "little"), np.uint64)
        return np.resize(words, pages // 64)
    word = {"empty": 0, "alternating": 0x5555555555555555}.get(name, 2**64 - 1)
    words = np.full(pages // 64, word, np.uint64)
    if name == "last":
        words[-1] >>= np.uint64(1)
    return words


def missing_peers() -> dict[str, str]:
    """Peers that cannot take part, and why."""
    missing = {}
    for name in ("bitarray", "pyroaring"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = f"not installed: {error}"
    return missing


class Rig:
    """The bitmap, run tracker, yardsticks and peers for one guest, as names for statements."""

    def __init__(self, twin: Any, pages: int) -> None:
        bitmap, other = twin.ValidationBitmap(), twin.ValidationBitmap()
        bitmap.create(0, pages, 0)
        other.create(0, pages, 0)
        plains = twin.PlainWords(pages // 64), twin.PlainWords(pages // 64)
        page = pages // 2 // 512 * 512
        steps = [[2 + 3 * (i % 2), 4096 * (page + i // 2), 0, 0] for i in range(1024)]
        self.pages, self.missing = pages, missing_peers()
        self.names: dict[str, Any] = {
            "call": twin.EmptyCall().call, "read": plains[0].read, "write": plains[0].write,
            "read_too": plains[1].read, "plain": np.ones(pages // 64, np.uint64),
            "plain_too": np.ones(pages // 64, np.uint64), "np_or": np.bitwise_or.reduce,
            "np_count": np.bitwise_count, "bitmap": bitmap, "other": other, "batch": bitmap.run,
            "ops": np.array(steps, np.uint64), "nothing": np.zeros(0, np.uint64),
            "results": np.zeros(1024, np.int64), "snapshots": np.zeros((1024, 2), np.uint64),
            "pages": pages, "end": 4096 * pages, "gpa": 4096 * page, "page": page,
            "to": page + 512, "word": page // 64, "bit": np.uint64(1 << page % 64),
            "ones": _ONES, "large": (1 << 512) - 1 << page, "every": (1 << pages) - 1,
            "array": np.zeros(pages // 64, np.uint64),
            "array_too": np.zeros(pages // 64, np.uint64),
        }  # fmt: skip
        self.names["part"] = self.names["array"][page // 64 : page // 64 + 8]
        self.names |= {name: getattr(bitmap, name) for name in _METHODS}
        self.names |= bench_runs.names(twin, pages) | bench_handoff.names(twin)

    def load(self, pattern: str) -> None:
        """Every contestant is in the state `pattern`, twice where two are compared."""
        words, names = pattern_words(pattern, self.pages), self.names
        raw = words.tobytes()
        for suffix, bitmap in (("", names["bitmap"]), ("_too", names["other"])):
            bitmap.import_words(words)
            names[f"array{suffix}"][:] = words
            names[f"big{suffix}"] = int.from_bytes(raw, "little")
            if "bitarray" not in self.missing:
                bits = importlib.import_module("bitarray").bitarray(endian="little")
                bits.frombytes(raw)
                names[f"bits{suffix}"] = bits
            if "pyroaring" not in self.missing:
                names[f"roaring{suffix}"] = roaring_of(pattern, self.pages)
        if "bitarray" not in self.missing:
            names["find"] = names["bits"].find
        if "pyroaring" not in self.missing:
            roaring = names["roaring"]
            names |= {name: getattr(roaring, name) for name in _ROARING}
            names["within"] = roaring.range_cardinality

    def entries(self, contest: Contest) -> Iterator[tuple[str, str]]:
        """Name and statement of everybody that takes part in `contest`."""
        yield "ours", contest.ours
        yield from (item for item in contest.peers.items() if item[0] not in self.missing)
        yield from ((f"limit {i}", stmt) for i, stmt in enumerate(contest.limits))


_METHODS = (
    "query", "claim_4k", "release_4k", "claim_2m", "release_2m", "claim_range", "release_range",
    "fill", "test_range", "count", "first_unclaimed", "same",
)  # fmt: skip
_ROARING = ("add", "discard", "add_range", "remove_range", "clear")


def roaring_of(pattern: str, pages: int) -> Any:
    """The pattern as a pyroaring.BitMap, run-length coded where that is smaller."""
    kind = importlib.import_module("pyroaring").BitMap
    if pattern == "empty":
        return kind()
    last = pages - 1 if pattern == "last" else pages
    roaring = kind(range(0, last, 2 if pattern == "alternating" else 1))
    if pattern == "boot":
        roaring -= kind(range(50, pages, 100))
    roaring.run_optimize()
    return roaring


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds per call, of the bitmap, of each peer that can do it, and of the limit."""

    name: str
    guest: str
    ours: float
    peers: dict[str, float]
    limit: str = ""
    limit_seconds: float | None = None
    target: float | None = None

    def ratios(self) -> dict[str, float]:
        """The bitmap's time over the limit's, and over each peer's."""
        against = {f"limit: {self.limit}": self.limit_seconds} if self.limit_seconds else {}
        return {who: self.ours / seconds for who, seconds in (against | self.peers).items()}


class MemoryRow(msgspec.Struct, frozen=True):
    """Bytes that one guest's record takes, in one pattern of claimed pages."""

    pattern: str
    guest: str
    ours: int
    peers: dict[str, int]


class BenchReport(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one run; `missing` says which peers took no part, and why."""

    schema: str = SCHEMA
    profile: str
    twin: str
    machine: str
    python: str
    missing: dict[str, str]
    rows: list[Row]
    memory: list[MemoryRow]


class Change(msgspec.Struct, frozen=True):
    """A ratio of one run over the same ratio of another; above 1 is slower than before.

    old, new: None where that run has no such ratio; then `change` is None too.
    """

    name: str
    guest: str
    against: str
    old: float | None
    new: float | None
    change: float | None


def run(profile: str, progress: Callable[[str], None] | None = None) -> BenchReport:
    """Measures every row; `quick` takes seconds, `ci` under a minute, `full` minutes.

    Raises: ValueError for another profile.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}, must be one of {', '.join(PROFILES)}")
    # By name: to this package the implementation is one more device.
    kernels = importlib.import_module("impl.kernels")
    twin, rows, memory = kernels.load(), [], []
    for guest, pages in GUESTS.items():
        rig = Rig(twin, pages)
        pattern = ""
        for contest in CONTESTS:
            if progress is not None:
                progress(f"{contest.name}, {guest}")
            if contest.pattern != pattern:
                pattern = contest.pattern
                rig.load(pattern)
            rows.append(measure(rig, contest, guest, PROFILES[profile]))
        if guest == "1 TiB":
            memory = [memory_of(rig, pattern, guest) for pattern in PATTERNS]
            memory.append(MemoryRow(AS_RUNS, guest, sys.getsizeof(rig.names["tracker"]), {}))
    return BenchReport(
        profile=profile, twin=kernels.built(), machine=platform.machine(),
        python=platform.python_version(), missing=missing_peers(), rows=rows, memory=memory,
    )  # fmt: skip


def measure(rig: Rig, contest: Contest, guest: str, profile: Profile) -> Row:
    """One row, its samples interleaved; what takes longer than its time is sampled twice."""
    timers, loops, rounds, best = {}, {}, {}, {}
    for who, statement in rig.entries(contest):
        timers[who] = timeit.Timer(statement, globals=rig.names)
        best[who] = math.inf
        timers[who].timeit(1)
        once = timers[who].timeit(1)
        loops[who] = max(1, int(profile.seconds / profile.samples / once))
        # What a target is held against is sampled often, however short the run.
        least = 2 if who in PEERS else LEAST_SAMPLES
        fitting = int(profile.seconds / (loops[who] * once))
        rounds[who] = max(least, min(profile.samples, fitting))
    for i in range(max(rounds.values())):
        for who, timer in timers.items():
            if i < rounds[who]:
                best[who] = min(best[who], timer.timeit(loops[who]) / loops[who] / contest.per)
    limits = [seconds for who, seconds in best.items() if who.startswith("limit ")]
    return Row(
        name=contest.name, guest=guest, ours=best["ours"],
        peers={peer: best[peer] for peer in PEERS if peer in best},
        limit=contest.limit, limit_seconds=min(limits, default=None),
        target=contest.target if guest == "1 TiB" else None,
    )  # fmt: skip


def statement(stmt: str, names: dict[str, Any]) -> Callable[[], object]:
    """A function that runs `stmt` and returns the value of its last part."""
    *first, last = stmt.split("; ")
    body = [*first, f"return {last}" if _is_expression(last) else last]
    scope = dict(names)
    exec("def work():\n    " + "\n    ".join(body), scope)
    return scope["work"]  # type: ignore[no-any-return]


def _is_expression(text: str) -> bool:
    try:
        compile(text, "<statement>", "eval")
    except SyntaxError:
        return False
    return True


def memory_of(rig: Rig, pattern: str, guest: str) -> MemoryRow:
    """Bytes of everybody's record of `pattern`, as each reports them itself."""
    rig.load(pattern)
    names = rig.names
    peers = {"numpy": int(names["array"].nbytes), "int": sys.getsizeof(names["big"])}
    if "bitarray" not in rig.missing:
        peers["bitarray"] = sys.getsizeof(names["bits"])
    if "pyroaring" not in rig.missing:
        parts = names["roaring"].get_statistics()
        peers["pyroaring"] = sum(n for part, n in parts.items() if part.startswith("n_bytes"))
    return MemoryRow(pattern, guest, sys.getsizeof(names["bitmap"]), peers)


def to_json(report: BenchReport) -> bytes:
    """The report as JSON of schema `svsm-conformance/bench/1`."""
    return msgspec.json.format(msgspec.json.encode(report))


def from_json(data: bytes) -> BenchReport:
    """The report that `to_json` wrote.

    Raises: ValueError for another schema or a malformed report.
    """
    report = msgspec.json.decode(data, type=BenchReport)
    if report.schema != SCHEMA:
        raise ValueError(f"schema is {report.schema!r}, must be {SCHEMA!r}")
    return report


def compare(old: BenchReport, new: BenchReport) -> list[Change]:
    """Every ratio of either run, worst change first, those of one run alone at the end.

    Times of two runs are never compared, only ratios, which hold from machine to machine.
    """
    before, after = _all_ratios(old), _all_ratios(new)
    changes = []
    for key in before | after:
        was, now = before.get(key), after.get(key)
        changes.append(Change(*key, was, now, now / was if was and now else None))
    return sorted(changes, key=lambda change: -(change.change or 0))


def _all_ratios(report: BenchReport) -> dict[tuple[str, str, str], float]:
    return {
        (row.name, row.guest, against): ratio
        for row in report.rows
        for against, ratio in row.ratios().items()
    }


def tables(report: BenchReport) -> list[Table]:
    """Times for each guest, then memory, each at most 100 columns wide.

    A peer's column says how many times as long, or as many bytes, it takes as the bitmap.
    """
    head = f"{report.twin} twin, profile {report.profile}"
    made = []
    for guest in dict.fromkeys(row.guest for row in report.rows):
        table = _table(f"Time per call with {guest}, {head}", "step", "ours", "limit", "ours/limit")
        for row in (row for row in report.rows if row.guest == guest):
            ratio = row.ours / row.limit_seconds if row.limit_seconds else None
            table.add_row(
                row.name, _seconds(row.ours), row.limit or "-", _against(ratio, row.target),
                *(_times(row.peers.get(peer), row.ours) for peer in PEERS),
            )  # fmt: skip
        made.append(table)
    memory = _table("Memory", "pattern", "guest", "ours")
    for line in report.memory:
        memory.add_row(
            line.pattern, line.guest, f"{line.ours / 2**20:.1f} MiB",
            *(_times(line.peers.get(peer), line.ours) for peer in PEERS),
        )  # fmt: skip
    absent = [f"{peer}: {why}" for peer, why in report.missing.items()]
    memory.caption = "\n".join(["- : cannot do it, or takes no part", *absent])
    return [*made, memory]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    for name in (*columns, *PEERS):
        words = name in ("step", "pattern", "guest", "limit")
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    return table


def _against(ratio: float | None, target: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.3g}" if target is None else f"{ratio:.3g}<={target:g}"


def _times(peer: float | None, ours: float) -> str:
    if peer is None:
        return "-"
    ratio = peer / ours
    for scale, suffix in ((1e6, "M"), (1e3, "k"), (1, "")):
        if ratio >= scale:
            return f"x{ratio / scale:.3g}{suffix}"
    return f"x{ratio:.2g}" if ratio >= 0.001 else "<x0.001"


def _seconds(value: float) -> str:
    for scale, unit in ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms")):
        if value < 1000 * scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value:.2f} s"
