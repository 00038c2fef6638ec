"""Large files of records, read one record at a time: only their places in the file are kept in memory."""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Generic, overload

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from aftune.common.errors import DataError, RepeatedIdError
from aftune.common.text_files import text_lines
from aftune.records.files import iter_records, parse_line
from aftune.records.types import AnyRecord, Candidate


class RecordFile(Sequence[AnyRecord], Generic[AnyRecord]):
    """The records of a JSON Lines file as a sequence; each is parsed every time it is accessed.

    The file is opened for every access, so that copies in other processes do not share a place in it; it must not change.
    Raises DataError at once for a missing or empty file and for bytes that are not UTF-8, and with `file:line` when a
    line that does not fit is accessed.
    """

    def __init__(self, path: Path, record_type: type[AnyRecord]) -> None:
        self.path, self.record_type = path, record_type
        self._offsets = np.fromiter((offset for _, offset, _ in text_lines(path)), np.int64)
        if not len(self._offsets):
            raise DataError(f"{path}: the file is empty, expected one {record_type.__name__} per line; write it again")

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[AnyRecord]:
        return iter_records(self.path, self.record_type)

    @overload
    def __getitem__(self, place: int) -> AnyRecord: ...
    @overload
    def __getitem__(self, place: slice) -> list[AnyRecord]: ...
    def __getitem__(self, place: int | slice) -> AnyRecord | list[AnyRecord]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        [record] = _read(self.path, int(self._offsets[place]), 1, self.record_type)
        return record


class CandidateFile:
    """The candidates of a file by their problem, wherever they are in it.

    Keeps in memory 33 bytes for each run of neighbouring candidates of one problem. Raises DataError with `file:line` for
    a line without a problem's id, and what RecordFile raises.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._num_candidates = 0
        hashes, offsets, lengths = array("q"), array("q"), array("q")  # of each run: of its problem's id; in bytes; in candidates
        previous: str | None = None
        for number, offset, text in text_lines(path):
            problem_id = _problem_id(path, number, text)
            if problem_id != previous:
                hashes.append(hash(problem_id))
                offsets.append(offset)
                lengths.append(0)
                previous = problem_id
            lengths[-1] += 1
            self._num_candidates += 1
        if not self._num_candidates:
            raise DataError(f"{path}: the file is empty, expected one Candidate per line; write it again")
        self._offsets, self._lengths = offsets, lengths
        self._order = np.argsort(np.asarray(hashes), kind="stable")  # runs by hash, those with the same hash as in the file
        self._hashes = np.asarray(hashes)[self._order]
        self._taken = np.zeros(len(offsets), dtype=bool)

    def __len__(self) -> int:
        return self._num_candidates

    def take(self, problem_id: str) -> list[Candidate]:
        """A problem's candidates, in the order of the file; raises RepeatedIdError when they were taken before."""
        wanted = hash(problem_id)
        first, last = np.searchsorted(self._hashes, wanted, "left"), np.searchsorted(self._hashes, wanted, "right")
        candidates: list[Candidate] = []
        for run in self._order[first:last]:
            found = self._run(run)
            if found[0].problem_id != problem_id:  # two ids can have the same hash
                continue
            if self._taken[run]:
                raise RepeatedIdError(f"{self.path}: two problems have the id {problem_id!r}; give each an id of its own")
            self._taken[run] = True
            candidates += found
        return candidates

    def rest(self) -> Iterator[list[Candidate]]:
        """The candidates that were not taken, problem by problem in the order in which the file names them; takes them."""
        for run in range(len(self._offsets)):
            if not self._taken[run]:
                yield self.take(self._run(run)[0].problem_id)

    def _run(self, run: int) -> list[Candidate]:
        return _read(self.path, self._offsets[run], self._lengths[run], Candidate)


class _Owner(BaseModel):
    """The part of a candidate that says whose it is; checks and builds nothing else."""

    model_config = ConfigDict(cache_strings="keys")
    problem_id: str


def _problem_id(path: Path, number: int, text: str) -> str:
    try:
        return _Owner.model_validate_json(text).problem_id
    except ValidationError:
        return parse_line(path, number, text, Candidate).problem_id


def _read(path: Path, offset: int, count: int, record_type: type[AnyRecord]) -> list[AnyRecord]:
    """`count` records of a file, from a byte offset on."""
    with open(path, "rb") as file:
        file.seek(offset)
        texts = list(islice((text for line in file if not (text := line.decode("utf-8")).isspace()), count))
    with suppress(DataError):
        return [parse_line(path, 0, text, record_type) for text in texts]
    # One of them does not fit: read again from the start of the file, for the line number in the message.
    lines = ((number, text) for number, at, text in text_lines(path) if at >= offset)
    return [parse_line(path, number, text, record_type) for number, text in islice(lines, count)]
