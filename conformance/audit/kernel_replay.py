"""A counterexample of a kernel, put to the test: the kernel is run on a processor.

What a kernel has to do is said here once more, on plain numbers and page by page, so that the
claims are not their own judge. The proof knows the number of ones in a word as a function of which
little is said, and says nothing of words that a path does not read; so a solver's values may be
those of no real words. Words that no path reads are therefore tried in several ways.
"""

from collections.abc import Callable, Iterator
from typing import Any

from conformance.audit import bits, externals
from conformance.audit.decode import RAX
from conformance.audit.emulate import Machine, NotPlaced
from conformance.audit.execute import ARGUMENTS, RETURNS
from conformance.audit.kernel_rules import FULL, WORDS_AT, KernelRule
from conformance.audit.kernel_world import KernelWorld
from conformance.audit.replay import DoesNotReplay, Witness, run
from conformance.audit.state import State
from conformance.audit.world import STACK_ABOVE, STACK_LOW

MAX_WORDS = 1 << 12
STEPS = 100_000
FILLS = (None, 0, FULL, 1)
"""What lies in words that the path does not read: as the solver has it, or each of these."""

Pages = Callable[[int], int]
Done = tuple[int, int, dict[int, int]]
"""How many bits of the answer count, the answer, and the value of each page that gets one."""


def _extent(page: Pages, first: int, stop: int) -> int:
    found = {page(p) for p in range(first, stop)}
    return 2 if len(found) == 2 else found.pop()


def _clear(page: Pages, first: int, stop: int) -> int:
    return next((p for p in range(first, stop) if not page(p)), stop)


def _set(first: int, stop: int, value: bool) -> dict[int, int]:
    return dict.fromkeys(range(first, stop), int(value))


EXPECTED: dict[str, Callable[..., Done]] = {
    "point_test": lambda page, first: (32, page(first), {}),
    "point_set": lambda page, first: (0, 0, {first: 1}),
    "point_clear": lambda page, first: (0, 0, {first: 0}),
    "large_test": lambda page, first: (64, _extent(page, first, first + 512), {}),
    "large_fill": lambda page, first, ones: (0, 0, _set(first, first + 512, ones % 2**32 != 0)),
    "range_fill": lambda page, a, z, ones: (0, 0, _set(a, z, ones % 2**32 != 0)),
    "range_test": lambda page, a, z: (64, _extent(page, a, z), {}),
    "range_find_clear": lambda page, a, z: (64, _clear(page, a, z), {}),
    "range_count": lambda page, a, z: (64, sum(map(page, range(a, z))), {}),
    **dict.fromkeys(
        ("words_count", "words_count_plain", "words_count_popcnt"),
        lambda page, n: (64, sum(map(page, range(64 * n))), {}),
    ),
    "words_sum": lambda page, n: (64, sum(page(p) << p % 64 for p in range(64 * n)), {}),
}
"""What each kernel answers and does, page by page."""


def replay(rule: KernelRule, world: KernelWorld, start: State, found: Any) -> None:
    """Run a kernel from the values of a counterexample; it has to do something wrong.

    found: a counterexample with its path and the solver's model.
    Raises: DoesNotReplay where it does all that it should; NotPlaced where it cannot be tried.
    """
    witness = Witness(world, start, found)
    low, stop = witness.value(rule.low), witness.value(rule.stop)
    read = {witness.value(one.offset) for one in found.path.trace}
    if stop - low > MAX_WORDS:
        raise NotPlaced(f"its range has {stop - low} words")
    indices = {*read, *range(low, stop + 1)}
    if any(index >> 44 for index in indices):
        raise NotPlaced("its words lie too far apart")
    for fill in FILLS:
        words = {
            index: witness.value(world.held(index)) if fill is None or index in read else fill
            for index in indices
        }
        if any(_differences(rule, witness, words)):
            return
    raise DoesNotReplay("a processor does there what it should")


def _differences(rule: KernelRule, witness: Witness, words: dict[int, int]) -> Iterator[str]:
    """What a processor does that is not what the kernel has to do."""
    pointer, start = witness.value(WORDS_AT), witness.start
    arguments = [witness.value(one) for one in rule.arguments.values()]
    regs = [witness.value(one) for one in start.regs]
    for register, value in zip(ARGUMENTS, [pointer, *arguments], strict=False):
        regs[register] = value
    memory = witness.memory()
    for index, word in words.items():
        for n, byte in enumerate(word.to_bytes(8, "little")):
            memory[pointer + 8 * index + n] = byte
    stops = frozenset(externals.contracts_of(witness.world.image, start.rip))
    machine = Machine(witness.world.image, memory, stops, lambda at: False, lambda a, n: 0, STEPS)
    machine.put(regs, [witness.value(one, 128) for one in start.wide], {"fs": 0, "gs": 0})
    if run(witness, machine) != RETURNS:
        yield "it does not come back"
        return

    def page(p: int) -> int:
        return words[p // 64] >> p % 64 & 1

    width, answer, changed = EXPECTED[rule.name.removeprefix("bitmap_")](page, *arguments)
    if (machine.get(RAX) ^ answer) & bits.mask(width):
        yield "it answers something else"
    after = dict(words)
    for p, value in changed.items():
        after[p // 64] = after[p // 64] & ~(1 << p % 64) | value << p % 64
    for index, word in after.items():
        if machine.read(pointer + 8 * index, 8) != word.to_bytes(8, "little"):
            yield f"word {index:#x} is something else"
    held = {pointer + 8 * index + n for index in words for n in range(8)}
    if any(at not in held and not STACK_LOW <= at < STACK_ABOVE for at in machine.written):
        yield "it writes elsewhere"
