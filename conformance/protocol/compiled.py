"""Steps of rules in a tenth of the time: the text of each, run once on names, as a program.

A rule says what it does in words that mean the same to a proof and on numbers, without a branch.
So it is run once on names, and what it did is printed as straight lines of Python that look at
one case after another. A program changes the state that it is given, which costs a fraction of
making another; so it works on a copy of its own (`own`). All that it needs of the state before it
has read before it writes.

The text stays the only statement of the rule: `checked` runs both and tells where they part, and
every run does so on the way to each case.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import z3

from conformance.protocol.printed import Printer
from conformance.protocol.traced import Node, Trace, TracedPages, TracedTable, record
from spec import rule as text
from spec.pages import ListedPages
from spec.rule import Rule, Step
from spec.tables import BLOCK, ListedTable

Program = Callable[[Any, Any], Step]
Programs = Callable[[Rule, type], Program]
RECORDS = ("hw", "cpus")
"""The records in a state that have tables in them."""
STATE, OPERANDS = Node("root", ("s",)), Node("root", ("op",))


class ProgramError(RuntimeError):
    """A program does something else than the rule that it is made from."""


def own(state: Any) -> Any:
    """A copy of a state, to be changed: its records and tables are nobody else's."""
    made = object.__new__(type(state))
    values = made.__dict__
    for name, value in vars(state).items():
        if isinstance(value, ListedTable):
            # As `changed` does it: a table is made in a fraction of the time.
            table = values[name] = object.__new__(ListedTable)
            singles, blocks = dict(value.singles), dict(value.blocks)
            table.__dict__.update(singles=singles, blocks=blocks, default=value.default)
        else:
            values[name] = own(value) if name in RECORDS else value
    return made


def program(rule: Rule, shape: type) -> Program:
    """The program of a rule on states of a class, which it changes: they are its own."""
    listing, names = listed(rule, shape)
    exec(compile(listing, f"<{rule.id}>", "exec"), names)
    return names["program"]  # type: ignore[no-any-return]


def checked(rule: Rule, shape: type) -> Program:
    """A rule's program that looks whether the rule's text says the same of each step.

    Its steps raise ProgramError where it does not.
    """
    made = program(rule, shape)

    def twice(state: Any, op: Any) -> Step:
        by_text = text.step(rule, state, op)
        # What the text left as it was is in its state too, and is about to be changed.
        wanted = by_text._replace(state=own(by_text.state))
        by_program = made(state, op)
        if by_program != wanted:
            raise ProgramError(f"{rule.id}.{wanted.case}: its program does something else")
        return by_program

    return twice


def listed(rule: Rule, shape: type) -> tuple[str, dict[str, Any]]:
    """The text of a rule's program on states of a class, and what its names mean.

    Raises: TypeError where the rule does something that cannot be printed.
    """
    trace = Trace()
    before, op = record(trace, shape, STATE), record(trace, rule.operands, OPERANDS)
    cases = [(case, case.after) for case in rule(before, op)]
    printer = Printer(trace)
    for case, after in cases:
        written = (part for write in _writes(before, after) for part in write.parts)
        for part in (case.when, case.outcome, case.value, *written):
            printer.count(part)
    printer.names |= {id(STATE): "s", id(OPERANDS): "op"}
    for case, after in cases:
        when = printer.text(case.when)
        if when == "False":
            continue
        with printer.inside(when):
            outcome, value = printer.settled(case.outcome), printer.settled(case.value)
            # Whatever a line needs is read before the first of them.
            lines = [write.line(printer) for write in _writes(before, after)]
            done = f"return new(Step, ({case.name!r}, {outcome}, {value}, s))"
            printer.lines += [*lines, done]
        if when == "True":
            break
    else:
        printer.lines.append("raise LookupError('no case is taken')")
    body = "\n".join(f"    {line}" for line in printer.lines)
    return f"def program(s, op):\n{body}", dict(NAMES)


@dataclass(frozen=True)
class Write:
    """One thing that a step changes: a statement with gaps, and what is to stand in them."""

    form: str
    parts: tuple[Any, ...]

    def line(self, printer: Printer) -> str:
        """The statement."""
        return self.form.format(*(printer.settled(part) for part in self.parts))


def _writes(before: Any, after: Any, path: str = "s") -> Iterator[Write]:
    """All that a step changes of a record.

    Raises: TypeError where one table would come to be in two places, to be changed in both.
    """
    for f in fields(after):
        was, now, place = getattr(before, f.name), getattr(after, f.name), f"{path}.{f.name}"
        if _is_record(now):
            yield from _writes(was, now, place)
        elif isinstance(now, TracedTable) and now is not was:
            yield from _table_writes(was.node, now.node, path, f.name)
        elif not (now is was or (isinstance(now, z3.ExprRef) and now.eq(was))):
            yield Write(f"{path}.__dict__[{f.name!r}] = {{}}", (now,))


def _table_writes(was: Node, now: Node, path: str, name: str) -> Iterator[Write]:
    chain = [now]
    while chain[-1].does in PUTS:
        chain.append(chain[-1].parts[0])
    if chain[-1] is was:
        for node in reversed(chain[:-1]):
            yield Write(PUTS[node.does].format(f"{path}.{name}"), node.parts[1:])
    elif chain[-1].does == "filled":
        yield Write(f"{path}.__dict__[{name!r}] = {{}}", (now,))
    else:
        raise TypeError(f"{path}.{name}: a table that another field has too")


PUTS = {
    "put": "{}.singles[{{}}] = {{}}",
    "with_block": "put_block({}, {{}}, {{}}, {{}}, {{}})",
}
"""How a table is changed in place."""


def put_block(table: Any, first: int, large: bool, value: int, counting: bool) -> None:
    """Change a table as `with_block` says, in place."""
    if not large:
        table.singles[first] = value
        return
    for key in [key for key in table.singles if first <= key < first + BLOCK]:
        del table.singles[key]
    table.blocks[first] = value, counting


NAMES = {"Step": Step, "new": tuple.__new__, "put_block": put_block, "bisect": bisect_right}
"""What every program calls; a step is made of its four parts."""


def _is_record(value: Any) -> bool:
    containers = TracedTable | TracedPages | ListedTable | ListedPages
    return is_dataclass(value) and not isinstance(value, containers)
