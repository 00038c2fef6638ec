"""Slices of splits in the notation of Hugging Face datasets: `train`, `train[:1000]`, `test[50%:]`, `train[-200:]`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from aftune.common.errors import UsageError

_SLICE = re.compile(r"(?P<split>\w+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclass(frozen=True)
class SplitSlice:
    """A split's name and the bounds as written, before the split's size is known."""

    split: str
    start: str | None
    stop: str | None

    def __str__(self) -> str:
        whole = self.start is None and self.stop is None
        return self.split if whole else f"{self.split}[{self.start or ''}:{self.stop or ''}]"

    def bounds(self, size: int) -> tuple[int, int]:
        """Start and stop (exclusive) in a split of `size` records; percentages round down."""
        start, stop = (_resolve(bound, size, default) for bound, default in ((self.start, 0), (self.stop, size)))
        return start, max(start, stop)


def check_apart(slices: Mapping[str, SplitSlice], size: Callable[[str], int]) -> None:
    """Raises UsageError where two slices, by the keys that name them, have rows of one split in common; size: of a split."""
    for (key, one), (other_key, other) in combinations(slices.items(), 2):
        if one.split != other.split:
            continue
        total = size(one.split)
        starts, stops = zip(one.bounds(total), other.bounds(total), strict=True)
        start, stop = max(starts), min(stops)
        if start < stop:
            rows = f"row {start + 1}" if stop == start + 1 else f"rows {start + 1:,} to {stop:,}"
            raise UsageError(
                f"{key} and {other_key} share {rows} of the {total:,} of {one.split} ({one} and {other}); a question must not be "
                f"in two splits: write for example {one.split}[:80%], {one.split}[80%:90%] and {one.split}[90%:]"
            )


def parse(text: str) -> SplitSlice:
    """The slice that a text names; raises UsageError when the text is not a split or a slice of one."""
    match = _SLICE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is not a split; write for example train, train[:1000], train[-200:] or test[50%:]")
    return SplitSlice(match["split"], match["start"], match["stop"])


def _resolve(bound: str | None, size: int, default: int) -> int:
    if bound is None:
        return default
    value = int(bound[:-1]) * size // 100 if bound.endswith("%") else int(bound)
    return min(max(value + size if value < 0 else value, 0), size)
