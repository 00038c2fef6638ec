"""Counts in sentences, times, and texts with what cannot be seen."""

import pytest

from aftune.common.errors import DataError
from aftune.common.wording import counted, cut_short, duration, one_line, visible


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


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.97, "1 min 0 s"), (250.4, "4 min 10 s"), (7500.0, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_controls_become_visible_and_lines_stay() -> None:
    assert visible("a\x00\x1b\r\n\tb") == "a\u2400\u241b\u240d\n\tb"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x7f\x85\u2028", "\u2421⟨U+0085⟩⟨U+2028⟩"),
        ("gold \u202e21\u202c", "gold ⟨U+202E⟩21⟨U+202C⟩"),
        ("1\u200b2\u00ad3\ufeff", "1⟨U+200B⟩2⟨U+00AD⟩3⟨U+FEFF⟩"),
        ("\U000e0041\ud800", "⟨U+E0041⟩⟨U+D800⟩"),
        ("1\u200c2 a\u200d", "1⟨U+200C⟩2 a⟨U+200D⟩"),
        ("می\u200cخواهم \U0001f469\u200d\U0001f4bb שלום é\u0301", "می\u200cخواهم \U0001f469\u200d\U0001f4bb שלום é\u0301"),
    ],
)
def test_what_is_unseen_or_turns_text_around_is_named(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown
