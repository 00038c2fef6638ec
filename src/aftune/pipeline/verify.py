"""Whether the files of a run, or of a comparison's runs, are still what its stages left."""

from collections.abc import Iterator
from pathlib import Path

from aftune.common.checksums import Inspection, inspect
from aftune.common.errors import UsageError
from aftune.pipeline.directory.run_directory import RunDirectory


def verify(path: Path) -> Iterator[tuple[Path, Inspection]]:
    """The folder of every finished stage below `path`, and what is found in it.

    Raises UsageError where there is none, StageError for a manifest that is damaged.
    """
    number = 0
    for manifest in sorted(path.rglob("manifest.json")):
        run = RunDirectory(manifest.parent)
        for name, entry in run.manifest()["stages"].items():
            if entry["status"] == "finished":
                number += 1
                folder, of_list = run.folder(name), entry.get("files")
                yield folder, Inspection(None) if of_list is None else inspect(folder, of_list)
    if not number:
        raise UsageError(f"{path}: holds no finished stage of a run; expected the run_dir of a recipe")
