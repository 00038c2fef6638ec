"""Intervals and tests, by scipy. All intervals are 95 %. Having no values at all raises UsageError.

A percentile bootstrap is too narrow for few values (uniform ones: it covered the mean in 86 % of samples of 5, 92 % of 20,
94 % of 50; shares that are mostly 1: 71, 87 and 92 %), and is a point for equal ones. For few or equal values, shares and paired
differences therefore have an interval by formula, which is, if anything, too wide; for means of anything else there is no formula.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aftune.common.errors import UsageError

Interval = tuple[float, float]
Floats = NDArray[np.float64]

_RESAMPLES = 2000
_RESAMPLED_AT_ONCE = 2**20  # values; the interval does not depend on this, but the memory for many problems does
_FEW = 20  # problems
_FEW_DISCORDANT = 5  # problems that one model has right and the other wrong
_Z = float(stats.norm.ppf(0.975))


def proportion_interval(num_right: int, num_problems: int) -> Interval:
    """Wilson's interval for a share."""
    interval = stats.binomtest(num_right, num_problems).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Bootstrap interval (percentiles) of a mean over problems.

    One value, or values without spread, give a point: not because the mean is certain, but because their variation is unknown.
    """
    return _percentiles(_resampled_means(_array(values), np.random.default_rng(seed)))


def share_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """Interval of the mean of values in [0, 1], one a problem, such as assessment accuracies.

    Bootstrap (percentiles); for fewer than 20 values and for equal ones Wilson's formula with the mean in place of the share.
    That is wide enough, as no values in [0, 1] with a given mean vary more than zeros and ones do; it is our derivation.
    Raises UsageError for a value outside [0, 1].
    """
    array = _array(values)
    if not ((array >= 0) & (array <= 1)).all():
        raise UsageError("share_interval is for values from 0 to 1; use mean_interval for others")
    if len(array) >= _FEW and np.ptp(array) > 0:
        return mean_interval(values, seed)
    return _wilson(min(math.fsum(values) / len(array), 1.0), len(array))


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float], seed: int = 0) -> Interval:
    """Bootstrap interval (percentiles) of sum / sum over problems; numerator and denominator of a problem stay together."""
    above, below = _array(numerators), _array(denominators)
    if len(above) != len(below):
        raise UsageError(f"{len(above)} numerators but {len(below)} denominators; give one of each for every problem")
    if len(above) < 2:
        return (float(above[0] / below[0]),) * 2
    rng = np.random.default_rng(seed)
    return _percentiles(_resampled((above, below), lambda a, b, axis: a.sum(axis) / b.sum(axis), rng))


@dataclass(frozen=True)
class PairedDifference:
    """How much more often one model is right than another on the same problems, and the p-value of the exact McNemar test."""

    difference: float
    interval: Interval
    p_value: float


def paired_difference(right: Sequence[bool], other_right: Sequence[bool]) -> PairedDifference:
    """Accuracy of the first minus that of the second, with a bootstrap interval over problems; p is from the discordant problems.

    With fewer than 20 problems, fewer than 5 discordant ones, or the same difference on all problems, the interval is the
    adjusted Wald interval of Bonett and Price (2012), Journal of Educational and Behavioral Statistics 37: models that
    never differ on 100 problems are not known to be equal.
    """
    return pooled_paired_difference([(right, other_right)])


def pooled_paired_difference(
    seeds: Sequence[tuple[Sequence[bool], Sequence[bool]]], *, same_problems: bool = False
) -> PairedDifference:
    """The mean over seeds of `paired_difference`, from each seed's two lists; every seed has the same weight.

    If each seed has problems of its own, the bootstrap resamples problems within each seed, independently of the others, and p
    is that of the exact McNemar test over the discordant problems of all seeds. Both treat problems as independent, which
    they are not quite: seeds share a task, and the problems of a seed share two trained models.

    `same_problems`: every seed was tested on the same problems, in the same order. What is hard for one seed is hard for the
    others, so the above would be overconfident (simulated, 3 seeds: 76 to 93 % of the intervals held the difference). The
    bootstrap then resamples problems once for all seeds, and p is that of the exact sign test over problems, by which
    model is right in more seeds; for one seed this is McNemar's test.

    Neither shows how much the training seed matters: for that, give the seeds' differences to `seed_summary`.
    """
    if not seeds:
        raise UsageError("no seeds to compare; give the two lists of at least one")
    differences = [_array([float(a) - float(b) for a, b in zip(right, other_right, strict=True)]) for right, other_right in seeds]
    if same_problems:
        if len({len(array) for array in differences}) > 1:
            raise UsageError("same_problems: the seeds have different numbers of problems; give lists of the same problems")
        differences = [np.mean(differences, axis=0)]
    difference = float(np.mean([array.mean() for array in differences]))
    together = np.concatenate(differences)
    wins, losses = int((together > 0).sum()), int((together < 0).sum())
    p_value = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0

    if len(together) < _FEW or wins + losses < _FEW_DISCORDANT or not any(np.ptp(array) for array in differences):
        won, lost = float(together.clip(min=0).sum()), float((-together).clip(min=0).sum())
        low, high = _adjusted_wald(won, lost, len(together))
        # If seeds have different numbers of problems, the mean over seeds is not the mean over problems that this interval is for.
        return PairedDifference(difference, (min(low, difference), max(high, difference)), p_value)
    rng = np.random.default_rng(0)
    means = np.mean([_resampled_means(array, rng) for array in differences], axis=0)
    return PairedDifference(difference, _percentiles(means), p_value)


@dataclass(frozen=True)
class SeedSummary:
    """Mean over seeds, standard deviation (n - 1 in the denominator) and interval; the last two are None for one seed."""

    mean: float
    std: float | None
    interval: Interval | None
    num_seeds: int


def seed_summary(values: Sequence[float]) -> SeedSummary:
    """A measurement over seeds, with Student's t interval of its mean: 2.5 standard deviations to each side for 3 seeds.

    It assumes that values vary normally over seeds, and it is not cut off at 0 and 1, where shares end. Equal values give a point.
    """
    array = _array(values)
    mean = float(array.mean())
    if len(array) == 1:
        return SeedSummary(mean, None, None, 1)
    half = stats.t.ppf(0.975, len(array) - 1) * stats.sem(array)
    return SeedSummary(mean, float(array.std(ddof=1)), (float(mean - half), float(mean + half)), len(array))


@dataclass(frozen=True)
class Correlation:
    """Pearson's r, its interval, and the p-value of r = 0."""

    r: float
    interval: Interval
    p_value: float


def pearson(x: Sequence[float], y: Sequence[float]) -> Correlation | None:
    """Linear correlation with Fisher's interval (scipy); None for fewer than 3 pairs or values without spread.

    For 3 pairs the interval is -1 to 1: nothing is known. Interval and p assume pairs that are normal and independent;
    models made from one another, such as the stages of a run, are not.
    """
    if len(x) != len(y):
        raise UsageError(f"{len(x)} values but {len(y)} others; a correlation needs pairs")
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    result = stats.pearsonr(x, y)
    # With 3 pairs the standard error is infinite, and for a perfect line scipy warns of inf - inf on its way to -1 and 1.
    low, high = result.confidence_interval(0.95) if len(x) > 3 else (-1.0, 1.0)
    return Correlation(float(result.statistic), (float(low), float(high)), float(result.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number, in the order given (Holm 1979, Scandinavian Journal of Statistics 6).

    Calling those that are at most 0.05 real is wrong about even one of them in at most 5 % of such families of tests,
    however the tests depend on each other. For screening many comparisons, where a share of false positives is acceptable,
    there is `scipy.stats.false_discovery_control`. Raises UsageError for what is not a p-value.
    """
    for p in p_values:
        if not 0 <= p <= 1:
            raise UsageError(f"p-value {p}, expected a number from 0 to 1")
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted


def _array(values: Sequence[float]) -> Floats:
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise UsageError("no values to measure; give at least one")
    return array


def _wilson(share: float, num: int) -> Interval:
    centre = share + _Z**2 / (2 * num)
    half = _Z * math.sqrt(share * (1 - share) / num + _Z**2 / (4 * num**2))
    low, high = ((centre + side * half) / (1 + _Z**2 / num) for side in (-1, 1))
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def _adjusted_wald(wins: float, losses: float, num: int) -> Interval:
    """Bonett and Price (2012): one win and one loss are added, then z standard errors to each side."""
    win_share, loss_share = (wins + 1) / (num + 2), (losses + 1) / (num + 2)
    difference = win_share - loss_share
    half = _Z * math.sqrt((win_share + loss_share - difference**2) / (num + 2))
    return max(difference - half, -1.0), min(difference + half, 1.0)


def _resampled_means(array: Floats, rng: np.random.Generator) -> Floats:
    if len(array) < 2 or np.ptp(array) == 0:
        return np.full(_RESAMPLES, array.mean())
    return _resampled((array,), np.mean, rng)


def _resampled(samples: tuple[Floats, ...], statistic: Callable[..., Any], rng: np.random.Generator) -> Floats:
    """The statistic of each resample; several samples are drawn together, problem by problem."""
    batch = max(_RESAMPLED_AT_ONCE // len(samples[0]), 1)
    result = stats.bootstrap(
        samples,
        statistic,
        n_resamples=_RESAMPLES,
        batch=batch,
        method="percentile",
        paired=len(samples) > 1,
        vectorized=True,
        rng=rng,
    )
    return np.asarray(result.bootstrap_distribution)


def _percentiles(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
