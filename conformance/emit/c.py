"""A trace as a test in C, on the table of functions that `svsm_conformance.h` says."""

from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

from conformance.emit.script import (
    MOST_WORDS,
    EmitError,
    Handoff,
    Mmio,
    Record,
    number,
    runs_of,
)
from conformance.handoff import calls
from conformance.mmio.calls import Call, Expected
from conformance.mmio.world import SETTINGS
from conformance.trace import name_of
from spec.rule import Rule
from spec.validation.bitmap import Bitmap

BACKENDS = {"bus": "SVSM_BUS", "native": "SVSM_BUS", "snp": "SVSM_SNP", "tdx": "SVSM_TDX"}
TOLD = {"create": "bytes", "query": "claimed", "test_range": "extent", "count": "pages"}
TOLD |= {"first_unclaimed": "gpa"}
"""The steps of a record that write a value to their last pointer, and what it is."""


def c(script: Record | Handoff | Mmio) -> str:
    """The text of one program, to be linked with a library of one's own."""
    head = script.head
    lines = ["/*", *(f" * {line}" for line in head.lines)]
    build = "cc -I \"$(python3 -c 'import conformance.adapters as a; print(a.header().parent)')\""
    lines += [" *", f" * {build} {head.name}.c yours.c && ./a.out", " */"]
    match script:
        case Record():
            parts, body = ("common.c.in", "record.c.in"), _record(script)
        case Handoff():
            parts, body = ("common.c.in", "handoff.c.in"), _handoff(script)
        case Mmio():
            parts, body = ("common.c.in", "mmio.c.in"), _mmio(script)
    text = [*lines, *(_text(part) for part in parts), f"static void {head.name}(void)", "{"]
    text += [*(f"    {line}" for line in body), "}", "", "int main(void)", "{"]
    text += [f"    {head.name}();", f'    puts("passed: {head.name}");', "    return 0;", "}", ""]
    return "\n".join(text)


def _text(name: str) -> str:
    return (files("conformance") / "emit" / "template" / name).read_text("ascii")


def _list(values: Sequence[int]) -> str:
    return ", ".join(f"UINT64_C({number(value)})" for value in values)


def _array(kind: str, listed: Sequence[Sequence[int]]) -> str:
    """An array as an argument: of none there is none, for C has no empty one."""
    shown = ", ".join(f"{{{_list(one)}}}" for one in listed)
    return f"({kind}[]){{{shown}}}" if listed else "NULL"


def _record(script: Record) -> Iterator[str]:
    table = "runs" if script.is_runs else "bitmap"
    start = script.start
    yield f"const struct svsm_record *record = svsm_conformance_library()->{table};"
    yield f'expect(record != NULL, "the library has no table `{table}`");'
    yield "void *self = record->make();"
    yield 'expect(self != NULL, "it could not be made");'
    yield f"uint64_t value = 0, words[{MOST_WORDS}] = {{0}};"
    yield "(void)value, (void)words;"
    yield f"load(record, self, {_state(start)});"
    for place, one in enumerate(script.steps, 1):
        name = "become_bitmap" if one.rule.name == "switch" else one.rule.name
        yield f"/* {place}. {one.rule.name}.{one.case}: {name_of(one.outcome)} */"
        yield f'expect(record->{name} != NULL, "the library has no {name}");'
        for at, word in enumerate(one.words or ()):
            yield f"words[{at}] = {_list([word])};"
        asked = _arguments(one.rule, one.operands)
        status = f"meant(record->errors, record->{name}({', '.join(['self', *asked])}))"
        yield f'expect_number({status}, {one.outcome}, "{name}");'
        if not one.outcome and name in TOLD:
            yield f'expect_number(value, {_list(one.value)}, "{TOLD[name]}");'
        if not one.outcome and name == "export_words":
            for at, word in enumerate(one.value):
                yield f'expect_number(words[{at}], {_list([word])}, "an exported word");'
        yield f"shows(record, self, {_state(one.after)});"
    yield "record->drop(self);"


def _arguments(rule: Rule, operands: Sequence[int]) -> list[str]:
    listed = [f"UINT64_C({number(value)})" for value in operands]
    if rule.name in ("export_words", "import_words"):
        return ["words", *listed]
    return [*listed, "&value"] if rule.name in TOLD else listed


def _state(state: Bitmap) -> str:
    listed, fixed = runs_of(state), [state.base, state.pages, state.policy.most_runs]
    return f"{_list(fixed)}, {_array('struct run', listed)}, {len(listed)}"


def _handoff(script: Handoff) -> Iterator[str]:
    told, call = script.told, script.call
    yield "const struct svsm_handoff *handoff = svsm_conformance_library()->handoff;"
    yield 'expect(handoff != NULL, "the library has no table `handoff`");'
    yield "uint64_t count = 0, one = 0, two = 0;"
    yield "struct svsm_range first = {0, 0}, second = {0, 0};"
    yield "(void)count, (void)one, (void)two, (void)first, (void)second;"
    yield "(void)entries, (void)ranges, (void)others;"
    name = type(call).__name__.lower()
    if isinstance(call, calls.Write):
        yield from _memory("memory", call.memory)
    yield f"/* {script.head.case}: {told.answer.name} */"
    yield f'expect(handoff->{name} != NULL, "the library has no {name}");'
    status = f"meant(handoff->errors, handoff->{name}({', '.join(_asked(call))}))"
    yield f'expect_number({status}, {int(told.answer)}, "{name}");'
    if told.is_ok:
        yield from _made(call, told.value)
    if isinstance(call, calls.Write):
        yield from _memory("left", told.value[1] if told.is_ok else call.memory)
        yield 'expect(memcmp(memory, left, sizeof left) == 0, "what the area\'s pages hold");'


def _memory(name: str, held: bytes) -> Iterator[str]:
    yield f"static uint8_t {name}[{max(1, len(held))}];"
    for at, byte in enumerate(held):
        if byte:
            yield f"{name}[{at}] = {byte};"


def _entries(listed: Sequence[Sequence[int]]) -> list[str]:
    return [_array("struct svsm_entry", listed), str(len(listed))]


def _range(one: Sequence[int]) -> str:
    return f"&(struct svsm_range){{{_list(one)}}}"


def _asked(call: calls.Call) -> list[str]:
    match call:
        case calls.Read(area, limit):
            held = f"(uint8_t[]){{{', '.join(map(str, area))}}}" if area else "NULL"
            return [held, str(len(area)), _list([limit]), "entries", "ROOM", "&count"]
        case calls.Size(entries, cap, tracks):
            return [*_entries(entries), _list([cap]), str(int(tracks)), "&one", "&two"]
        case calls.Reserve(entries, kernel, excluded, bitmaps, limit):
            avoided = [_array("struct svsm_range", excluded), str(len(excluded))]
            numbers = [_list([n]) for n in kernel], [_list([n]) for n in (bitmaps, limit)]
            return [*_entries(entries), *numbers[0], *avoided, *numbers[1], "&first", "&second"]
        case calls.Carve(entries, kernel_range, region, low):
            kept = [_range(kernel_range), _range(region), _list([low])]
            return [*_entries(entries), *kept, "ranges", "ROOM", "&count"]
        case calls.Write(_, address, size, prevalidated, guest, terminator, published):
            where = ["memory", *(_list([n]) for n in (address, size)), str(int(prevalidated))]
            listed = [_array("struct svsm_range", guest), str(len(guest))]
            return [*where, *listed, str(int(terminator)), str(int(published)), "&first"]
        case calls.View(page):
            held = f"(uint8_t[]){{{', '.join(map(str, page))}}}" if page else "NULL"
            flags = [str(int(flag)) for flag in call.version]
            lists = ["ranges", "&count", "others", "&one", "ROOM"]
            return [held, str(len(page)), *flags, _list([call.told]), *lists]
        case calls.Validate():
            raise EmitError("stage validate asks a machine, which no text has; emit python")


def _made(call: calls.Call, made: Any) -> Iterator[str]:
    """What is looked at of what a stage made."""
    match call:
        case calls.Read() | calls.Carve():
            array = "entries" if isinstance(call, calls.Read) else "ranges"
            yield f'expect_number(count, {len(made)}, "how many there are");'
            for at, one in enumerate(made):
                for field, wanted in zip(("first", "stop", "type"), one, strict=False):
                    yield f'expect_number({array}[{at}].{field}, {_list([wanted])}, "{field}");'
        case calls.View():
            for count, array, listed in zip(
                ("count", "one"), ("ranges", "others"), made, strict=True
            ):
                yield f'expect_number({count}, {len(listed)}, "how many there are");'
                for at, one in enumerate(listed):
                    yield f'expect_number({array}[{at}].first, {_list([one[0]])}, "first");'
                    yield f'expect_number({array}[{at}].stop, {_list([one[1]])}, "stop");'
        case calls.Size():
            for name, size in zip(("one", "two"), made, strict=True):
                yield f'expect_number({name}, {_list([size])}, "a size");'
        case calls.Reserve() | calls.Write():
            listed = made if isinstance(call, calls.Reserve) else made[:1]
            for name, one in zip(("first", "second"), listed, strict=False):
                yield f'expect_number({name}.first, {_list([one[0]])}, "where it begins");'
                yield f'expect_number({name}.stop, {_list([one[1]])}, "where it ends");'


def _mmio(script: Mmio) -> Iterator[str]:
    yield "const struct svsm_mmio *mmio = svsm_conformance_library()->mmio;"
    yield 'expect(mmio != NULL, "the library has no table `mmio`");'
    yield "uint64_t value = 0, pages = 0;"
    yield "uint8_t data[64] = {0};"
    yield "(void)value, (void)pages, (void)data;"
    used = sorted({call.machine for call, _ in script.calls})
    for n in used:
        m = SETTINGS[n].machine
        yield f"struct svsm_bus bus_{n} = bus({_list([m.buffer, m.shared_bit])});"
        kind = BACKENDS[SETTINGS[n].backend]
        yield f"void *self_{n} = mmio->make({kind}, &bus_{n}, {_list([m.limit])});"
        yield f'expect(self_{n} != NULL, "it could not be made");'
    for place, (call, meant) in enumerate(script.calls, 1):
        yield f"/* {place}. {call.name}: {meant.cases[-1][1]} */"
        yield from _call(call, meant)
    yield from (f"mmio->drop(self_{n});" for n in used)


def _call(call: Call, meant: Expected) -> Iterator[str]:
    op, name = call.ops[0], call.name
    told = [(t.failed, t.status, t.data) for t in meant.told]
    at = getattr(op, "home", 0) if name == "open" else 0
    yield f'expect(mmio->{name} != NULL, "the library has no {name}");'
    yield f"begins({_array('struct told', told)}, {len(told)}, {_list([at])});"
    refused = isinstance(meant.answer, int) and meant.answer < 0
    code = -int(meant.answer) if refused else 0
    if name == "write":
        raw = op.value.to_bytes(8, "little")
        if op.length > 64:
            raise EmitError(f"a write of {op.length} bytes: a text has room for 64")
        listed = (raw * 8)[: op.length]
        yield from (f"data[{at}] = {byte};" for at, byte in enumerate(listed))
    bits = name.partition("_u")[2]
    is_read = name.startswith("read_u")
    if is_read:
        yield "{"
        yield f"    uint{bits}_t got = 0;"
    numbers = _operands(call, op)
    status = f"meant(mmio->errors, mmio->{name}({', '.join([f'self_{call.machine}', *numbers])}))"
    yield f'{"    " * is_read}expect_number({status}, {code}, "{name}");'
    if is_read:
        yield "    value = got;"
        yield "}"
    if not refused:
        yield from _answered(name, meant.answer)
    sent = [(w.how, w.address, w.width, w.extra, w.value) for w in meant.wires]
    yield f"went_out({_array('const uint64_t', sent).replace('[])', '[][5])')}, {len(sent)});"


def _operands(call: Call, op: object) -> list[str]:
    def of(*names: str) -> list[str]:
        return [_list([getattr(op, name)]) for name in names]

    match call.name:
        case "open":
            return [*of("slot", "gpa", "size"), "&pages"]
        case "attach" | "detach" | "close":
            return of("slot")
        case "read":
            return [*of("slot", "offset", "length"), "data"]
        case "write":
            return [*of("slot", "offset"), "data", *of("length")]
        case "read_config_u64":
            return [*of("slot", "offset", "left"), "&value"]
    return (
        [*of("slot", "offset"), "&got"]
        if call.name[:4] == "read"
        else of("slot", "offset", "value")
    )


def _answered(name: str, answer: int | bytes) -> Iterator[str]:
    if isinstance(answer, bytes):
        for at, byte in enumerate(answer):
            yield f'expect_number(data[{at}], {byte}, "a byte");'
    elif name == "open":
        yield f'expect_number(pages, {_list([answer])}, "pages");'
    elif name.startswith("read_"):
        yield f'expect_number(value, {_list([answer])}, "the value");'
