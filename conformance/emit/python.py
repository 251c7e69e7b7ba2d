"""A trace as a pytest function: of a record step by step, of others by the rules themselves."""

from collections.abc import Iterator
from pprint import pformat
from typing import Any

from conformance.codec import encode
from conformance.emit.script import Head, Record, runs_of
from conformance.trace import name_of


def python_of_record(script: Record, device: str, ops: list[dict[str, Any]]) -> str:
    """The text of a test file about a record of pages. ops: the operands as the trace has them."""
    return "\n".join((*_head(script.head), *_record(script, device, ops), ""))


def python_of_trace(head: Head, area: str, trace: dict[str, Any], device: str) -> str:
    """The text of a test file that has a trace in it, and replays it."""
    lines = [
        *_head(head),
        "import json",
        "",
        f"from conformance.{area}.area import AREA",
        "",
        f"DEVICE = {device!a}",
        f"TRACE = {pformat(trace, width=96, sort_dicts=False)}",
        "",
        "",
        f"def test_{head.name}(tmp_path):",
        '    path = tmp_path / "trace.json"',
        "    path.write_text(json.dumps(TRACE))",
        "    found = AREA.replay(path, DEVICE).finding",
        "    assert found is None, AREA.describe(found, path)",
        "",
    ]
    return "\n".join(lines)


def _head(head: Head) -> list[str]:
    return [*(f"# {line}" for line in head.lines), ""]


def _record(script: Record, device: str, ops: list[dict[str, Any]]) -> Iterator[str]:
    yield "from conformance.codec import decode"
    yield "from conformance.device import find_device"
    yield "from spec.catalogue import rules"
    yield "from spec.validation.bitmap import Bitmap"
    yield ""
    yield f"DEVICE = {device!a}"
    yield f"START = {pformat(encode(script.start), width=96, sort_dicts=False)}"
    yield ""
    yield ""
    yield "def asked(device, rule, operands):"
    yield "    return device.apply(rule, decode(rules()[rule].operands, operands))"
    yield ""
    yield ""
    yield "def claimed(device):"
    yield "    state = device.observe()"
    yield "    return state.base, state.pages, [tuple(run) for run in state.claimed.runs()]"
    yield ""
    yield ""
    yield f"def test_{script.head.name}():"
    yield "    device = find_device(DEVICE)()"
    yield "    device.reset(decode(Bitmap, START))"
    for place, (one, op) in enumerate(zip(script.steps, ops, strict=True), 1):
        yield f"    # {place}. {one.rule.name}.{one.case}: {name_of(one.outcome)}"
        yield f"    answer = asked(device, {one.rule.id!r}, {op!r})"
        yield f"    assert answer.outcome == {one.outcome}"
        if not one.outcome:
            value: Any = one.value if one.rule.name == "export_words" else one.value[0]
            yield f"    assert answer.value == {value!r}"
        state = one.after.base, one.after.pages, list(runs_of(one.after))
        yield f"    assert claimed(device) == {state!r}"
