"""One instruction: its rule, by its mnemonic."""

from conformance.audit import control, integer, shifts, sse
from conformance.audit.decode import CONTROL, Immediate, Instruction, Memory, Register
from conformance.audit.faults import NotModelled
from conformance.audit.integer import Rule
from conformance.audit.state import State

RULES: dict[str, Rule] = {**integer.RULES, **shifts.RULES, **control.RULES, **sse.RULES}
LOCKABLE = frozenset(
    [
        "add",
        "adc",
        "and",
        "btc",
        "btr",
        "bts",
        "cmpxchg",
        "dec",
        "inc",
        "neg",
        "not",
        "or",
        "sbb",
        "sub",
        "xor",
        "xadd",
        "xchg",
    ]
)


def rule_of(i: Instruction) -> Rule:
    """What the instruction does.

    Raises: NotModelled
    """
    rule = RULES.get(i.op)
    if rule is None:
        raise NotModelled(f"`{i.text}` is not modelled")
    if i.locked and (i.op not in LOCKABLE or not any(isinstance(o, Memory) for o in i.operands)):
        raise NotModelled(f"`{i.text}`: a lock that is not modelled")
    if i.repeat == "repne":
        raise NotModelled(f"`{i.text}` is not modelled")
    if i.code[0] == 0x66 and (i.op in CONTROL or i.op.startswith("j")):
        raise NotModelled(f"`{i.text}`: a jump that processors of different makers take otherwise")
    for operand in i.operands:
        if isinstance(operand, Register) and operand.index < 0:
            raise NotModelled(f"`{i.text}` names a register that is not modelled")
        if isinstance(operand, Memory) and any(
            part is not None and (part.index < 0 or part.bits != 64)
            for part in (operand.base, operand.index)
        ):
            raise NotModelled(f"`{i.text}` has an address that is not modelled")
        if isinstance(operand, Immediate) and operand.bits == 0:
            raise NotModelled(f"`{i.text}` is not modelled")
    return rule


def run(s: State, i: Instruction) -> None:
    """Do one instruction; the state then is behind it.

    Raises: NotModelled; Split, with registers, flags and memory as they were.
    """
    s.rip = i.following
    rule_of(i)(s, i)
