"""The page: one file that needs no network, made of results and nothing else.

Whatever a file of results says becomes text: the template escapes everything, and a content
security policy in the page itself lets only its own script run and nothing be fetched.
"""

import base64
import hashlib
import shlex
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from conformance import __version__
from conformance.handoff.figures import Figures, rows
from conformance.report import benches, divergences, parts, proofs
from conformance.report.given import Given
from conformance.report.marks import mark
from conformance.report.tiles import Tile, exit_code, tiles
from conformance.report.words import visible
from spec.handoff.words import PAGE_BYTES

MOST_BYTES = 1_000_000
MOST_BROKEN = 200
"""What is not proved and told in full; of more than that the page says how many there are."""
SECTIONS = ("verdicts", "divergences", "proofs", "coverage", "kills", "maps", "benches")
NAMES = {"proofs": "proof matrix", "coverage": "case coverage", "kills": "kill matrix"}
NAMES |= {"maps": "memory maps"}


class PageError(ValueError):
    """The results do not fit into one page; one line."""


def page(given: Given, beside: Path) -> bytes:
    """The page as bytes of HTML, under a megabyte.

    beside: where traces of divergences are looked for, besides where the results say they are.

    Raises: PageError where even without the single sentences of the proofs it is too large.
    """
    context = _context(given, beside)
    template = _environment().get_template("page.html")
    for compact, most_broken in ((False, MOST_BROKEN), (True, MOST_BROKEN // 4)):
        text = template.render(**context, compact=compact, most_broken=most_broken)
        made = text.encode("utf-8", "replace")
        if len(made) < MOST_BYTES:
            return made
    raise PageError(f"the page would have {len(made):,} bytes; give fewer results to one page")


def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_text),
        trim_blocks=True,
        finalize=_seen,
    )
    made.globals |= {
        "mark": mark,
        "cut": parts.cut,
        "quote": shlex.quote,
        "prove_line": _prove_line,
        "conform_line": divergences.conform_line,
    }
    return made


def _seen(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _text(name: str) -> str:
    return (files("conformance") / "report" / "template" / name).read_text("utf-8")


def _context(given: Given, beside: Path) -> dict[str, object]:
    script = _text("script.js")
    shown = tiles(given)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "version": __version__,
        "headline": headline(shown),
        "lead": lead(shown),
        "sections": [(name, NAMES.get(name, name), "") for name in SECTIONS],
        "style": Markup(_text("style.css")),
        "script": Markup(script),
        "script_hash": digest,
        "tiles": shown,
        "proofs": [proofs.matrix(one) for one in given.proofs],
        "conforms": given.conforms,
        "divergences": [one for c in given.conforms for one in divergences.shown(c, beside)],
        "crashes": [one for c in given.conforms for one in divergences.crashes(c)],
        "kills": [kill for one in given.conforms for kill in one.kills],
        "maps": [_map(one) for one in given.maps],
        "benches": [{"report": b, "plots": benches.plots(b)} for b in given.benches],
        "names": given.names,
    }


def headline(shown: tuple[Tile, ...]) -> str:
    """What a reader who reads one line has to know."""
    code = exit_code(shown)
    judged = [tile for tile in shown if tile.word not in ("NOT RUN", "MEASURED")]
    if not judged:
        return "Nothing was judged"
    return "All that was run holds" if code == 0 else "NOT everything holds"


def lead(shown: tuple[Tile, ...]) -> str:
    """The rest of it: what is wrong, what is open, and what was not run."""
    tones = {tone: [t.of for t in shown if mark(t.word).tone == tone] for tone in ("bad", "open")}
    not_run = [tile.of for tile in shown if tile.word == "NOT RUN"]
    said = [
        f"{word}: {', '.join(names)}"
        for word, names in (("wrong", tones["bad"]), ("open", tones["open"]), ("not run", not_run))
        if names
    ]
    return f"{'; '.join(said)}." if said else "Everything was run."


def _prove_line(name: str) -> str:
    # To a glob, brackets are a set of letters.
    pattern = name.replace("[", "?").replace("]", "?")
    return f"svsm-conformance prove {shlex.quote(pattern)}"


def _map(found: Figures) -> dict[str, object]:
    return {"figures": found, "strip": parts.strip(rows(found)), "command": _handoff_line(found)}


def _handoff_line(found: Figures) -> str:
    """The command that follows a map again, with what was asked in numbers."""
    asked = found.asked
    kernel = ":".join(hex(pages * PAGE_BYTES) for pages in asked.kernel)
    words = [found.source, "--kernel", kernel]
    words += ["--area", f"{asked.area[0]:#x}:{asked.area[1]}"]
    words += ["--cap", str(asked.cap * PAGE_BYTES)]
    words += ["--low-memory", str(asked.low_pages * PAGE_BYTES)]
    words += [] if asked.tracks else ["--no-track"]
    words += [] if asked.area[2] else ["--no-prevalidated"]
    words += [] if asked.with_terminator else ["--no-terminator"]
    words += ["--firmware", found.firmware.place] if found.firmware else []
    return f"svsm-conformance handoff {shlex.join(words)}"
