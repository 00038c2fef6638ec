"""Tasks whose splits are files, or data sets of the Hub, read one row at a time."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from aftune.errors import AftuneError, DataError
from aftune.records import Problem
from aftune.tasks.base import LeftOut, Task


class FileTask(Task):
    """Problems and what is left out come from one pass over a split's rows."""

    _sizes: dict[str, int]

    @abstractmethod
    def entries(self, split: str) -> Iterator[Problem | LeftOut]:
        """The problems of a split in order, and what is left out with its reason; raises DataError for a bad row."""

    def split_size(self, split: str) -> int:
        sizes = self.__dict__.setdefault("_sizes", {})
        if split not in sizes:
            sizes[split] = sum(1 for _ in self._problems(split))
        size: int = sizes[split]
        return size

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        return islice(self._problems(split), start, stop)

    def left_out(self, split: str) -> list[LeftOut]:
        return [entry for entry in self.entries(split) if isinstance(entry, LeftOut)]

    def _problems(self, split: str) -> Iterator[Problem]:
        return (entry for entry in self.entries(split) if isinstance(entry, Problem))


def hub_rows(task: str, name: str, config: str | None, split: str) -> list[tuple[str, Any]]:
    """Places and rows of a data set of the Hub; raises AftuneError where that cannot be loaded."""
    try:
        import datasets
    except ImportError as error:
        raise AftuneError(
            f"task {task}: {name} of the Hub needs the datasets package; "
            "give data=FOLDER with all of the publishers' files, or pip install datasets"
        ) from error
    rows = datasets.load_dataset(name, config, split=split)
    return [(f"{name}:{split}:{index}", row) for index, row in enumerate(rows)]


def named_files(data: Path, paths: Iterable[Path | None]) -> dict[str, Path]:
    """Files below a folder by their names in it, without what was not found."""
    return {path.relative_to(data).as_posix(): path for path in paths if path is not None}


def find_file(data: Path, *names: str) -> Path | None:
    """The first of these that is there, relative to a folder."""
    return next((data / name for name in names if (data / name).is_file()), None)


def need_file(task: str, data: Path, *names: str) -> Path:
    """As `find_file`; raises DataError where none is there."""
    path = find_file(data, *names)
    if path is None:
        raise DataError(f"data: {data} holds no {' or '.join(names)}; give the folder with the files of task {task}")
    return path
