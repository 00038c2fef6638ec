"""Numbers as the page shows them."""

import pytest

from aftune.reporting import formatting


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.97, "1 min 0 s"), (250.4, "4 min 10 s"), (7500.0, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_numbers_have_a_true_minus_and_no_minus_zero() -> None:
    assert formatting.score(-0.02134) == "−0.0213"
    assert formatting.score(-0.00001) == "0.0000"
    assert formatting.score(0.5, sign=True) == "+0.5000"
    assert formatting.score(None) == formatting.percent(None) == "–"


@pytest.mark.parametrize(("value", "text"), [(1e-9, "< 0.001"), (0.0123, "= 0.012"), (0.184, "= 0.18"), (1.0, "= 1.00")])
def test_p_value(value: float, text: str) -> None:
    assert formatting.p_value(value).replace(formatting.NBSP, " ") == text


def test_points() -> None:
    assert formatting.points(-0.01) == "1.0 point"
    assert formatting.points(-0.02) == "2.0 points"
    assert formatting.points(-0.01, sign=True) == "−1.0 point"
    assert formatting.points(0.011, sign=True) == "+1.1 points"


def test_controls_become_visible_and_lines_stay() -> None:
    assert formatting.visible("a\x00\x1b\r\n\tb") == "a\u2400\u241b\u240d\n\tb"


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
    assert formatting.visible(text) == shown
    assert formatting.visible(shown) == shown
