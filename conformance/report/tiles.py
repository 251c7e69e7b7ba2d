"""What a page says first: one verdict for each thing that was, or was not, run."""

from collections.abc import Iterator
from dataclasses import dataclass

from conformance.conform_report import ConformReport
from conformance.prove_report import EXITS, ProveReport
from conformance.report.given import Given
from spec.prove.verdict import Verdict

# What an exit code means where it is the worst of several: worst first.
WORST = (6, 5, 1, 4, 3, 2, 0)


@dataclass(frozen=True)
class Tile:
    """A verdict. of: what it is about. says: the figures behind it. section: where they stand."""

    of: str
    word: str
    says: str
    section: str
    code: int


def tiles(given: Given) -> tuple[Tile, ...]:
    """A tile for each result, and one that says NOT RUN for each verb that has none."""
    made = [tile for found in given.proofs for tile in _of_proofs(found)]
    made = made or [Tile("prove", "NOT RUN", "no results of prove were given", "proofs", 0)]
    conforms = [tile for found in given.conforms for tile in _of_conform(found)]
    made += conforms or [
        Tile("conform", "NOT RUN", "no results of conform were given", "coverage", 0)
    ]
    kills = [tile for found in given.conforms for tile in _of_kills(found)]
    why = "the kill matrix is made by conform --profile ci or nightly"
    made += kills or [Tile("known-bad variants", "NOT RUN", why, "kills", 0)]
    maps = [
        Tile(
            f"handoff of {one.source}",
            "WELL" if one.is_well else "NOT WELL",
            one.notes[-1] if one.notes else "",
            "maps",
            0 if one.is_well else 1,
        )
        for one in given.maps
    ]
    made += maps or [Tile("handoff", "NOT RUN", "no results of handoff were given", "maps", 0)]
    benches = [
        Tile("bench", "MEASURED", f"{len(one.rows)} rows, {one.twin} twin", "benches", 0)
        for one in given.benches
    ]
    made += benches or [Tile("bench", "NOT RUN", "no results of bench were given", "benches", 0)]
    return tuple(made)


def exit_code(made: tuple[Tile, ...]) -> int:
    """The worst that the results stand for; 3 where there is none at all."""
    codes = [tile.code for tile in made if tile.word != "NOT RUN"] or [3]
    return min(codes, key=WORST.index)


def proof_word(found: ProveReport) -> tuple[str, int]:
    """The worst verdict of a run of `prove`, and the code it stands for."""
    if found.partial and found.exit_code in (0, 3):
        return "INTERRUPTED", 3
    if not found.obligations:
        return "NOTHING COMPARED", 3
    words = {result.verdict for result in found.obligations}
    worst = next((str(word) for word, _ in EXITS if str(word) in words), str(Verdict.PROVED))
    return worst, found.exit_code


def _of_proofs(found: ProveReport) -> Iterator[Tile]:
    word, code = proof_word(found)
    asked = ", ".join(f"{name} {version}" for name, version in found.solvers.items())
    says = f"{found.proved:,} of {len(found.obligations):,} obligations PROVED; {asked}"
    yield Tile("prove", word, says, "proofs", code)


def _of_conform(found: ConformReport) -> Iterator[Tile]:
    if found.partial or not found.devices:
        word = "INTERRUPTED" if found.partial else "NOTHING COMPARED"
        yield Tile("conform", word, f"{len(found.devices)} devices were run", "coverage", 3)
    for device in found.devices:
        says = f"{device.compared:,} steps compared, {len(device.rules)} rules"
        says += f", {len(device.not_claimed)} not claimed" if device.not_claimed else ""
        section = "divergences" if device.differences else "coverage"
        yield Tile(f"conform {device.device}", device.verdict, says, section, device.exit_code)


def _of_kills(found: ConformReport) -> Iterator[Tile]:
    if found.kills:
        killed = len(found.kills) - len(found.survivors)
        word = "DEFECTS SURVIVED" if found.survivors else "FOUND"
        says = f"{killed} of {len(found.kills)} found by proofs, runs and vectors each"
        yield Tile("known-bad variants", word, says, "kills", 4 if found.survivors else 0)
