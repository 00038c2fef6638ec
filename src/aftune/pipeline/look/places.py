"""Which folders are runs and which are comparisons."""

import os
from collections.abc import Iterator
from pathlib import Path

from aftune.common.errors import NotFoundError
from aftune.pipeline.directory.run_directory import PROGRESS, RunDirectory
from aftune.pipeline.registry import HELD_OUT

RUNS = Path("runs")  # where the ready recipes put theirs


def is_run(path: Path) -> bool:
    """Whether a folder is the run directory of a recipe, or of a seed or a method of a comparison."""
    return (path / "recipe.yaml").is_file() and ((path / "manifest.json").is_file() or (path / ".lock").exists())


def is_comparison(path: Path) -> bool:
    """Whether a folder is that of a comparison; an aftune before 0.2 left no recipe in it."""
    seeds = seed_folders(path)
    if not seeds or is_run(path):
        return False
    return (path / "recipe.yaml").is_file() or any(_is_shared(seed) for seed in seeds)


def seed_folders(path: Path) -> dict[Path, int]:
    """The runs of a comparison's shared stages, with their seeds."""
    found = {folder: folder.name.removeprefix("seed-") for folder in path.glob("seed-*") if is_run(folder)}
    return dict(sorted(((folder, int(seed)) for folder, seed in found.items() if seed.isdecimal()), key=lambda item: item[1]))


def _is_shared(seed: Path) -> bool:
    return (seed / "methods").is_dir() or HELD_OUT.name in RunDirectory(seed).manifest()["stages"]


def is_method(path: Path) -> bool:
    """Whether a run is that of a method, which builds on the shared stages two folders above."""
    return path.parent.name == "methods" and is_run(path.parent.parent)


def below(folder: Path) -> Iterator[Path]:
    """The runs and comparisons below a folder, itself included; not what is inside of them. Hidden folders are passed over."""
    if is_run(folder) or is_comparison(folder):
        yield folder
        return
    for place, names, _ in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in list(names):
            path = Path(place) / name
            if is_run(path) or is_comparison(path):
                names.remove(name)
                yield path


def last_change(path: Path) -> float:
    """When a run or a comparison last did something, in seconds since 1970."""
    runs = [path, *(folder for seed in seed_folders(path) for folder in (seed, *seed.glob("methods/*")))]
    files = [folder / name for folder in runs for name in ("manifest.json", PROGRESS, "recipe.yaml")]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def newest() -> Path:
    """The run in ./runs that did something last; raises UsageError where there is none."""
    found = list(below(RUNS)) if RUNS.is_dir() else []
    if not found:
        what = "holds no run yet" if RUNS.is_dir() else "no such folder here"
        raise NotFoundError(
            f"{RUNS}: {what}; a run that was just begun shows after some seconds, and one elsewhere is `aftune status FOLDER`"
        )
    return max(found, key=last_change)


def check_run(path: Path) -> None:
    """Raises UsageError for a folder that is neither a run nor a comparison."""
    if path.is_file():
        raise NotFoundError(f"{path}: is a file; expected a run directory (`aftune runs` lists those in ./{RUNS})")
    if not path.is_dir():
        raise NotFoundError(f"{path}: no such folder; expected a run directory (`aftune runs` lists those in ./{RUNS})")
    if not is_run(path) and not is_comparison(path):
        raise NotFoundError(
            f"{path}: is no run, since recipe.yaml and manifest.json are missing; `aftune runs {path}` looks below it"
        )
