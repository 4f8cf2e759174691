"""The shape of the code, as assertions: who may import whom, what stays pure, how long a file may grow.

A rule that nothing checks is a wish.  Whoever breaks one of these is told which, where and what to do instead.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

import mooring.model.faults
from mooring.model.faults import Fault

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mooring"
PURE = ("model", "policy", "compile")

# What pure code may use: values, and ways to arrange them.  Of datetime and uuid only the types.
PURE_IMPORTS = {
    "collections",
    "dataclasses",
    "datetime",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "ipaddress",
    "itertools",
    "math",
    "operator",
    "re",
    "types",
    "typing",
    "unicodedata",
    "uuid",
}
IMPURE_NAMES = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__", "globals"}
IMPURE_ATTRIBUTES = {"now", "today", "utcnow", "uuid1", "uuid4", "environ"}

LIMIT, NOTABLE = 600, 400


def modules(*folders: Path) -> Iterator[tuple[str, ast.Module]]:
    """Return every module below some folders, by its path in the repository."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield str(path.relative_to(ROOT)), parsed(path)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return the line and the full name of every module that is imported, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def listing(findings: list[str]) -> str:
    return "\n".join(["", *findings])


# ---------------------------------------------------------------------------------------------------------- the layers


def test_the_contracts_of_pyproject_hold(monkeypatch, capsys):
    """The layers of DESIGN.md, section 3, and who may use which library."""
    monkeypatch.chdir(ROOT)
    code = lint_imports(no_cache=True, no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_pure_packages_import_values_only():
    findings: list[str] = []
    for package in PURE:
        for path, tree in modules(SOURCE / package):
            for line, name in imported(tree):
                top = name.split(".")[0]
                pure = name.startswith(tuple(f"mooring.{other}" for other in PURE)) or top in PURE_IMPORTS
                if not pure:
                    findings.append(f"{path}:{line}: {name} is not for pure code: take what it gives as an argument")
    assert not findings, listing(findings)


def test_pure_packages_do_nothing():
    """No clock, no chance, no files, no output: the same arguments give the same answer."""
    findings: list[str] = []
    for path, tree in modules(*(SOURCE / package for package in PURE)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_NAMES:
                findings.append(f"{path}:{node.lineno}: {node.func.id}() in pure code")
            if isinstance(node, ast.Attribute) and node.attr in IMPURE_ATTRIBUTES:
                findings.append(f"{path}:{node.lineno}: .{node.attr} in pure code")
            if isinstance(node, ast.Global):
                findings.append(f"{path}:{node.lineno}: a global that changes, in pure code")
            if isinstance(node, ast.AsyncFunctionDef):
                findings.append(f"{path}:{node.lineno}: async in pure code: it has nothing to wait for")
    assert not findings, listing(findings)


def test_values_are_frozen_and_slotted():
    """What is kept, sent and compared never changes."""
    findings: list[str] = []
    for path, tree in modules(SOURCE / "model"):
        for node in ast.walk(tree):
            for mark in getattr(node, "decorator_list", []):
                name = ast.unparse(mark)
                if name.startswith("dataclass") and not ("frozen=True" in name and "slots=True" in name):
                    findings.append(f"{path}:{mark.lineno}: @{name} is not frozen and slotted")
    assert not findings, listing(findings)


# ------------------------------------------------------------------------------------------------------------- the files


def test_every_module_says_what_it_is_for():
    findings = [f"{path}: no docstring" for path, tree in modules(SOURCE) if not ast.get_docstring(tree)]
    assert not findings, listing(findings)


def test_files_stay_short(capsys):
    lengths = {
        path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")
    }
    long = sorted(((length, str(path)) for path, length in lengths.items() if length > NOTABLE), reverse=True)
    with capsys.disabled():
        for length, path in long:
            print(f"\n{path}: {length} lines, of {LIMIT} at most: which two ideas live here?", end="")
    assert not [path for length, path in long if length > LIMIT]


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "scripts"])
def test_no_shell(folder):
    """Programs are run from argument lists: nothing that a tenant wrote is ever parsed as a command."""
    shells = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
    shells |= {"asyncio.create_subprocess_shell"}
    findings: list[str] = []
    for path, tree in modules(ROOT / folder):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            if any(word.arg == "shell" and getattr(word.value, "value", True) for word in node.keywords):
                findings.append(f"{path}:{node.lineno}: shell=True")
            if ast.unparse(node.func) in shells:
                findings.append(f"{path}:{node.lineno}: {ast.unparse(node.func)}() starts a shell")
    assert not findings, listing(findings)


def test_no_check_is_silenced_without_a_reason():
    """The code, so that nothing else is silenced; the reason, so that it can go one day."""
    silenced = re.compile(r"# (?:type|pyright): ?ignore(.*)$")
    reasoned = re.compile(r"\[[\w, -]+\]\s+#\s+\S.*")
    findings: list[str] = []
    for path, _ in modules(SOURCE):
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            found = silenced.search(line)
            if found and not reasoned.fullmatch(found[1]):
                findings.append(
                    f"{path}:{number}: {line.strip()}\n    write `# type: ignore[code]  # why`, or do without"
                )
    assert not findings, listing(findings)


# ------------------------------------------------------------------------------------------------------------ the faults


def faults() -> list[type[Fault]]:
    """Return every kind of fault, the family's head first."""
    found: list[type[Fault]] = [Fault]
    for kind in found:
        found += sorted(kind.__subclasses__(), key=lambda one: one.__name__)
    return found


def test_the_family_of_faults_is_drawn_where_it_is_defined():
    drawing = mooring.model.faults.__doc__ or ""
    for kind in faults():
        assert kind.__module__ == "mooring.model.faults", f"{kind.__name__}: the family is closed"
        assert re.search(rf"\b{kind.__name__}\b", drawing), f"{kind.__name__} is missing in the drawing of the family"


# Here follow, with the dialects: every kind of fault has its line in every dialect's table (faults() above), and every endpoint has an
# authorization test.
