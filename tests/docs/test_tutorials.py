"""The tutorials run from the first cell to the last, and show what they print."""

from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="needs the extra docs")

import nbformat

import tutorials
from tutorials import NOTEBOOKS, Tutorial


def check(done: Tutorial) -> None:
    """No cell raised, and the cells print as often as in the file that is shown."""
    kept = nbformat.read(done.path, as_version=4)
    outputs = [[len(cell.get("outputs", ())) for cell in notebook.cells] for notebook in (kept, done.notebook)]
    assert outputs[0] == outputs[1]
    assert (done.folder / "runs").is_dir()


@pytest.mark.xdist_group("tutorial")
def test_end_to_end(end_to_end: Tutorial) -> None:
    check(end_to_end)


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.stem != "end-to-end"], ids=lambda path: path.stem)
def test_the_others(path: Path, tmp_path: Path) -> None:
    check(tutorials.run(path, tmp_path))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["comparing", "end-to-end", "your-data"]
