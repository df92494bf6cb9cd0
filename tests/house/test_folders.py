"""What a reader may rely on in every folder: the same files for each vendor, reasons beside each exception, small
functions, no word of the machine it was written on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.registry import CONNECTORS
from connectors.sandboxes import SANDBOXES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bot", "worker", "connectors", "benchmarks")
LONGEST = 60  # lines of a function


def modules(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "migrations" not in path.parts
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --------------------------------------------------------------------------- vendors' folders

# What a vendor's folder may lack, and why.
EXEMPT: dict[tuple[str, str], str] = {
    ("memory", "fields.py"): "it keeps canonical records: there is no wire",
    ("memory", "sandbox"): "it is its own: a world in RAM",
    ("csv", "sandbox"): "a folder of files needs no stand-in",
}


@pytest.mark.parametrize("system", sorted(CONNECTORS))
@pytest.mark.parametrize("name", ["__init__.py", "vendor.py", "fields.py", "connector.py", "README.md", "sandbox"])
def test_each_vendor_has_the_same_files(system: str, name: str) -> None:
    """Facts, wire <-> canon, oddities, quirks with their sources, a stand-in; or the reason why not."""
    folder = ROOT / "connectors" / system
    there = (folder / name).exists() or (name == "sandbox" and (folder / "sandbox.py").exists())
    assert there != ((system, name) in EXEMPT)


@pytest.mark.parametrize("system", sorted(CONNECTORS))
def test_each_vendors_quirks_have_their_source(system: str) -> None:
    """A README names where each of its facts stands; the pretend vendor has none to name."""
    text = (ROOT / "connectors" / system / "README.md").read_text()
    assert system in ("memory", "csv") or re.search(r"\w+\.\w+/(?:\w+/)*docs?/|https://", text) is not None


def test_the_registry_is_the_folders() -> None:
    """A vendor's folder that nobody can connect to, or the other way round, is a mistake."""
    folders = {path.parent.name for path in (ROOT / "connectors").glob("*/connector.py")}
    sandboxes = {name for name in folders if (ROOT / "connectors" / name / "sandbox").exists()}
    assert (folders, sandboxes) == (set(CONNECTORS), set(SANDBOXES))


@pytest.mark.parametrize("system", sorted(SANDBOXES))
def test_a_sandbox_shares_no_code_with_its_connector(system: str) -> None:
    """It imports the kit's sandbox and itself, and nothing of the connector beside it: else both would be wrong
    together."""
    folder = ROOT / "connectors" / system / "sandbox"
    own = re.compile(rf"^\s*(?:from|import) connectors\.{system}(?!\.sandbox)\b", re.M)
    canon = re.compile(r"^\s*(?:from|import) connectors\.(?:canon|kit\.http|kit\.table)\b", re.M)
    texts = {named(path): path.read_text() for path in folder.rglob("*.py")}
    assert [] == [name for name, text in texts.items() if own.search(text) or canon.search(text)]


# --------------------------------------------------------------------------- exceptions have reasons

# What is looked for stands here, and in the examples below: this file makes no exception of its own.
_IGNORE = re.compile(r"# type: ignore(?P<code>\[[\w, -]+\])?(?P<rest>.*)$")
_NOQA = re.compile(r"# noqa(?P<code>: ?[A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*)?(?P<rest>.*)$")


def unreasoned(text: str) -> Iterator[tuple[int, str]]:
    """Lines with an exception that names no code or no reason."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern in (_IGNORE, _NOQA):
            found = pattern.search(line)
            if found is not None and (found["code"] is None or len(found["rest"].strip(" #")) < 5):
                yield number, line.strip()


@pytest.mark.parametrize("folder", [*PACKAGES, "tests"])
def test_every_exception_names_its_code_and_its_reason(folder: str) -> None:
    """`# type: ignore[code]  # why`, `# noqa: CODE  # why`."""
    this = Path(__file__).name
    found = [
        f"{named(path)}:{number}: {line}"
        for path in modules(folder)
        if path.name != this
        for number, line in unreasoned(path.read_text())
    ]
    assert [] == found


@pytest.mark.parametrize(
    ("line", "fine"),
    [
        ("x = y  # type: ignore", False),
        ("x = y  # type: ignore[arg-type]", False),
        ("x = y  # type: ignore[arg-type]  # the stub is wrong", True),
        ("x = y  # noqa", False),
        ("x = y  # noqa: E501", False),
        ("x = y  # noqa: BLE001  # the last border", True),
        ("x = y", True),
    ],
)
def test_an_exception_without_a_reason_is_found(line: str, fine: bool) -> None:
    """The check itself can fail."""
    assert fine == (list(unreasoned(line)) == [])


# --------------------------------------------------------------------------- size, prints, places


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function and how many lines it has."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{named(path)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("folder", ["worker", "connectors", "bot"])
def test_no_function_is_long(folder: str) -> None:
    """Nothing over sixty lines, nine in ten under thirty-two."""
    sizes = [found for path in modules(folder) for found in functions(path)]
    assert [] == [f"{name}: {size}" for name, size in sizes if size > LONGEST]
    assert len([size for _, size in sizes if size > 32]) <= len(sizes) / 10


def test_nothing_is_called_utils() -> None:
    """Modules are nouns of the field."""
    vague = {"utils", "helpers", "common", "manager", "base", "misc", "util", "helper"}
    assert [] == [named(path) for path in modules(*PACKAGES) if path.stem in vague or path.parent.name in vague]


def test_no_path_of_a_machine_stands_in_the_project() -> None:
    """What is written here works anywhere."""
    texts = [*modules(*PACKAGES, "tests"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*.toml")]
    machine = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/")
    found = [named(path) for path in texts if path != Path(__file__).resolve() and machine.search(path.read_text())]
    assert [] == found


def test_a_clock_is_read_in_one_place() -> None:
    """Time comes from the store, or from the clock that is handed in; the modules that read a real one are named."""
    reading = re.compile(r"\b(?:datetime\.now|datetime\.utcnow|date\.today|time\.time(?:_ns)?)\(")
    allowed = {
        "worker/outside.py", "worker/store/sqlite.py", "connectors/kit/timers.py", "connectors/kit/sandbox/clock.py"
    }  # fmt: skip
    found = {named(path) for path in modules("worker", "connectors") if reading.search(path.read_text())}
    assert set() == found - allowed
