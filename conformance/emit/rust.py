"""A trace as a `#[test]` in Rust, on a module of one's own that docs/emit.md shows."""

from collections.abc import Iterator, Sequence
from typing import Any

from conformance.emit.script import EmitError, Handoff, Mmio, Record, number, runs_of
from conformance.handoff import calls
from conformance.mmio.calls import ROUND, arguments
from conformance.mmio.world import SETTINGS
from conformance.trace import name_of

MEMORY = [
    "fn memory_of(bytes: usize, set: &[(usize, u8)]) -> Vec<u8> {",
    "    let mut made = vec![0; bytes];",
    "    for &(at, byte) in set {",
    "        made[at] = byte;",
    "    }",
    "    made",
    "}",
    "",
]


def rust(script: Record | Handoff | Mmio) -> str:
    """The text of one test file."""
    lines = [f"//! {line}" for line in script.head.lines]
    match script:
        case Record():
            body = [*_use("record"), *_test(script.head.name, _record(script))]
        case Handoff():
            helper = MEMORY if isinstance(script.call, calls.Write) else []
            body = [*_use("handoff"), *helper, *_test(script.head.name, _handoff(script))]
        case Mmio():
            body = [*_use("mmio"), *_test(script.head.name, _mmio(script))]
    return "\n".join((*lines, "", *body, ""))


def _use(module: str) -> list[str]:
    return [f"mod {module}; // yours; see docs/emit.md", ""]


def _test(name: str, body: Iterator[str]) -> Iterator[str]:
    yield "#[test]"
    yield f"fn {name}() {{"
    yield from (f"    {line}" for line in body)
    yield "}"


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(number, values))


def _pairs(listed: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"({_list(one)})" for one in listed)


def _record(script: Record) -> Iterator[str]:
    start, policy = script.start, script.start.policy
    choices = _list((policy.cap_pages, policy.mixed_2m, policy.most_runs))
    yield f"// Its policy: cap_pages, mixed_2m, most_runs = {choices}"
    where = f"{number(start.base)}, {number(start.pages)}"
    yield f"let mut device = record::Record::load({where}, &[{_pairs(runs_of(start))}]);"
    for place, one in enumerate(script.steps, 1):
        operands = [*one.operands, *(one.words or ())]
        yield f"// {place}. {one.rule.name}.{one.case}: {name_of(one.outcome)}"
        yield f'let answer = device.step("{one.rule.name}", &[{_list(operands)}]);'
        if one.outcome:
            yield f'assert_eq!(answer.0, {one.outcome}, "{name_of(one.outcome)}");'
        else:
            yield f"assert_eq!(answer, (0, vec![{_list(one.value)}]));"
        state = f"{number(one.after.base)}, {number(one.after.pages)}"
        yield f"assert_eq!(device.state(), ({state}, vec![{_pairs(runs_of(one.after))}]));"


def _handoff(script: Handoff) -> Iterator[str]:
    told = script.told
    # A refusal makes nothing: no value is looked at then.
    value = told.value if told.is_ok else ((0, 0), (0, 0))
    match script.call:
        case calls.Read(area, limit):
            asked = f"read(&[{_list(area)}], {number(limit)})"
            made = f"vec![{_pairs(value)}]"
        case calls.Size(entries, cap, tracks):
            asked = f"size(&[{_pairs(entries)}], {number(cap)}, {_flag(tracks)})"
            made = f"({_list(told.value)})" if told.is_ok else ""
        case calls.Reserve(entries, kernel, excluded, bitmaps, limit):
            asked = f"reserve(&[{_pairs(entries)}], ({_list(kernel)}), &[{_pairs(excluded)}], "
            asked += f"{number(bitmaps)}, {number(limit)})"
            made = f"({_pairs(value)})"
        case calls.Carve(entries, kernel_range, region, low):
            asked = f"carve(&[{_pairs(entries)}], ({_list(kernel_range)}), ({_list(region)}), "
            asked += f"{number(low)})"
            made = f"vec![{_pairs(value)}]"
        case calls.Write(memory, address, size, prevalidated, guest, terminator, published):
            yield f"let mut memory = {_bytes(memory)};"
            asked = f"write(&mut memory, {number(address)}, {number(size)}, {_flag(prevalidated)}, "
            asked += f"&[{_pairs(guest)}], {_flag(terminator)}, {_flag(published)})"
            made = f"({_list(value[0])})"
        case calls.View(page):
            flags = ", ".join(map(_flag, script.call.version))
            asked = f"view(&{_bytes(page)}, ({flags}), {number(script.call.told)})"
            ram, kept = told.value if told.is_ok else ((), ())
            made = f"(vec![{_pairs(ram)}], vec![{_pairs(kept)}])"
        case calls.Validate():
            raise EmitError("stage validate asks a machine, which no text has; emit python")
    yield f"// {script.head.case}: {told.answer.name}"
    if told.is_ok:
        yield f"assert_eq!(handoff::{asked}, Ok({made}));"
    else:
        yield f"assert_eq!(handoff::{asked}.unwrap_err(), {int(told.answer)});"
    if isinstance(script.call, calls.Write):
        left = told.value[1] if told.is_ok else script.call.memory
        yield f"assert_eq!(memory, {_bytes(left)});"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _bytes(memory: bytes) -> str:
    """A vector of bytes: what is not zero, in a field of zeros."""
    parts = (f"({at}, {byte})" for at, byte in enumerate(memory) if byte)
    return f"memory_of({len(memory)}, &[{', '.join(parts)}])"


def _mmio(script: Mmio) -> Iterator[str]:
    used = sorted({call.machine for call, _ in script.calls})
    for machine in used:
        m = SETTINGS[machine]
        fixed = _list((m.machine.limit, m.machine.shared_bit, m.machine.buffer))
        yield f'let mut device_{machine} = mmio::Machine::new("{m.backend}", {fixed});'
    for place, (call, meant) in enumerate(script.calls, 1):
        sent = [(w.how, w.address, w.width, w.extra, w.value) for w in meant.wires]
        told = [(t.failed, t.status, t.data) for t in meant.told]
        yield f"// {place}. {call.name}: {meant.cases[-1][1]}"
        yield f"let told: &[[u64; 3]] = &[{_arrays(told)}];"
        yield "let mut sent = Vec::new();"
        yield "let mut host = |wire: [u64; 5]| {"
        yield "    sent.push(wire);"
        yield "    told.get(sent.len() - 1).copied().unwrap_or([1, 0, 0])"
        yield "};"
        asked = _list(operands(call))
        yield f'let answer = device_{call.machine}.call("{call.name}", &[{asked}], &mut host);'
        yield f"assert_eq!(answer, {_answer(meant.answer)});"
        yield f"assert_eq!(sent, [{_arrays(sent)}] as [[u64; 5]; {len(sent)}]);"


def operands(call: Any) -> list[int]:
    """A call's operands: those of docs/mmio.md; what is written as a number, last."""
    op = call.ops[0]
    if call.name == "write":
        return [op.slot, op.offset, op.length, op.value]
    made = [int(value) for value in arguments(call)]
    # Where a bus maps the pages is told with the call that has them mapped.
    return [*made, op.home] if call.name == "open" and call.rule.id != ROUND.id else made


def _arrays(listed: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"[{_list(one)}]" for one in listed)


def _answer(answer: int | bytes) -> str:
    if isinstance(answer, bytes):
        return f"Ok({number(int.from_bytes(answer, 'little'))})"
    return f"Ok({number(answer)})" if answer >= 0 else f"Err({-answer})"
