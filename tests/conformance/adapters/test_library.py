"""A library that cannot be used is told of in one line that says what to do."""

import struct
import subprocess

import pytest

from conformance.adapters import found, header
from conformance.adapters.library import declared
from conformance.device import DeviceError
from conformance.mmio.world import SETTINGS
from spec.catalogue import handoff_rules, mmio_rules
from spec.handoff.words import Answer as HandoffAnswer
from spec.mmio.state import Answer as MmioAnswer
from spec.validation import bitmap, runs
from spec.validation.outcomes import Extent, Outcome


def refused(path):
    with pytest.raises(DeviceError) as told:
        found.specs(f"c:{path}")
    assert "\n" not in str(told.value)
    return str(told.value)


def test_the_header_is_c_and_cpp_without_a_warning(tmp_path):
    for language, standard in (("c", "c11"), ("c++", "c++17")):
        flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}", "-fsyntax-only"]
        subprocess.run(["cc", "-x", language, *flags, header()], check=True)


def test_the_header_numbers_things_as_the_rules_do():
    from conformance.adapters.library import CODES, FFI

    assert CODES["bitmap"] == {int(o): o.name for o in Outcome}
    assert CODES["mmio"] == {int(a): a.name for a in MmioAnswer if a.name in CODES["mmio"].values()}
    assert CODES["handoff"] == {
        int(a): a.name for a in HandoffAnswer if a is not HandoffAnswer.NOT_TAKEN
    }
    extents = FFI.typeof("enum svsm_extent").relements
    assert extents == {f"SVSM_EXTENT_{e.name}": int(e) for e in Extent}
    backends = FFI.typeof("enum svsm_backend").relements
    assert {f"SVSM_{s.backend.upper()}" for s in SETTINGS if not s.trapped} == set(backends)


def test_each_rule_that_the_header_has_a_table_for_has_a_function_there():
    from conformance.adapters.library import needed

    for rule in (*bitmap.RULES, *runs.RULES):
        assert needed(rule.id)[1], rule.id
    for rule in mmio_rules():
        assert needed(rule)[1], rule
    without = {rule for rule in handoff_rules() if not needed(rule)[1]}
    assert without == {"handoff.view", "handoff.low_memory"}


def test_what_cffi_is_told_is_what_a_compiler_reads():
    assert "#include" not in declared()
    assert "svsm_conformance_library(void);" in declared()


def test_another_machines_library_is_refused(compiled, tmp_path):
    data = bytearray(compiled("flat.c").read_bytes())
    data[18:20] = struct.pack("<H", 0xB7)
    other = tmp_path / "other.so"
    other.write_bytes(data)
    assert "is built for aarch64 (64 bits); build it for" in refused(other)


def test_what_is_no_library_is_refused(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("hello")
    assert "is no ELF file; build a shared library" in refused(text)
    assert "No such file or directory; build the library first" in refused(tmp_path / "absent.so")
    program = tmp_path / "program.o"
    source = tmp_path / "empty.c"
    source.write_text("int x;")
    subprocess.run(["cc", "-c", source, "-o", program], check=True)
    assert "is no shared library; build it with cc -shared" in refused(program)


def test_missing_symbols_are_told(compiled):
    said = refused(compiled("flat.c", NO_SYMBOLS=1))
    assert "exports no svsm_conformance_version; put SVSM_CONFORMANCE_EXPORT" in said
    lacking = {"MISDEED(f,a,b)": "extern_thing(a)", "WHATEVER": "1"}
    said = refused(compiled("flat.c", **lacking))
    assert "undefined symbol: extern_thing" in said


def test_another_version_of_the_header_is_told(compiled):
    said = refused(compiled("flat.c", VERSION=7))
    assert "is built against version 7 of the header, this is 1; build it again with -I" in said


def test_a_claim_without_its_function_is_told(compiled):
    said = refused(compiled("flat.c", CLAIM_2M="NULL"))
    assert "claims validation.bitmap.claim_2m, but bitmap.claim_2m is NULL; implement it" in said
    said = refused(compiled("flat.c", CLAIMS='"handoff.read"'))
    assert "claims handoff.read, but has no table handoff" in said


def test_a_claim_of_what_is_no_rule_is_told(compiled):
    assert "claims 'bitmap.fill', which is no rule" in refused(
        compiled("flat.c", CLAIMS='"bitmap.fill"')
    )
