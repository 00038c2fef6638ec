"""Slices of splits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(
    size=st.integers(0, 2000),
    cuts=st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted),
)
def test_percentages_that_meet_put_every_row_in_exactly_one_slice(size: int, cuts: list[int]) -> None:
    first, second = cuts
    slices = {text: splits.parse(text) for text in (f"all[:{first}%]", f"all[{first}%:{second}%]", f"all[{second}%:]")}
    assert [row for one in slices.values() for row in range(*one.bounds(size))] == list(range(size))
    splits.check_apart(slices, lambda split: size)


@given(size=st.integers(1, 300), bounds=st.lists(st.integers(-300, 300), min_size=4, max_size=4))
def test_slices_are_apart_where_no_row_is_in_both(size: int, bounds: list[int]) -> None:
    a, b, c, d = bounds
    slices = {"one": splits.parse(f"all[{a}:{b}]"), "other": splits.parse(f"all[{c}:{d}]")}
    shared = set.intersection(*(set(range(*one.bounds(size))) for one in slices.values()))
    if not shared:
        splits.check_apart(slices, lambda split: size)
        return
    with pytest.raises(UsageError, match="one and other share row"):
        splits.check_apart(slices, lambda split: size)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            "all[:85%]",
            "all[80%:]",
            r"task\.train and task\.test share rows 49 to 51 of the 60 of all \(all\[:85%\] and all\[80%:\]\);",
        ),
        (
            "all",
            "all[-1:]",
            r"share row 60 of the 60 of all \(all and all\[-1:\]\); a question must not be in two splits: write for",
        ),
    ],
)
def test_what_is_shared_is_named(train: str, test: str, message: str) -> None:
    """Of 60 rows the first 85 % are rows 1 to 51, and the last 20 % begin with row 49."""
    with pytest.raises(UsageError, match=message):
        splits.check_apart({"task.train": splits.parse(train), "task.test": splits.parse(test)}, lambda split: 60)


def test_other_splits_are_apart_and_not_read() -> None:
    def size(split: str) -> int:
        raise AssertionError(split)

    splits.check_apart({"task.train": splits.parse("train"), "task.test": splits.parse("test")}, size)
