"""Counts in sentences."""

import pytest

from aftune.common.errors import DataError
from aftune.common.wording import counted, cut_short, one_line


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1 epoch"), (1.0, "1 epoch"), (2.5, "2.5 epochs"), (0.5, "0.5 epochs"), (0, "0 epochs"), (1280, "1,280 epochs")],
)
def test_counts_have_a_singular(value: float, text: str) -> None:
    assert counted(value, "epoch") == text


def test_one_line() -> None:
    """Spaces and other scripts stay as they are; what a terminal would obey is escaped."""
    assert one_line("a  b:\n  c\r\nd\u2028e\x85f") == "a  b: c d e f"
    assert one_line("\x1b[31mré\t\0\ud800漢字") == r"\x1b[31mré\t\x00\ud800漢字"
    assert str(DataError("f.csv:1: 'a\nb' is wrong")) == "f.csv:1: 'a b' is wrong"


def test_long_texts_are_cut_short() -> None:
    assert cut_short("abc", 3) == "abc"
    assert cut_short("abcd", 3) == "abc..."
