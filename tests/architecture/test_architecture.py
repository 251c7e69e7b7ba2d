"""The architecture, kept by tests: who imports whom, and how rules are written."""

import ast
import re
from pathlib import Path

import pytest

from impl import abi
from spec.machine import host, native, snp, tdx, tdx_host
from spec.mmio import access as mmio_access
from spec.mmio import config as mmio_config
from spec.mmio import devices as mmio_devices
from spec.mmio import slots as mmio_slots
from spec.mmio import state as mmio_state
from spec.mmio import wire as mmio_wire
from spec.validation import (
    bitmap,
    launch,
    migration,
    native_visibility,
    pvalidate,
    reboot,
    tdx_visibility,
    visibility,
    vmsa,
)
from spec.validation.outcomes import Extent, Outcome

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {"spec": {"spec"}, "impl": {"impl"}, "conformance": {"spec", "conformance"}}
OURS = {"spec", "impl", "conformance", "tests", "benchmarks"}


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names & OURS


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_run_one_way(package):
    wrong = {
        str(path): imported(path) - MAY_IMPORT[package]
        for path in modules(package)
        if imported(path) - MAY_IMPORT[package]
    }
    assert wrong == {}


def test_compiled_sources_import_only_impl():
    for path in (ROOT / "impl").glob("*.p[yx][xd]"):
        for package in re.findall(r"^(?:from|cimport|import)\s+(\w+)", path.read_text(), re.M):
            assert package not in OURS - {"impl"}, path


def test_conformance_reaches_impl_by_name_only():
    assert not any("impl" in imported(path) for path in modules("conformance"))


# Rules are branch-free: on Z3 terms Python's own branches and order mislead silently.

FREE = (
    bitmap,
    snp,
    host,
    tdx,
    tdx_host,
    native,
    pvalidate,
    vmsa,
    visibility,
    tdx_visibility,
    native_visibility,
    launch,
    reboot,
    migration,
    mmio_wire,
    mmio_state,
    mmio_access,
    mmio_slots,
    mmio_config,
    mmio_devices,
)
BANNED = (ast.If, ast.IfExp, ast.While, ast.For, ast.BoolOp, ast.Assert, ast.Try, ast.Match)
BANNED_COMPARE = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)


def is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name.isupper() or name == "size"
        case ast.BinOp(left=left, right=right):
            return is_constant(left) and is_constant(right)
    return False


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, BANNED):
            found.append(f"{line}: {type(node).__name__}")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            found.append(f"{line}: not")
        if isinstance(node, ast.Compare):
            chained = len(node.ops) > 1
            if chained or isinstance(node.ops[0], BANNED_COMPARE):
                found.append(f"{line}: comparison")
        if isinstance(node, ast.BinOp) and not is_annotation(node) and not is_constant(node):
            found.append(f"{line}: {type(node.op).__name__} on terms")
    return found


def is_annotation(node: ast.BinOp) -> bool:
    return isinstance(node.op, ast.BitOr)


def functions(module) -> list[ast.FunctionDef]:
    tree = ast.parse(Path(module.__file__).read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name != "touched"]


@pytest.mark.parametrize("module", FREE, ids=lambda m: m.__name__)
def test_rules_are_branch_free(module):
    found = [o for function in functions(module) for o in offences(function)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "def r(s): return s.a if s.b else s.c",
        "def r(s): return s.a and s.b",
        "def r(s): return not s.a",
        "def r(s): return s.a < s.b",
        "def r(s): return 0 == s.a == s.b",
        "def r(s): return s.a + 1",
        "def r(s): return s.a >> 12",
        "def r(s): return s.a in (1, 2)",
        "def r(s):\n if s.a: return 1",
    ],
)
def test_the_test_of_branches_sees_each_kind(text):
    assert offences(ast.parse(text))


def test_every_rule_ends_in_a_case_that_is_always_taken():
    for function in functions(bitmap):
        if any(
            isinstance(d, ast.Call) and ast.unparse(d).startswith("rule(")
            for d in function.decorator_list
        ):
            returned = next(n for n in ast.walk(function) if isinstance(n, ast.Return))
            last = returned.value.elts[-1]
            assert ast.unparse(last.args[1]) == "True", function.name


# Numbers that both sides must have, written twice on purpose


def test_both_sides_write_the_same_numbers():
    assert {o.name: o.value for o in Outcome} == {s.name: s.value for s in abi.Status}
    assert abi.PAGE_4K == bitmap.PAGE_4K == 4096
    assert abi.PAGE_2M == bitmap.PAGE_2M == 2 << 20
    assert abi.ADDRESS_LIMIT == bitmap.LIMIT_GFN * bitmap.PAGE_4K == 1 << 52
    assert [e.value for e in Extent] == [0, 1, 2]


def test_every_public_name_has_a_docstring():
    bare = []
    for package in MAY_IMPORT:
        for path in modules(package):
            tree = ast.parse(path.read_text())
            for node in [tree, *ast.walk(tree)]:
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                    name = getattr(node, "name", "module")
                    nested = isinstance(node, ast.FunctionDef) and node not in _outer(tree)
                    if not name.startswith("_") and not nested and not ast.get_docstring(node):
                        bare.append(f"{path.relative_to(ROOT)}: {name}")
    empty = {
        f"{p.relative_to(ROOT)}: module"
        for k in MAY_IMPORT
        for p in modules(k)
        if not p.read_text()
    }
    assert sorted(set(bare) - empty) == []


def _outer(tree: ast.Module) -> list[ast.AST]:
    found: list[ast.AST] = []
    for node in tree.body:
        found.append(node)
        if isinstance(node, ast.ClassDef):
            found += node.body
    return found
