"""ARCHITECTURE.md is true: who imports whom, which rooms there are, and that the files it names exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "aftune"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
# By room, in the order of the table, what it may import.
ROOMS = {
    room: frozenset(re.findall(r"[\w.]+", allowed))
    for room, allowed in re.findall(r"^\| `(\w+)/` \|.*\|([^|]*)\|$", TEXT, flags=re.MULTILINE)
}


def imported(source: str) -> Iterator[str]:
    """The parts of aftune that a module imports, wherever in it that stands: `records.types`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "aftune":
            names = [node.module or ""] if node.module != "aftune" else [f"aftune.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("aftune.")]
        else:
            continue
        yield from (name.removeprefix("aftune.") for name in names)


def forbidden(room: str, source: str) -> list[str]:
    """What a module of a room imports and may not."""
    allowed = {room, "__version__", *ROOMS[room]}
    return [name for name in imported(source) if not any(f"{name}.".startswith(f"{part}.") for part in allowed)]


def test_every_room_is_in_the_table_and_says_what_it_is() -> None:
    folders = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("assets", "__pycache__"))
    assert sorted(ROOMS) == folders
    for folder in (path for path in PACKAGE.rglob("*") if any(path.glob("*.py"))):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in ("common", "pipeline")])
def test_a_room_says_what_it_may_import(room: str) -> None:
    """The docstring's last sentence has what the table has."""
    text = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    said = re.findall(r"[a-z]+(?:\.[a-z]+)?", text.rpartition("May import ")[2].replace(" and ", ", "))
    assert sorted(said) == sorted(ROOMS[room])


def test_only_a_few_files_stand_outside_the_rooms() -> None:
    assert sorted(path.name for path in PACKAGE.glob("*.py")) == ["__init__.py", "__main__.py", "errors.py"]


def test_rooms_import_only_what_stands_above_them() -> None:
    order = list(ROOMS)
    for place, room in enumerate(order):
        assert {name.partition(".")[0] for name in ROOMS[room]} <= set(order[:place]), room


@pytest.mark.parametrize("room", ROOMS)
def test_nobody_imports_what_is_not_allowed(room: str) -> None:
    found = {
        str(path.relative_to(PACKAGE)): names
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if (names := forbidden(room, path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_an_import_upward_is_found() -> None:
    """Also within a function, of a module by its package, and of a part of a room of which another part is allowed."""
    assert forbidden("losses", "def f():\n    from aftune.scoring import score_groups") == ["scoring"]
    assert forbidden("records", "from aftune import tasks") == ["tasks"]
    assert forbidden("tasks", "import aftune.prompts.encoding\nfrom aftune.prompts.formats import Turn") == ["prompts.encoding"]
    assert forbidden("scoring", "from aftune.models.abilities import abilities\nfrom aftune.common import seeds") == []


def test_files_and_folders_that_are_named_exist() -> None:
    named = re.findall(r"`((?:[\w-]+/)+[\w-]*(?:\.py)?|\w+\.py)`", TEXT)
    assert len(named) > 30
    places = (PACKAGE, ROOT, *(path for path in PACKAGE.iterdir() if path.is_dir()))
    named = [name for name in named if "NAME" not in name]
    assert [name for name in named if not any((place / name).exists() for place in places)] == []
