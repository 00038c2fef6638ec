"""Candidates made elsewhere, brought into our records. Adding a format means adding a file and a line here."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aftune.errors import DataError
from aftune.importers import gsm8k_solutions
from aftune.recipe import ImportSection
from aftune.records import Candidate, Problem

FORMATS: dict[str, Callable[[Path, Sequence[Problem]], list[Candidate]]] = {"gsm8k_solutions": gsm8k_solutions.read}

CANDIDATES_PER_PROBLEM = {"gsm8k_solutions": 4}  # for estimates


def import_candidates(section: ImportSection, data: Path | None, problems: Sequence[Problem]) -> list[Candidate]:
    """The candidates of a file for the given problems; raises DataError where it has none for any of them."""
    path = section.path if section.path.exists() or data is None else data / section.path
    candidates = FORMATS[section.format](path, problems)
    if not candidates:
        raise DataError(f"{path}: holds no candidate for any of the {len(problems)} problems; check task.train and task.test")
    return candidates
