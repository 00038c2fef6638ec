"""Numbers as the page shows them."""

import pytest

from aftune.reporting import formatting


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
