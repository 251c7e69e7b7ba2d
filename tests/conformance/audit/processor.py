"""One instruction on a processor (Unicorn's) and by the executor's rules, from the same state.

The executor runs it twice: on plain numbers, and on unknowns that are given these numbers in the
end, which is what an audit's verdict rests on.
"""

import random
from dataclasses import dataclass, field

import unicorn
import z3
from unicorn import x86_const as uc

from conformance.audit import bits, step
from conformance.audit.decode import RBP, RCX, RDX, REGISTERS, RSP, Memory, decode
from conformance.audit.state import FLAGS, UNDEFINED, Split, State, value_of

CODE = 0x10_0000_0000
PAGE = 4096
PLACES = {"cf": 0, "pf": 2, "zf": 6, "sf": 7, "of": 11}
NAMES = [name.upper() for name in REGISTERS]
GENERAL = [getattr(uc, f"UC_X86_REG_{name}") for name in NAMES]
WIDE = [getattr(uc, f"UC_X86_REG_XMM{n}") for n in range(16)]
FS_BASE = 0x20_0000_0000
CONTROL = ("jmp", "call", "ret")
ENDS = ("ud2", "int3", "hlt")


@dataclass
class Flat:
    """Memory as bytes, each drawn when it is first looked at."""

    draw: random.Random
    jumps: bool = False
    bytes: dict = field(default_factory=dict)
    drawn: dict = field(default_factory=dict)
    vague: bool = False

    def byte(self, at):
        if at not in self.bytes:
            self.bytes[at] = self.drawn[at] = self.draw.choice((0, 1, 0x7F, 0x80, 0xFF, None))
            if self.bytes[at] is None:
                self.bytes[at] = self.drawn[at] = self.draw.randrange(256)
        return self.bytes[at]

    def load(self, s, address, size, locked):
        if self.jumps:
            for n in (5, 6, 7):
                # What is jumped to has to be an address.
                self.bytes.setdefault(address + n, 0)
                self.drawn.setdefault(address + n, self.bytes[address + n])
        return int.from_bytes([self.byte(address + n) for n in range(size)], "little")

    def store(self, s, address, value, size, locked):
        for n, one in enumerate(value.to_bytes(size, "little")):
            self.byte(address + n)
            self.bytes[address + n] = one

    def concrete(self, s, value):
        return value

    def segment(self, name):
        return FS_BASE

    def count_ones(self, value, width):
        return bits.count_ones(value, width)

    def lowest_one(self, value, width):
        return bits.lowest_one(value, width)

    def never(self, s, condition):
        return condition is False

    def fresh(self, name, width):
        self.vague = True
        return 0

    def fresh_truth(self, name):
        raise AssertionError(f"a rule reads {name}, which is undefined")


class Unknown(Flat):
    """The same memory, whose bytes are unknowns that are `known` in the end."""

    def load(self, s, address, size, locked):
        pieces = []
        for n in range(size):
            self.byte(address + n)
            held = self.cells.setdefault(address + n, z3.BitVec(f"m{address + n:x}", 8))
            pieces.append((held, 1, 0))
        return value_of(pieces)

    def store(self, s, address, value, size, locked):
        for n in range(size):
            self.byte(address + n)
            self.cells[address + n] = bits.part(value, 8 * n, 8, 8 * size)

    def concrete(self, s, value):
        plain = z3.simplify(z3.substitute(bits.term(value, 64), *self.given))
        return plain.as_long()

    def fresh(self, name, width):
        self.vague = True
        return z3.BitVec("vague", width)

    def fresh_truth(self, name):
        self.vague = True
        return z3.Bool("vague_truth")


def drawn_state(draw, instruction, world):
    """A state in which the instruction can run; what it does not read is drawn as well."""
    corners = (0, 1, 2, 31, 32, 33, 63, 64, 0x7F, 0x80, 0xFF, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
    wide = [draw.choice((0, 2**128 - 1, draw.getrandbits(128))) for _ in range(16)]
    regs = [draw.choice((draw.choice(corners), draw.getrandbits(64))) for _ in range(16)]
    pick = draw.random()
    if pick < 0.2:
        regs = [regs[0]] * 16
    if instruction.op in CONTROL:
        regs = [value & (1 << 40) - 1 for value in regs]
    regs[RBP] = 0x38_0000_0000 + draw.randrange(1024) if instruction.op == "leave" else regs[RBP]
    regs[RSP] = 0x30_0000_0000 + 16 * draw.randrange(64)
    for operand in instruction.operands:
        if isinstance(operand, Memory):
            aim(draw, operand, regs)
    if instruction.repeat:
        regs[RCX] = draw.randrange(5)
    if instruction.op == "div":
        regs[RDX] = 0
    flags = {name: draw.random() < 0.5 for name in FLAGS}
    return State(world, CODE, regs, wide, flags)


def aim(draw, operand, regs):
    """Registers that lead an operand to some place in memory, on a boundary of 16 bytes."""
    for part in (operand.base, operand.index):
        if part is not None and part.index != RSP:
            regs[part.index] = 16 * draw.randrange(1 << 34)
    base = operand.base
    if base is not None and base.index != RSP:
        total = regs[base.index] + operand.disp
        if operand.index is not None and operand.index != base:
            total += regs[operand.index.index] * operand.scale
        regs[base.index] += -total % 16


def run_rules(s, instruction):
    """The executor's rules, until the instruction is over."""
    while True:
        try:
            step.run(s, instruction)
        except Split as split:
            for condition, value in split.cases:
                if z3.is_true(z3.simplify(z3.substitute(condition, *s.world.given))):
                    s.known[split.term.get_id()] = (split.term, value)
            s.rip = instruction.address
            continue
        if s.rip != instruction.address or instruction.op == "jmp":
            return


class Processor:
    """A machine that is used again and again; `written` is what the last instruction wrote."""

    def __init__(self):
        self.machine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
        self.machine.ctl_set_cpu_model(uc.UC_CPU_X86_HASWELL)
        self.machine.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._note)
        self.pages, self.written = set(), set()

    def _note(self, _machine, _kind, address, size, _value, _data):
        self.written.update(range(address, address + size))

    def hold(self, pages):
        for page in pages - self.pages:
            self.machine.mem_map(page * PAGE, PAGE)
        self.pages |= pages

    def run(self, before, memory, instruction, target):
        """Registers, flags, next address and memory after the instruction."""
        machine = self.machine
        if len(self.pages) > 256:
            for page in self.pages:
                machine.mem_unmap(page * PAGE, PAGE)
            self.pages = set()
        # One page more: an instruction is fetched together with what follows it.
        code = {CODE // PAGE, (CODE + 16) // PAGE, target // PAGE, target // PAGE + 1}
        self.hold({at // PAGE for at in memory} | code)
        machine.ctl_flush_tb()
        for at, value in memory.items():
            machine.mem_write(at, bytes([value]))
        machine.mem_write(CODE, instruction.code)
        machine.reg_write(uc.UC_X86_REG_FS_BASE, FS_BASE)
        for register, value in zip(GENERAL + WIDE, before.regs + before.wide, strict=True):
            machine.reg_write(register, value)
        flags = 2 | sum(before.flags[name] << place for name, place in PLACES.items())
        machine.reg_write(uc.UC_X86_REG_EFLAGS, flags)
        self.written.clear()
        if instruction.repeat:
            machine.emu_start(CODE, instruction.following)
        else:
            machine.emu_start(CODE, 0, count=1)
        after = machine.reg_read(uc.UC_X86_REG_EFLAGS)
        return {
            "rip": machine.reg_read(uc.UC_X86_REG_RIP),
            "regs": [machine.reg_read(register) for register in GENERAL],
            "wide": [machine.reg_read(register) for register in WIDE],
            "flags": {name: bool(after >> place & 1) for name, place in PLACES.items()},
            "memory": {at: machine.mem_read(at, 1)[0] for at in memory},
        }


PROCESSOR = Processor()


def outcome(s, memory, plain):
    """What the executor says, in the processor's terms; a flag that is undefined is None."""
    told = {}
    for name in FLAGS:
        flag = s.flags.get(name, UNDEFINED)
        flag = flag() if callable(flag) and flag is not UNDEFINED else flag
        told[name] = None if flag is UNDEFINED else plain(flag)
    return {
        "rip": s.rip,
        "regs": [plain(value) for value in s.regs],
        "wide": [plain(value) for value in s.wide],
        "flags": told,
        "memory": {at: plain(value) for at, value in memory.items()},
    }


def compare(code, seed):
    """Run it everywhere; what differs, or None where the manual leaves the result open."""
    instruction = decode(bytes.fromhex(code), CODE)
    draw = random.Random(f"{code} {seed}")
    world = Flat(draw, instruction.op in CONTROL)
    s = drawn_state(draw, instruction, world)
    before = s.fork(True)
    run_rules(s, instruction)
    if world.vague or s.ended:
        return None
    expected = PROCESSOR.run(before, world.drawn, instruction, s.rip)
    found = outcome(s, world.bytes, lambda value: value)
    differences = differing("numbers", found, expected)
    if not PROCESSOR.written <= set(world.bytes):
        differences.append("it writes where the rule does not look")
    return differences + symbolic(instruction, before, world.drawn, expected)


def symbolic(instruction, before, drawn, expected):
    world = Unknown(random.Random(0), instruction.op in CONTROL)
    world.bytes, world.cells, world.given = dict(drawn), {}, []
    s = before.fork(True)
    s.world = world
    fixed = {RSP} | {
        part.index
        for operand in instruction.operands
        if isinstance(operand, Memory)
        for part in (operand.base, operand.index)
        if part is not None
    }
    fixed |= {RDX} if instruction.op == "div" else set()
    fixed |= {5} if instruction.op == "leave" else set()

    def unknown(name, value, width):
        made = z3.BitVec(name, width)
        world.given.append((made, z3.BitVecVal(value, width)))
        return made

    s.regs = [v if n in fixed else unknown(f"r{n}", v, 64) for n, v in enumerate(s.regs)]
    s.wide = [unknown(f"x{n}", v, 128) for n, v in enumerate(s.wide)]
    for name in FLAGS:
        made = z3.Bool(name)
        world.given.append((made, z3.BoolVal(s.flags[name])))
        s.flags[name] = made
    world.given += [(z3.BitVec(f"m{at:x}", 8), z3.BitVecVal(v, 8)) for at, v in drawn.items()]
    run_rules(s, instruction)

    # Most of a state is untouched, and substitution is slow.
    untouched = {one.get_id(): bits.tidy(value) for one, value in world.given}

    def plain(value):
        if isinstance(value, int):
            return value
        if value.get_id() in untouched:
            return untouched[value.get_id()]
        return bits.tidy(z3.substitute(value, *world.given))

    found = outcome(s, world.cells, plain)
    # A count that is unknown leaves flags open that a known one tells.
    found["flags"] = {n: v if isinstance(v, bool) else None for n, v in found["flags"].items()}
    return differing("unknowns", found, expected)


def differing(how, found, expected):
    wrong = []
    for part in ("rip", "regs", "wide", "flags", "memory"):
        if part in ("flags", "memory"):
            for name, value in found[part].items():
                if value is not None and value != expected[part][name]:
                    wrong.append(f"{how}: {part} {name}: {value} is {expected[part][name]}")
        elif found[part] != expected[part]:
            wrong.append(f"{how}: {part}: {found[part]} is {expected[part]}")
    return wrong
