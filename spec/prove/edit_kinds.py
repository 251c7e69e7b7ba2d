"""The kinds of single edits: what can be put in the place of one expression of a rule.

An edit is one small change: another operator, another constant, a case or an update left out. It
is made in the text, so that it can be shown and reread as it stands.
"""

import ast
from collections.abc import Iterator
from itertools import pairwise

from spec.prove.edit_text import Change, Text, called, title
from spec.validation.outcomes import Extent, Outcome

CALLED_INSTEAD = {
    "all_of": "any_of",
    "any_of": "all_of",
    "below": "at_most",
    "at_most": "below",
    "plus": "minus",
    "minus": "plus",
    "shift_left": "shift_right",
    "shift_right": "shift_left",
    "bits_and": "bits_or",
    "bits_or": "bits_and",
    "all": "none",
    "none": "all",
}
FORGOTTEN = ("negate", "bits_not", "gfn", "word_count", "marked", "with_range")
"""Calls that an edit leaves out, keeping the argument, or for a method the set or state."""
CUT_SHORT = ("all_of", "any_of", "plus", "minus", "bits_and", "shift_left", "shift_right")
"""Calls of which one argument may be all that is left."""
MISTAKABLE = {
    **dict.fromkeys(("below", "at_most", "minus", "shift_left", "shift_right"), 0),
    **dict.fromkeys(("marked", "with_range", "all", "none", "count", "lowest_missing"), 0),
    **dict.fromkeys(("outside", "pick", "unpacked"), 1),
}
"""Calls in which the argument at this place can be mistaken for the next one."""
NAMED_INSTEAD = {
    "first_gfn": "stop_gfn",
    "stop_gfn": "first_gfn",
    "first": "stop",
    "stop": "first",
    "PAGE_4K": "PAGE_2M",
    "PAGE_2M": "PAGE_4K",
    "PAGE_SHIFT": "WORD_SHIFT",
    "WORD_SHIFT": "PAGE_SHIFT",
    "WORD_BYTES_SHIFT": "WORD_SHIFT",
    "LIMIT_GFN": "GFNS_IN_64_BITS",
    "GFNS_IN_64_BITS": "LIMIT_GFN",
    "fresh": "s",
}
FIELD_INSTEAD = {
    "s.base": ("s.end", "op.base"),
    "s.end": ("s.base",),
    "s.pages": ("op.pages",),
    "op.base": ("s.base",),
    "op.pages": ("s.pages",),
    "op.first": ("op.stop",),
    "op.stop": ("op.first",),
    "fresh.base": ("fresh.end", "s.base"),
    "fresh.end": ("fresh.base", "s.end"),
}
"""Fields that can be mistaken for others; those of `op` only where the same function reads them."""
OTHER_OPERATOR: dict[type, tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.LShift: ("<<", ">>"),
}


def of_call(text: Text, node: ast.Call) -> Iterator[Change]:
    """Another function, one call less, an argument less, or two arguments in each other's place."""
    name, args = called(node), node.args
    if name in CALLED_INSTEAD:
        owner = f"{text.of(node.func.value)}." if isinstance(node.func, ast.Attribute) else ""
        if owner or CALLED_INSTEAD[name] in text.names:
            yield text.change("operator", node.func, owner + CALLED_INSTEAD[name])
    if name in FORGOTTEN:
        kept = node.func.value if isinstance(node.func, ast.Attribute) else args[0]
        yield text.change("call left out", node, text.of(kept))
    if name in CUT_SHORT:
        for arg in args if name in ("all_of", "any_of") else args[:1]:
            yield text.change("operand left out", node, text.of(arg))
    if name in MISTAKABLE:
        at_place = MISTAKABLE[name]
        yield text.swap("arguments swapped", args[at_place], args[at_place + 1])
    if name == "marked" and isinstance(args[2], ast.Attribute):
        yield text.change("value negated", args[2], f"negate({text.of(args[2])})")
    if name == "pick":
        for arg in args[1:]:
            yield text.change("one branch", node, text.of(arg))
    for keyword in node.keywords if name == "replace" else ():
        kept_text = [text.of(part) for part in (*args, *node.keywords) if part is not keyword]
        yield text.change("update left out", node, f"replace({', '.join(kept_text)})")


def of_case(text: Text, node: ast.Call) -> Iterator[Change]:
    """A condition negated or fixed, a state kept, an answer without its value."""
    if called(node) != "Case":
        return
    name, when, state = title(node), node.args[1], node.args[3]
    if not isinstance(when, ast.Constant):
        negated = f"negate({text.of(when)})"
        yield text.change("condition negated", when, negated, f"{name}: the contrary")
        yield text.change("condition fixed", when, "True", f"{name}: always")
    if text.of(state) != "s":
        yield text.change("update left out", state, "s", f"{name}: nothing is written")
    for value in node.args[4:]:
        yield text.change("value left out", value, "0", f"{name}: answers 0")


def of_cases(text: Text, node: ast.Tuple) -> Iterator[Change]:
    """A case left out, two neighbours swapped, a refusal that writes all the same."""
    cases = [item for item in node.elts if title(item)]
    if not cases or cases != node.elts:
        return
    for item in cases:
        yield text.change("case left out", item, "*()", f"without {title(item)}")
    for left, right in pairwise(cases):
        if not isinstance(right, ast.Call) or text.of(right.args[1]) != "True":
            said = f"{title(right)} before {title(left)}"
            yield text.swap("neighbours swapped", left, right, said)
    last = cases[-1]
    written = last.args[3] if isinstance(last, ast.Call) else None
    for item in cases[:-1]:
        if isinstance(item, ast.Call) and written is not None and text.of(written) != "s":
            said = f"{title(item)}: writes all the same"
            yield text.change("refusal that writes", item.args[3], text.of(written), said)


def of_name(text: Text, node: ast.Name) -> Iterator[Change]:
    """Another name, or a constant that is one off."""
    if isinstance(node.ctx, ast.Store):
        return
    if NAMED_INSTEAD.get(node.id, "") in text.names_before(node):
        yield text.change("name", node, NAMED_INSTEAD[node.id])
    if node.id.isupper():
        for off in ("+ 1", "- 1"):
            yield text.change("constant", node, f"({node.id} {off})")


def of_field(text: Text, node: ast.Attribute) -> Iterator[Change]:
    """Another field, or another answer: the next, the one before, or acceptance."""
    for other in FIELD_INSTEAD.get(text.of(node), ()):
        if other in text.around(node) or not other.startswith("op."):
            yield text.change("field", node, other)
    for answers in (Outcome, Extent):
        if isinstance(node.value, ast.Name) and node.value.id == answers.__name__:
            names = [answer.name for answer in answers]
            place = names.index(node.attr)
            others = {names[place - 1], names[(place + 1) % len(names)], names[0]} - {node.attr}
            for other in sorted(others):
                yield text.change("answer", node, f"{answers.__name__}.{other}")


def of_constant(text: Text, node: ast.Constant) -> Iterator[Change]:
    """The other truth value, a number one off, 0 or 1."""
    if isinstance(node.value, bool):
        yield text.change("constant", node, str(not node.value))
    elif isinstance(node.value, int):
        for other in sorted({node.value + 1, abs(node.value - 1), 0, 1} - {node.value}):
            yield text.change("constant", node, str(other))


def of_operator(text: Text, node: ast.Compare | ast.BinOp) -> Iterator[Change]:
    """The contrary comparison, or the other operator."""
    if isinstance(node, ast.BinOp):
        kind: type = type(node.op)
        right = node.right
        yield text.change("operand left out", node, text.of(node.left))
    else:
        kind, right = type(node.ops[0]), node.comparators[0]
    if kind in OTHER_OPERATOR:
        # Only what stands between the operands, so that their brackets stay.
        first, stop = text.span(node.left)[1], text.span(right)[0]
        between = text.bytes[first:stop].decode()
        new = between.replace(*OTHER_OPERATOR[kind])
        yield Change("operator", first, stop, new, f"{text.of(node)} with {new.strip(' (')}")


def changes(text: Text, node: ast.AST) -> Iterator[Change]:
    """Every change of one node."""
    match node:
        case ast.Call():
            yield from of_call(text, node)
            yield from of_case(text, node)
        case ast.Tuple():
            yield from of_cases(text, node)
        case ast.Name():
            yield from of_name(text, node)
        case ast.Attribute():
            yield from of_field(text, node)
        case ast.Constant():
            yield from of_constant(text, node)
        case ast.Compare() | ast.BinOp():
            yield from of_operator(text, node)
