"""Each instruction is decoded as what it is: the processor itself is asked for comparison."""

from __future__ import annotations

import ctypes
import random
from importlib import import_module
from pathlib import Path

import pytest
from trapped import FLAGS, NAMES, REASON, assembly, compiled, needs_trap, shorts, words

from conformance import trap
from conformance.trap import Register, TrapPage


def decode(code: bytes, registers: list[int]) -> tuple[int, tuple[tuple[int, int], ...]] | None:
    return import_module("conformance.trap._trap").decode(code, registers)  # type: ignore[no-any-return]


M = "[r10 + r11*4 + 0x10]"
B, W, D, Q = (f"{kind} ptr {M}" for kind in ("byte", "word", "dword", "qword"))
FORMS = {
    f"mov al, {B}": "R8",
    "mov rsi, r10\nmov ah, [rsi]": "R8",
    "mov rsi, r10\nmov bh, [rsi + 9]": "R8",
    f"mov sil, {B}": "R8",
    f"mov r15b, {B}": "R8",
    f"mov cx, {W}": "R16",
    f"mov r8d, {D}": "R32",
    f"mov rdx, {Q}": "R64",
    f"movzx eax, {B}": "R8",
    f"movzx r8w, {B}": "R8",
    f"movzx rbx, {W}": "R16",
    f"movsx ecx, {B}": "R8",
    f"movsx r14w, {B}": "R8",
    f"movsx r12, {W}": "R16",
    f"movsxd rsi, {D}": "R32",
    f"mov {B}, dl": "W8",
    "mov rsi, r10\nmov [rsi + 1], ch": "W8",
    f"mov {B}, dil": "W8",
    f"mov {W}, bp": "W16",
    f"mov {D}, r14d": "W32",
    f"mov {Q}, rax": "W64",
    f"mov {B}, 0x81": "W8",
    f"mov {W}, 0x8182": "W16",
    f"mov {D}, 0x81828384": "W32",
    f"mov {Q}, -2": "W64",
    "mov eax, [r10]": "R32",
    "lea rbp, [r10 - 0x1000]\nmov eax, [rbp + 0x1000]\nmov ebp, 1": "R32",
    "mov eax, [r10 + 0x12]": "R32",
    "mov rbp, r10\nmov eax, [rbp]": "R32",
    "mov eax, [r13*2]": "R32",
    "mov r12, r10\nmov eax, [r12]": "R32",
    "xchg r13, r10\nmov eax, [r13]": "R32",
    "mov eax, ds:[r10]": "R32",
    **{f"{op} {D}, edx": "R32 W32" for op in words("add or adc sbb and sub xor xchg xadd")},
    **{f"lock {op} {B}, dl": "R8 W8" for op in words("add or adc sbb and sub xor xadd")},
    **{f"{op} {W}, 0x7001": "R16 W16" for op in words("add or adc sbb and sub xor")},
    **{f"{op} {Q}, 3": "R64 W64" for op in words("add or and sub xor shl shr sar rol ror")},
    **{f"{op} {Q}, cl": "R64 W64" for op in words("shl shr sar rcl rcr")},
    **{f"{op} {B}": "R8 W8" for op in words("inc dec not neg")},
    **{f"{op} {Q}": "R64 W64" for op in words("inc dec not neg")},
    **{f"{op} {D}, 5": "R32 W32" for op in words("bts btr btc")},
    f"bt {D}, 5": "R32",
    f"shld {D}, edx, 3": "R32 W32",
    f"shrd {Q}, rdx, cl": "R64 W64",
    f"cmpxchg {D}, edx": "R32 W32",
    f"cmpxchg8b {Q}": "R64 W64",
    "cmpxchg16b xmmword ptr [r10]": "R128 W128",
    f"cmp {D}, edx": "R32",
    f"cmp edx, {D}": "R32",
    f"cmp {B}, 7": "R8",
    f"test {D}, edx": "R32",
    f"test {W}, 0x1234": "R16",
    f"add rdx, {Q}": "R64",
    f"imul edx, {D}": "R32",
    f"imul edx, {D}, 77": "R32",
    f"mul {Q}": "R64",
    f"xor edx, edx\nor {D}, 1\ndiv {D}": "R32 W32 R32",
    f"cmovz edx, {D}": "R32",
    f"setz {B}": "W8",
    f"bsf edx, {D}": "R32",
    f"popcnt rdx, {Q}": "R64",
    f"movbe edx, {D}": "R32",
    f"movbe {Q}, rdx": "W64",
    f"crc32 edx, {B}": "R8",
    f"crc32 rdx, {Q}": "R64",
    f"movnti {D}, edx": "W32",
    f"push {Q}\npop rdx": "R64",
    f"movd xmm1, {D}\nmovq rdx, xmm1": "R32",
    f"movq xmm1, {Q}\nmovq rdx, xmm1": "R64",
    f"movq xmm1, rdx\nmovq {Q}, xmm1": "W64",
    f"movq xmm1, rdx\nmovd {D}, xmm1": "W32",
    f"movss xmm1, {D}\nmovq rdx, xmm1": "R32",
    f"movsd xmm1, {Q}\nmovq rdx, xmm1": "R64",
    f"movq xmm1, rdx\nmovhps {Q}, xmm1": "W64",
    "movdqu xmm1, [r10]\nmovdqu [r9], xmm1": "R128",
    "movups xmm9, [r10 + 3]\nmovdqu [r9], xmm9": "R128",
    "movaps xmm1, [r10]\nmovdqu [r9], xmm1": "R128",
    "movdqu xmm1, [r9]\nmovups [r10 + 3], xmm1": "W128",
    "movdqu xmm1, [r9]\nmovntdq [r10], xmm1": "W128",
    "movq mm1, [r10]\nmovq rdx, mm1\nemms": "R64",
    "mov rsi, r10\nmov rdi, r9\nmovsb": "R8",
    "mov rsi, r10\nmov rdi, r9\nmovsq": "R64",
    "mov rsi, r9\nmov rdi, r10\nmovsd": "W32",
    "mov rsi, r10\nlea rdi, [r10 + 32]\nmovsw": "R16 W16",
    "mov rsi, r10\nmov rdi, r9\nmov ecx, 3\nrep movsb": "R8 R8 R8",
    "mov rdi, r10\nmov ecx, 3\nrep stosd": "W32 W32 W32",
    "lea rdi, [r10 + 4]\nmov ecx, 2\nstd\nrep stosb": "W8 W8",
    "mov rsi, r10\nlodsd": "R32",
    "mov rsi, r10\nlea rdi, [r10 + 8]\ncmpsb": "R8 R8",
    "mov rdi, r10\nscasw": "R16",
}
AVX = {
    "vmovdqu xmm1, [r10]\nvmovdqu [r9], xmm1": "R128",
    "vmovdqu ymm9, [r10 + 5]\nvmovdqu [r9], ymm9": "R256",
    "vmovdqu ymm1, [r9]\nvmovups [r10 + 5], ymm1": "W256",
    "vmovd xmm1, [r10]\nvmovq rdx, xmm1": "R32",
    "vmovq xmm1, [r10]\nvmovq rdx, xmm1": "R64",
}


def flags_of_machine() -> set[str]:
    if REASON is not None:
        return set()
    return set(Path("/proc/cpuinfo").read_text().split())


# CF, PF, AF, ZF, SF, DF and OF.
ARITHMETIC = 0xCD5


def outcome(function: ctypes._CFuncPtr, at: int, registers: list[int]) -> list[int]:
    """The registers and the 64 bytes behind `r9` after an instruction on the memory at `at`."""
    beside = (ctypes.c_uint64 * 8)(*range(0x1111, 0x1119))
    table = (ctypes.c_uint64 * 17)(*registers)
    table[NAMES.index("r9")] = ctypes.addressof(beside)
    table[NAMES.index("r10")] = at
    table[NAMES.index("r13")] = at // 2
    function(table)
    moved = {at + k: k for k in range(-16, 64)}
    moved |= {at // 2: 0} | {ctypes.addressof(beside) + k: k for k in range(64)}
    left = [moved.get(value, value) for value in table[:FLAGS]]
    return [*left, table[FLAGS] & ARITHMETIC, *beside]


@needs_trap
@pytest.mark.parametrize("step_always", [False, True], ids=["fast", "step"])
def test_an_instruction_does_on_the_page_what_it_does_on_memory(
    tmp_path: Path, step_always: bool
) -> None:
    forms = FORMS | (AVX if "avx2" in flags_of_machine() else {})
    source = tmp_path / "forms.s"
    source.write_text(assembly(list(forms)))
    library = compiled(source, tmp_path)
    rng = random.Random(7)
    for number, (form, expected) in enumerate(forms.items()):
        function = getattr(library, f"f{number}")
        for _ in range(4):
            registers = [rng.getrandbits(64) for _ in range(16)] + [rng.getrandbits(12) & 0x8D5]
            registers[NAMES.index("r11")] = rng.randrange(4)
            content = [rng.getrandbits(64) for _ in range(16)]
            memory = (ctypes.c_uint64 * 18)()
            aligned = -(-ctypes.addressof(memory) // 16) * 16
            ctypes.memmove(aligned, (ctypes.c_uint64 * 16)(*content), 128)
            right = outcome(function, aligned, registers)
            after = list((ctypes.c_uint64 * 16).from_address(aligned))
            store = [Register(8 * i, 8, value=value) for i, value in enumerate(content)]
            with TrapPage(store, step_always=step_always) as page:
                got = outcome(function, page.address, registers)
                told = [f"{'RW'[x.write]}{8 * x.width}" for x in page.transactions()]
                assert got == right, form
                assert list(page.values().values()) == after, form
                assert told == expected.split(), form
                assert all(access.taken for access in page.log())


@needs_trap
@pytest.mark.parametrize(
    ("code", "width", "operands"),
    [
        # vmovdqu64 zmm16, [rsi + 64]; ymm16, [rsi + 32]; [rdi - 64], zmm16: displacements scale
        ("62 e1 fe 48 6f 46 01", 64, ((1064, 1),)),
        ("62 e1 fe 28 6f 46 01", 32, ((1032, 1),)),
        ("62 e1 fe 48 7f 47 ff", 64, ((1936, 2),)),
        ("62 e1 7c 08 10 06", 16, ((1000, 1),)),
        # mov eax, [rip + 16]; mov dword [rip + 16], 1: from the end of the instruction
        ("8b 05 10 00 00 00", 4, ((22, 1),)),
        ("c7 05 10 00 00 00 01 00 00 00", 4, ((26, 2),)),
        # mov al, [absolute]
        ("a0 08 07 06 05 04 03 02 01", 1, ((0x0102030405060708, 1),)),
        # call and jmp by way of [rsi]
        ("ff 16", 8, ((1000, 1),)),
        ("ff 26", 8, ((1000, 1),)),
    ],
)
def test_what_this_machine_may_not_run_is_decoded_alike(
    code: str, width: int, operands: tuple[tuple[int, int], ...]
) -> None:
    registers = [0] * 16
    registers[6], registers[7] = 1000, 2000
    assert decode(bytes.fromhex(code), registers) == (width, operands)


@needs_trap
@pytest.mark.parametrize(
    "code",
    [
        "62 e1 fe 49 6f 46 01",  # masked
        "62 e1 fe 58 6f 46 01",  # broadcast
        "62 e1 fe 68 6f 06",  # a vector length that does not exist
        "64 8b 06",  # fs:
        "67 8b 06",  # addresses of 32 bits
        "8b c6",  # no memory
        "0f a3 06",  # bt with a register: how far it reaches depends on it
        "8f 06",  # pop to memory
        "63 06",  # movsxd that does not extend to 64 bits
        "66 ff 16",
        "0f 0b",
        "0f fe 06",  # paddd
        "d9 06",  # fld
        "f0 f0 f0 f0 f0 f0 f0 f0 f0 f0 f0 f0 f0 f0 f0",
        "66 66 66 66 66 66 66 66 66 66 66 66 c7 06 01",
        "c5 fa 70 06",
        "c4 e2 7d 18 06",
        "0f 04",
    ],
)
def test_what_is_not_in_the_tables_is_not_decoded(code: str) -> None:
    assert decode(bytes.fromhex(code), [0] * 16) is None


@needs_trap
def test_any_bytes_are_decoded_or_not_and_nothing_else() -> None:
    rng = random.Random(11)
    for _ in range(20_000):
        found = decode(rng.randbytes(15), [rng.getrandbits(64) for _ in range(16)])
        if found is not None:
            width, operands = found
            assert width in (1, 2, 4, 8, 16, 32, 64)
            assert 1 <= len(operands) <= 2
            assert {access for _, access in operands} <= {1, 2, 3}
    for wrong in (bytes(16), bytes(99)):
        with pytest.raises(ValueError, match="must be 15 at most"):
            decode(wrong, [0] * 16)
    with pytest.raises(ValueError, match="registers are 15, must be 16"):
        decode(b"\x8b\x06", [0] * 15)


@needs_trap
def test_an_undecoded_instruction_is_told_with_its_bytes_and_kills_nothing(tmp_path: Path) -> None:
    source = tmp_path / "strange.s"
    source.write_text(
        assembly(
            ["paddd xmm1, [r10]", "mov rdx, 3\nbts [r10], edx", "fld dword ptr [r10]\nfstp st"]
        )
    )
    library = compiled(source, tmp_path)
    codes = (b"\x66\x41\x0f\xfe\x0a", b"\x41\x0f\xab\x12", b"\x41\xd9\x02")
    with TrapPage([Register(0, 8, value=5), Register(8, 8)]) as page:
        for number, code in enumerate(codes):
            outcome(getattr(library, f"f{number}"), page.address, [0] * 17)
            (access,) = page.log()
            assert access.undecoded.startswith(code)
            assert access.short.startswith(f"undecoded {code.hex(' ')}")
            assert (access.offset, access.taken, page.values()[0]) == (0, False, 5)
            with pytest.raises(trap.TrapError, match=f"was not decoded: {code.hex(' ')}"):
                page.transactions()
            page.forget()
        assert ctypes.c_uint8.from_address(page.address).value == 5
        assert shorts(page) == ["R8 +0x0"]
