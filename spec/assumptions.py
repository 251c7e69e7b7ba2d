"""What proofs lean on without proving it, named so that every report can print it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Assumption:
    """One thing taken as given: `name` is printed, `says` is the claim."""

    name: str
    says: str


SERIAL_STEPS = Assumption(
    "serial-steps",
    "steps on one bitmap do not overlap: the caller holds a lock, or one vCPU calls at a time",
)
LEAST_ELEMENT = Assumption(
    "least-element",
    "a non-empty set of page numbers has a least one (names the witness of `all` and `none`)",
)
INDUCTION = Assumption(
    "induction",
    "what holds at the start and is kept by each round holds at the end (joins base, step, exit)",
)
COUNTING = Assumption(
    "counting",
    "a count is the one function with count(a, a) = 0 and count(a, b+1) = count(a, b) + [b in set]",
)
FILL_CONTRACT = Assumption(
    "fill-contract",
    "filling words [i, j) with v makes each of them v and touches no other (memset's contract)",
)
POPCNT_CONTRACT = Assumption(
    "popcnt-contract",
    "popcnt(w) is the count of the places below 64 at which w has a bit set",
)
LOWEST_BIT = Assumption(
    "lowest-bit",
    "a word that is not zero has a set bit below which all are clear (what ctz answers)",
)
ATOMIC_STEPS = Assumption(
    "atomic-steps",
    "one step of one vCPU, of the host or of the guest happens at a time; any may come between",
)
BLOCK_ACCESS = Assumption(
    "block-access",
    "work on a 2 MiB block reaches each page that its first page's translation leads on to, or "
    "faults; page by page in between nothing else happens to it",
)
FIXED_LAYOUT = Assumption(
    "fixed-layout",
    "the memory map and the SVSM's own frames do not meet and do not change (checked at handoff)",
)
ONE_GUEST = Assumption(
    "one-guest",
    "RMP entries are told apart only as this guest's or not",
)
RMPUPDATE_FLUSHES = Assumption(
    "rmpupdate-flushes",
    "no translation to a page outlives an RMPUPDATE of it",
)
SERIAL_CALLS = Assumption(
    "serial-calls",
    "calls on one slot do not overlap: it has one owner, who calls from one vCPU at a time",
)
FRESH_MAPPINGS = Assumption(
    "fresh-mappings",
    "page tables map a device at whole pages that nothing else uses, uncached, and undo what is "
    "undone and no more",
)
CHECKSUM = Assumption(
    "checksum",
    "bytes that differ have different SHA-256 sums, unless somebody meant them to agree",
)

ALL = (
    SERIAL_STEPS,
    LEAST_ELEMENT,
    INDUCTION,
    COUNTING,
    FILL_CONTRACT,
    POPCNT_CONTRACT,
    LOWEST_BIT,
    ATOMIC_STEPS,
    BLOCK_ACCESS,
    FIXED_LAYOUT,
    ONE_GUEST,
    RMPUPDATE_FLUSHES,
    SERIAL_CALLS,
    FRESH_MAPPINGS,
    CHECKSUM,
)
