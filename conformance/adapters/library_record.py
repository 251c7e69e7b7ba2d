"""The record of pages in somebody's library, in the process that runs it."""

from importlib import import_module
from pathlib import Path
from typing import Any

from conformance.adapters.lanes_room import Room, places
from conformance.adapters.library import FFI, Library
from conformance.adapters.wire import Answer, Laned, Lanes, Play, Played, State

WITH_VALUE = frozenset(("create", "query", "test_range", "count", "first_unclaimed"))
LOOP = """void svsm_loop(const struct svsm_record *r, void *self, uint64_t lanes, uint64_t steps,
    uint64_t width, uint64_t room, uint64_t *starts, const struct svsm_step *ops, uint64_t *words,
    struct svsm_answer *answers, uint64_t *shown, volatile uint64_t *done);"""
PAGES_A_WORD = 64
SPARE_WORDS = 2
UNWRITTEN = bytes.fromhex("ced1" * 4)
"""What an export finds in the words that it is to write, so that one that it leaves shows."""


class CouldNotMake(Exception):
    """The library could not make what it claims to be."""


def words_for(pages: int) -> int:
    """How many words hold a bit for each page."""
    return -(-pages // PAGES_A_WORD)


class Record:
    """One record of a library: its bitmap, or its run tracker."""

    def __init__(self, library: Library, group: str) -> None:
        self.library, self.group = library, group
        self.table = getattr(library.tables, group)
        self.self = self.table.make()
        if self.self == FFI.NULL:
            raise CouldNotMake(f"{group}.make answered NULL")
        self.base, self.pages, self.most_runs = 0, 0, int(self.table.policy.most_runs)
        self._loop: Any = None

    def play(self, asked: Play) -> Played:
        """Do the steps of a message."""
        if asked.start is not None:
            self._load(asked.start)
        return Played([self._did(step.rule, step.op) for step in asked.steps])

    def _load(self, start: State) -> None:
        first, count = start.base >> 12, words_for(start.pages)
        bits = 0
        for one, past in start.claimed:
            bits |= ((1 << (past - one)) - 1) << (one - first)
        words = FFI.new("uint64_t[]", count + SPARE_WORDS)
        FFI.buffer(words, 8 * count)[:] = bits.to_bytes(8 * count, "little")
        held = FFI.new("struct svsm_state *", [start.base, start.pages, start.most_runs])
        held.words, held.room = words, count + SPARE_WORDS
        self.table.load(self.self, held)
        self.pages, self.most_runs = start.pages, start.most_runs

    def _did(self, rule: str, op: dict[str, Any]) -> Answer:
        status, value = self._step(rule, op)
        outcome = self.library.outcome(self.group, status)
        if status == 0 and rule == "create":
            self.pages = op["pages"]
        if status == 0 and rule == "switch":
            self.most_runs = (1 << 64) - 1
        return Answer(outcome, self._shown(), value if status == 0 else 0)

    def _step(self, rule: str, op: dict[str, Any]) -> tuple[int, int | list[int]]:
        table = self.table
        if rule == "switch":
            return int(table.become_bitmap(self.self)), 0
        if rule == "export_words":
            length = op["length"]
            words = FFI.new("uint64_t[]", length + SPARE_WORDS)
            FFI.buffer(words)[:] = UNWRITTEN * (length + SPARE_WORDS)
            status = int(table.export_words(self.self, words, length))
            return status, list(words[0:length]) if status == 0 else 0
        if rule == "import_words":
            length = op["length"]
            words = FFI.new("uint64_t[]", length + SPARE_WORDS)
            for index, word in op["words"]:
                if index < length:
                    words[index] = word
            return int(table.import_words(self.self, words, length)), 0
        function = getattr(table, rule)
        if rule not in WITH_VALUE:
            return int(function(self.self, *op.values())), 0
        value = FFI.new("uint64_t *")
        status = int(function(self.self, *op.values(), value))
        return status, int(value[0])

    def _shown(self) -> State:
        room = words_for(self.pages) + SPARE_WORDS
        words = FFI.new("uint64_t[]", room)
        held = FFI.new("struct svsm_state *", [0, 0, self.most_runs])
        held.words, held.room = words, room
        self.table.observe(self.self, held)
        pages, base = int(held.pages), int(held.base)
        count = min(words_for(pages), room)
        bits = int.from_bytes(FFI.buffer(words, 8 * count), "little")
        return State(base, pages, _runs(bits, base >> 12), int(held.most_runs))

    def lanes(self, asked: Lanes, room: Room) -> Laned:
        """Do many traces, in memory that is shared, or as they are said."""
        if self._loop is None:
            FFI.cdef(LOOP)
            path = import_module("conformance.adapters._loop").__file__
            self._loop = FFI.dlopen(str(Path(str(path))))
        at = places(asked.lanes, asked.steps, asked.width, asked.room)
        memory = room.of(at.end)
        said = b"".join((asked.starts, asked.ops, asked.words))
        if said:
            memory[at.starts : at.starts + len(said)] = said
        held = FFI.from_buffer(memory)
        self._loop.svsm_loop(
            self.table,
            self.self,
            asked.lanes,
            asked.steps,
            asked.width,
            asked.room,
            FFI.cast("uint64_t *", held + at.starts),
            FFI.cast("struct svsm_step *", held + at.ops),
            FFI.cast("uint64_t *", held + at.words),
            FFI.cast("struct svsm_answer *", held + at.answers),
            FFI.cast("uint64_t *", held + at.shown),
            FFI.cast("uint64_t *", held + at.done),
        )
        if not said:
            return Laned()
        words, answers = memory[at.words : at.answers], memory[at.answers : at.shown]
        return Laned(answers, words, memory[at.shown : at.end])


def _runs(bits: int, first: int) -> list[tuple[int, int]]:
    """The runs of bits that are set, as ranges of frames."""
    edges, found = bits ^ (bits << 1), []
    while edges:
        lowest = edges & -edges
        edges ^= lowest
        found.append(first + lowest.bit_length() - 1)
    return list(zip(found[::2], found[1::2], strict=True))
