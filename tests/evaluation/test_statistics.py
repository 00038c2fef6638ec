"""Intervals and tests against textbook and hand-computed values."""

import math
from typing import Any

import numpy as np
import pytest

from aftune.evaluation import statistics
from aftune.evaluation.statistics import mean_interval, paired_difference, proportion_interval


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    centre = (k / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(k / n * (1 - k / n) / n + z * z / (4 * n * n))
    return centre - half, centre + half


def test_wilson_textbook_values() -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29."""
    for k, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert proportion_interval(k, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (300, 600), (600, 600)])
def test_wilson_formula(k: int, n: int) -> None:
    assert proportion_interval(k, n) == pytest.approx(wilson(k, n), abs=1e-12)


def test_bootstrap_interval_of_a_known_spread() -> None:
    """400 values of standard deviation 0.5: the interval is mean +- 1.96 * 0.5 / 20, within bootstrap noise."""
    values = [0.0, 1.0] * 200
    low, high = mean_interval(values)
    assert low == pytest.approx(0.5 - 0.049, abs=0.006)
    assert high == pytest.approx(0.5 + 0.049, abs=0.006)
    assert mean_interval(values) == (low, high)


def test_bootstrap_interval_does_not_depend_on_how_much_is_resampled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).normal(size=300).tolist()
    whole = mean_interval(values)
    monkeypatch.setattr(statistics, "_RESAMPLED_AT_ONCE", 1000)
    assert mean_interval(values) == whole


def test_bootstrap_interval_contains_the_mean() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 3, 10, 200):
        values = rng.exponential(size=size).tolist()
        low, high = mean_interval(values)
        assert low < np.mean(values) < high
        assert min(values) <= low
        assert high <= max(values)
        assert mean_interval(values) == (low, high)
        assert size < 10 or mean_interval(values, seed=1) != (low, high)


@pytest.mark.parametrize("values", [[0.25], [0.25, 0.25, 0.25]])
def test_interval_of_values_without_spread_is_a_point(values: Any) -> None:
    assert mean_interval(values) == (0.25, 0.25)


def exact_mcnemar(wins: int, losses: int) -> float:
    """Two-sided: twice the smaller tail of Binomial(wins + losses, 1/2)."""
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(min(wins, losses) + 1)) / 2**n
    return min(1.0, 2 * tail)


@pytest.mark.parametrize(("wins", "losses"), [(5, 1), (10, 2), (3, 3), (0, 6), (1, 0)])
def test_paired_difference_by_hand(wins: int, losses: int) -> None:
    """For 5 wins and 1 loss p = 2 * (1 + 6) / 64 = 0.21875."""
    both, neither = 20, 10
    ours = [True] * wins + [False] * losses + [True] * both + [False] * neither
    theirs = [False] * wins + [True] * losses + [True] * both + [False] * neither
    paired = paired_difference(ours, theirs)
    assert paired.p_value == pytest.approx(exact_mcnemar(wins, losses), abs=1e-12)
    assert paired.difference == pytest.approx((wins - losses) / len(ours))
    assert paired.interval[0] <= paired.difference <= paired.interval[1]
    turned = paired_difference(theirs, ours)
    assert turned.difference == -paired.difference
    assert turned.p_value == paired.p_value


def test_exact_value() -> None:
    assert exact_mcnemar(5, 1) == 0.21875


def test_models_that_never_differ() -> None:
    paired = paired_difference([True, False, True], [True, False, True])
    assert (paired.difference, paired.interval, paired.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_lists_of_different_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_difference([True], [True, False])
