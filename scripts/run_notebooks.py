"""Runs the tutorials and keeps what they print, without colours.

    make notebooks

Each runs in a folder of its own that is gone afterwards, with the `aftune` of this Python first in PATH.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert.filters import strip_ansi

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"


def run(path: Path, folder: Path) -> Any:
    """The notebook as it is after it was run in a folder; raises nbclient's CellExecutionError at the first cell that fails."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",  # a model this small is not faster with more
        "COLUMNS": "100",
    }
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", coalesce_streams=True, resources=place)
    client.execute(env={**os.environ, **environment})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                plain: str = strip_ansi(output.text)  # type: ignore[no-untyped-call]
                output.text = "\n".join(line.rstrip() for line in plain.splitlines()) + "\n"
    notebook.metadata.pop("language_info", None)  # versions of this machine
    return notebook


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = run(path, Path(folder))
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
