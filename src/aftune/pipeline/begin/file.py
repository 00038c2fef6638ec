"""A file of questions before it is read as a task: which files there are, where the recipe of one goes, and its columns.

It imports no torch, so that a question or an error comes at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aftune.common.data_files import ENDINGS, scan_rows
from aftune.common.errors import DataError, UsageError
from aftune.common.wording import cut_short
from aftune.tasks.columns import KINDS, Columns, guess

_GUESSED_FROM = 1000  # rows


def recipe_path(folder: Path, data: Path) -> Path:
    """Where the recipe for a file goes: `own.jsonl` gives `own.yaml`."""
    name = data.name.removesuffix(".gz")
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), Path(name).suffix)
    return folder / f"{name.removesuffix(ending)}.yaml"


def check_new(folder: Path, data: Path, *, force: bool) -> None:
    """Raises UsageError where the recipe is there already, unless it may be overwritten."""
    path = recipe_path(folder, data)
    if path.exists() and not force:
        raise UsageError(f"{path}: is there already; give --force to overwrite it, or another folder")


def names_file(path: Path) -> bool:
    """Whether a path is that of a file of questions, there or not, and not of a folder."""
    return not path.is_dir() and (path.is_file() or bool(path.suffix))


def data_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold questions."""
    endings = (*ENDINGS, *(f"{ending}.gz" for ending in ENDINGS))
    return sorted(path for path in folder.glob("*") if path.is_file() and path.name.endswith(endings)) if folder.is_dir() else []


@dataclass(frozen=True)
class Guessed:
    """The first rows of a file, the names of its columns, and what they seem to be."""

    data: Path
    rows: list[dict[str, Any]]
    names: list[str]
    columns: Columns


def columns_of(path: Path, given: Mapping[str, str | None]) -> Guessed:
    """What the columns of a file are; given: those that the user names, as the options of `aftune init` are called.

    Raises UsageError for a column or a kind that does not exist, DataError where no row can be read.
    """
    rows = _first_rows(path)
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    options: str | list[str] | None = given.get("options")
    if isinstance(options, str) and options not in names and "," in options:
        options = [name.strip() for name in options.split(",")]
    wanted = {name: given.get(name) for name in ("question", "answer", "rationale")}
    listed = options if isinstance(options, list) else [options]
    for option, column in [*wanted.items(), *(("options", name) for name in listed)]:
        if column is not None and column not in names:
            raise UsageError(f"--{option}: {path} has no column {column!r}, only {cut_short(', '.join(names), 300)}")
    kind = next((one for one in KINDS if one == given.get("kind")), None)
    if kind is None and given.get("kind") is not None:
        raise UsageError(f"--kind: {given['kind']!r} is no kind of answers; give {', '.join(KINDS)}")
    said = Columns(wanted["question"], wanted["answer"], wanted["rationale"], options)
    return Guessed(path, rows, names, guess(rows, said, kind))


def _first_rows(path: Path) -> list[dict[str, Any]]:
    """The first rows that can be read; raises DataError where there is none, or no file."""
    if path.is_dir():
        raise UsageError(
            f"{path}: is a folder, expected one file, which is split by slices; a folder with train.jsonl, validation.jsonl "
            "and test.jsonl needs a recipe with `data: FOLDER` and `task: {name: jsonl}`"
        )
    rows: list[dict[str, Any]] = []
    first: DataError | None = None
    for _, row in islice(scan_rows(path), _GUESSED_FROM):
        if isinstance(row, dict):
            rows.append(row)
        elif isinstance(row, DataError):
            first = first or row
    if not rows:
        why = first or f"{path}: holds no rows with named columns; expected JSON Lines, a JSON array of objects, or a table"
        raise DataError(str(why))
    return rows
