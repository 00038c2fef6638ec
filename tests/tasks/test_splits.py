"""Slices of splits."""

import pytest

from aftune.common.errors import UsageError
from aftune.tasks import splits


@pytest.mark.parametrize(
    ("text", "split", "bounds"),
    [
        ("train", "train", (0, 250)),
        ("train[:100]", "train", (0, 100)),
        ("train[100:]", "train", (100, 250)),
        ("test[10:20]", "test", (10, 20)),
        ("test[-20:]", "test", (230, 250)),
        ("test[:-20]", "test", (0, 230)),
        ("test[:50%]", "test", (0, 125)),
        ("test[50%:]", "test", (125, 250)),
        ("test[:33%]", "test", (0, 82)),
        ("test[:1000]", "test", (0, 250)),
        ("test[300:]", "test", (250, 250)),
        ("test[-1000:5]", "test", (0, 5)),
        ("test[20:10]", "test", (20, 20)),
        ("test[:]", "test", (0, 250)),
        (" test[:3] ", "test", (0, 3)),
    ],
)
def test_bounds(text: str, split: str, bounds: tuple[int, int]) -> None:
    wanted = splits.parse(text)
    assert wanted.split == split
    assert wanted.bounds(250) == bounds


def test_halves_meet_without_gap_or_overlap() -> None:
    for size in range(7):
        assert splits.parse("t[:50%]").bounds(size)[1] == splits.parse("t[50%:]").bounds(size)[0]


@pytest.mark.parametrize("text", ["", "train[", "train[5]", "train[:1.5]", "train[::2]", "train[:a]", "[1:2]", "train test"])
def test_what_is_no_slice(text: str) -> None:
    with pytest.raises(UsageError, match="is not a split"):
        splits.parse(text)
