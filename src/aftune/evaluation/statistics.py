"""Intervals and tests, by scipy. All intervals are 95 %."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_RESAMPLES = 2000
_RESAMPLED_AT_ONCE = 2**20  # values; the interval does not depend on it, the memory for many problems does


def proportion_interval(num_right: int, num_problems: int) -> tuple[float, float]:
    """Wilson's interval of a share."""
    interval = stats.binomtest(num_right, num_problems).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval (percentiles) of a mean over problems."""
    array = np.asarray(values, dtype=float)
    if len(array) < 2 or np.ptp(array) == 0:
        return float(array.mean()), float(array.mean())
    batch = max(_RESAMPLED_AT_ONCE // len(array), 1)
    rng = np.random.default_rng(seed)
    result = stats.bootstrap((array,), np.mean, n_resamples=_RESAMPLES, batch=batch, method="percentile", rng=rng)
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass(frozen=True)
class PairedDifference:
    """How much more often one model is right than another on the same problems, and the exact McNemar test of it."""

    difference: float
    interval: tuple[float, float]
    p_value: float


def paired_difference(right: Sequence[bool], other_right: Sequence[bool]) -> PairedDifference:
    """Accuracy of the first minus that of the second, with a bootstrap over problems; p from the discordant problems."""
    differences = [float(a) - float(b) for a, b in zip(right, other_right, strict=True)]
    wins, losses = differences.count(1.0), differences.count(-1.0)
    p_value = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    return PairedDifference(float(np.mean(differences)), mean_interval(differences), float(p_value))
