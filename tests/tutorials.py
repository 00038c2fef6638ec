"""The notebooks of docs/tutorials, and one that was run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import run_notebooks

NOTEBOOKS = sorted(run_notebooks.FOLDER.glob("*.ipynb"))


@dataclass(frozen=True)
class Tutorial:
    """A notebook after it was run, and the folder that it was run in."""

    path: Path
    notebook: Any
    folder: Path


def run(path: Path, folder: Path) -> Tutorial:
    return Tutorial(path, run_notebooks.run(path, folder), folder)
