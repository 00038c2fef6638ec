"""Candidates made elsewhere, brought into our records. Adding a format means adding a file and a line here."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from aftune.common.errors import DataError, MissingFileError, UsageError
from aftune.interchange.importers import gsm8k_solutions, json_lines, lm_eval, openai_batch, voted_explanations, zeroeval
from aftune.interchange.importers.responses import Imported, Row, match
from aftune.recipe import ColumnsSection, ImportSection
from aftune.records import Group, Problem

FORMATS: dict[str, Callable[[Path, ColumnsSection], Iterator[Row]]] = {
    "gsm8k_solutions": gsm8k_solutions.rows,
    "zeroeval": zeroeval.rows,
    "lm_eval": lm_eval.rows,
    "openai_batch": openai_batch.rows,
    "json_lines": json_lines.rows,
}

# Formats that hold verdicts too: whole groups, with nothing left to label.
GROUP_FORMATS: dict[str, Callable[[Path], list[Group]]] = {
    "voted_explanations": lambda path: voted_explanations.read_groups(path).groups,
}

CANDIDATES_PER_PROBLEM = {"gsm8k_solutions": 4}  # for estimates, where a format fixes it


def find_source(section: ImportSection, data: Path | None) -> Path:
    """The file or folder, at its path or in `data`; raises DataError if it is in neither place."""
    path = section.path if section.path.exists() or data is None else data / section.path
    if not path.exists():
        raise MissingFileError(f"candidates.path: {path}: no such file or folder; check the path")
    return path


def source_files(section: ImportSection, data: Path | None) -> list[Path]:
    """What is read: the file, or all files of the folder that are not hidden, in the order of their names; nothing if the path does
    not exist."""
    try:
        path = find_source(section, data)
    except DataError:
        return []
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))


def check_source(section: ImportSection, data: Path | None) -> None:
    """Reads the file, or all files of the folder; raises DataError if there is none, with the line of what is no record."""
    find_source(section, data)
    for _ in _rows(section, data):
        pass


def _rows(section: ImportSection, data: Path | None) -> Iterator[Row]:
    return chain.from_iterable(FORMATS[section.format](file, section.columns) for file in source_files(section, data))


def import_candidates(section: ImportSection, data: Path | None, problems: Sequence[Problem]) -> Imported:
    """The candidates of a file, or of all files of a folder in the order of their names, for the given problems.

    Raises DataError if there is no such file, or no candidate for any of the problems in it.
    """
    path = find_source(section, data)
    imported = match(_rows(section, data), problems)
    if not imported.candidates:
        raise DataError(
            f"{path}: holds no candidate for any of the problems ({len(problems):,} in all); check task.train and task.test"
        )
    return imported


def import_groups(name: str, path: Path) -> list[Group]:
    """The groups of a file that holds verdicts too; raises UsageError for an unknown format."""
    if name not in GROUP_FORMATS:
        raise UsageError(f"there is no group format {name!r}, expected one of {', '.join(GROUP_FORMATS)}")
    return GROUP_FORMATS[name](path)
