"""A program that speaks lines of JSON: a set of frames. Its argument is what it does wrong.

It knows nothing of the suite but the messages, as an outsider's would.
"""

import json
import os
import sys
import time

PAGE, TOP = 4096, 1 << 64
MOST = 1 << 28
CLAIMS = "create fill claim_4k claim_2m claim_range release_4k release_2m release_range query " + (
    "test_range count first_unclaimed export_words import_words"
)


class Refused(Exception):
    pass


class Pages:
    base, pages, claimed = 0, 0, frozenset()

    def start(self, told):
        self.base, self.pages = told["base"], told["pages"]
        self.claimed = {p for a, b in told["claimed"] for p in range(a, b)}

    def shown(self):
        edges = sorted(self.claimed ^ {p + 1 for p in self.claimed})
        runs = list(zip(edges[::2], edges[1::2], strict=True))
        return {"base": self.base, "pages": self.pages, "claimed": runs, "most_runs": TOP - 1}

    def span(self):
        first = self.base // PAGE
        return first, first + self.pages

    def refuse(self, *reasons):
        for name, holds in reasons:
            if holds:
                raise Refused(name)

    def page(self, gpa, size):
        first, stop = self.span()
        self.refuse(("MISALIGNED", gpa % size), ("WRAPS", gpa + size >= TOP))
        frames = range(gpa // PAGE, (gpa + size) // PAGE)
        self.refuse(("OUTSIDE", frames[0] < first or frames[-1] >= stop))
        return frames

    def between(self, low, high):
        first, stop = self.span()
        self.refuse(
            ("MISALIGNED", low % PAGE or high % PAGE),
            ("REVERSED", high < low),
            ("EMPTY", high == low),
            ("OUTSIDE", low // PAGE < first or high // PAGE > stop),
        )
        return range(low // PAGE, high // PAGE)

    def change(self, frames, to):
        held = sum(p in self.claimed for p in frames)
        self.refuse(
            ("ALREADY_CLAIMED" if to else "NOT_CLAIMED", held == (len(frames) if to else 0)),
            ("MIXED", 0 < held < len(frames)),
        )
        self.claimed = self.claimed | set(frames) if to else self.claimed - set(frames)
        return 0

    def create(self, base, pages, claimed):
        self.refuse(
            ("MISALIGNED", base % PAGE),
            ("EMPTY", pages == 0),
            ("WRAPS", base // PAGE + pages >= TOP // PAGE),
            ("ABOVE_LIMIT", base // PAGE + pages > 1 << 40),
            ("OVER_CAP", pages > MOST),
        )
        self.base, self.pages = base, pages
        self.claimed = set(range(*self.span())) if claimed else set()
        return -(-pages // 64) * 8

    def fill(self, claimed):
        self.claimed = set(range(*self.span())) if claimed else set()
        return 0

    def query(self, gpa):
        return int(self.page(gpa, PAGE)[0] in self.claimed)

    def test_range(self, first, stop):
        frames = self.between(first, stop)
        held = sum(p in self.claimed for p in frames)
        return 0 if not held else 1 if held == len(frames) else 2

    def count(self, first, stop):
        return sum(p in self.claimed for p in self.between(first, stop))

    def first_unclaimed(self, first, stop):
        for p in self.between(first, stop):
            if p not in self.claimed:
                return p * PAGE
        raise Refused("NONE_UNCLAIMED")

    def export_words(self, length):
        self.refuse(("WRONG_LENGTH", length != -(-self.pages // 64)))
        first, _ = self.span()
        words = [0] * length
        for p in self.claimed:
            words[(p - first) // 64] |= 1 << (p - first) % 64
        return words

    def import_words(self, length, words):
        first, stop = self.span()
        self.refuse(("WRONG_LENGTH", length != -(-self.pages // 64)))
        taken = {first + 64 * i + b for i, w in words for b in range(64) if w >> b & 1}
        self.refuse(("SLACK_SET", any(p >= stop for p in taken)))
        self.claimed = taken
        return 0

    def do(self, rule, op):
        size = {"4k": PAGE, "2m": 1 << 21}.get(rule[-2:])
        if rule[:6] in ("claim_", "releas"):
            frames = self.page(op["gpa"], size) if size else self.between(op["first"], op["stop"])
            return self.change(frames, rule.startswith("claim"))
        return getattr(self, rule)(**op)


def answered(pages, rule, op):
    try:
        value = pages.do(rule, op)
    except Refused as refusal:
        return {"outcome": str(refusal), "state": pages.shown()}
    return {"outcome": "OK", "value": value, "state": pages.shown()}


def misdeed(wrong, steps):
    """What goes wrong where a range of 100 pages is claimed."""
    hit = any(r == "claim_range" and op["stop"] - op["first"] == 100 * PAGE for r, op in steps)
    if not hit:
        return
    if wrong == "exits":
        sys.exit(3)
    if wrong == "hangs":
        time.sleep(600)
    if wrong == "closes":
        os.close(1)
        time.sleep(600)
    if wrong == "garbage":
        say("what was the question?", raw=True)
    while wrong == "endless":
        sys.stdout.write("x" * 65536)
    if wrong == "other":
        say({"say": "started"})


def say(what, raw=False):
    print(what if raw else json.dumps(what), flush=True)


def main():
    wrong = sys.argv[1] if len(sys.argv) > 1 else ""
    if wrong == "at once":
        print("I need a licence", file=sys.stderr)
        sys.exit(1)
    pages = Pages()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["say"] == "hello":
            choices = {"cap_pages": MOST, "mixed_2m": "MIXED"}
            claims = [f"validation.bitmap.{name}" for name in CLAIMS.split()]
            version = 9 if wrong == "version" else 1
            say(
                {"say": "hello", "version": version, "name": "speaker", "claims": claims}
                | {"bitmap": choices}
            )
            continue
        if asked.get("start") is not None:
            pages.start(asked["start"])
        misdeed(wrong, asked["steps"])
        say({"say": "played", "answers": [answered(pages, *step) for step in asked["steps"]]})


main()
