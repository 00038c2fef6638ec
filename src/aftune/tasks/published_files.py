"""Tasks whose splits are files, or data sets of the Hub, read one row at a time."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from aftune.common.data_files import ENDINGS, scan_rows
from aftune.common.errors import DataError, HubError, MissingFileError, RepeatedIdError
from aftune.common.extras import needed
from aftune.common.text_files import text_lines
from aftune.common.wording import counted
from aftune.records import Problem
from aftune.tasks.base import LeftOut, Task

_SHOWN = 8  # files of a folder, in an error
_OWN_FILES = "give data=FOLDER with all of the publishers' files"


class FileTask(Task):
    """Problems, what is left out and the rows that cannot be read come from one pass over a split's rows."""

    _sizes: dict[str, int]

    @abstractmethod
    def rows(self, split: str) -> Iterator[tuple[str, Any]]:
        """Place (`file:line`) and value of every row of a split, a DataError for one that cannot be read. Raises DataError for a
        file that is missing or empty."""

    @abstractmethod
    def entries(self, split: str, index: int, place: str, row: Any) -> Iterator[Problem | LeftOut]:
        """What row number `index` (from 0) gives: a problem, or what is left out of it; raises DataError with the place."""

    def survey(self, split: str) -> Iterator[Problem | LeftOut | DataError]:
        places: dict[str, str] = {}
        try:
            for index, (place, row) in enumerate(self.rows(split)):
                yield from self._of_row(split, index, place, row, places)
        except DataError as error:
            yield error

    def _of_row(
        self, split: str, index: int, place: str, row: Any, places: dict[str, str]
    ) -> Iterator[Problem | LeftOut | DataError]:
        """`places`: of the problems so far, by id."""
        if isinstance(row, DataError):
            yield row
            return
        try:
            found = list(self.entries(split, index, place, row))
        except DataError as error:
            yield error
            return
        for entry in found:
            if isinstance(entry, Problem) and places.setdefault(entry.id, place) != place:
                yield RepeatedIdError(
                    f"{place}: the id {entry.id!r:.80} is that of {places[entry.id]} too; give each question an id of its own, "
                    "or name no column of ids"
                )
            else:
                yield entry

    def split_size(self, split: str) -> int:
        sizes = self.__dict__.setdefault("_sizes", {})
        if split not in sizes:
            sizes[split] = sum(1 for _ in self._problems(split))
        size: int = sizes[split]
        return size

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        return islice(self._problems(split), start, stop)

    def left_out(self, split: str) -> list[LeftOut]:
        return [entry for entry in self.survey(split) if isinstance(entry, LeftOut)]

    def _problems(self, split: str) -> Iterator[Problem]:
        for entry in self.survey(split):
            if isinstance(entry, DataError):
                raise entry
            if isinstance(entry, Problem):
                yield entry


def hub_rows(task: str, name: str, config: str | None, split: str) -> list[tuple[str, Any]]:
    """Places and rows of a data set on the Hub; raises HubError where it cannot be loaded, MissingPackageError without the
    datasets package."""
    needed("datasets", extra="hub", purpose=f"task {task}: {name} on the Hub", otherwise=_OWN_FILES)
    from aftune.common import hub

    try:
        with hub.loading(name):  # the import too: the package looks once whether this machine is offline
            import datasets

            rows = datasets.load_dataset(name, config, split=split)
    except (OSError, ValueError) as error:
        reason = hub.trouble() or " ".join(str(error).split())[:200]
        raise HubError(
            f"task {task}: {name} could not be loaded from the Hub: {reason}; {_OWN_FILES}, or check the network"
        ) from error
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
        here = sorted(path.name + "/" * path.is_dir() for path in data.iterdir() if not path.name.startswith("."))
        more = f" and {len(here) - _SHOWN} more" if len(here) > _SHOWN else ""
        has = f"it has {', '.join(here[:_SHOWN])}{more}" if here else "it is empty"
        raise MissingFileError(f"data: {data} holds no {' or '.join(names)} ({has}); give the folder with the files of task {task}")
    return path


def rows_of(path: Path) -> Iterator[tuple[str, Any]]:
    """As `scan_rows`; raises DataError for a file without rows."""
    empty = True
    for place, row in scan_rows(path):
        yield place, row
        empty = False
    if empty:
        raise DataError(f"{path}: the file is empty, expected one question per line; get or write it again")


def flan_table(path: Path, last: str) -> Iterator[tuple[str, list[str] | DataError]]:
    """Place and fields of the rows of a FLAN table: question with options, answer, and what `last` names; it writes `\\n` for a
    line break."""
    empty = True
    for number, _, line in text_lines(path):
        place = f"{path}:{number}"
        empty = False
        fields = [field.replace("\\n", "\n") for field in line.rstrip("\r\n").split("\t")]
        if len(fields) == 3:
            yield place, fields
        else:
            expected = f"expected question, answer and {last} with tabs between"
            yield place, DataError(f"{place}: {counted(len(fields), 'field')}, {expected}; correct it")
    if empty:
        raise DataError(f"{path}: the file is empty, expected one question per line; get it again")


def row_files(name: str) -> list[str]:
    """The names that a file of rows may have."""
    return [name + ending for ending in ENDINGS]
