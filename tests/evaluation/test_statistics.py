"""Intervals and tests against textbook and hand-computed values."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from aftune.evaluation import statistics
from aftune.evaluation.statistics import (
    holm,
    mean_interval,
    paired_difference,
    pearson,
    pooled_paired_difference,
    proportion_interval,
    ratio_interval,
    seed_summary,
    share_interval,
)

SHARES = st.integers(0, 100).map(lambda n: n / 100)
RIGHT_PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


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


def table(wins: int, losses: int, both: int = 0, neither: int = 0) -> tuple[list[bool], list[bool]]:
    """The two lists of a 2 x 2 table."""
    ours = [True] * wins + [False] * losses + [True] * both + [False] * neither
    theirs = [False] * wins + [True] * losses + [True] * both + [False] * neither
    return ours, theirs


@pytest.mark.parametrize(("wins", "losses"), [(5, 1), (10, 2), (3, 3), (0, 6), (1, 0)])
def test_paired_difference_by_hand(wins: int, losses: int) -> None:
    """For 5 wins and 1 loss p = 2 * (1 + 6) / 64 = 0.21875."""
    ours, theirs = table(wins, losses, both=20, neither=10)
    paired = paired_difference(ours, theirs)
    assert paired.p_value == pytest.approx(exact_mcnemar(wins, losses), abs=1e-12)
    assert paired.difference == pytest.approx((wins - losses) / len(ours))
    assert paired.interval[0] <= paired.difference <= paired.interval[1]
    turned = paired_difference(theirs, ours)
    assert turned.difference == -paired.difference
    assert turned.p_value == paired.p_value


def test_exact_value() -> None:
    assert exact_mcnemar(5, 1) == 0.21875


@pytest.mark.parametrize(
    ("wins", "losses", "p_value"),
    [(121, 59, 0.000004), (70, 59, 0.378688), (80, 59, 0.089452), (30, 60, 0.00206), (10, 30, 0.002221), (10, 10, 1.0)],
)
def test_exact_mcnemar_as_statsmodels_tests_it(wins: int, losses: int, p_value: float) -> None:
    """Tables and p-values of statsmodels' test_mcnemar_exact, there from the calculator of Vassar College."""
    assert paired_difference(*table(wins, losses, both=101, neither=33)).p_value == pytest.approx(p_value, abs=5e-6)
    assert exact_mcnemar(wins, losses) == pytest.approx(p_value, abs=5e-6)


def test_models_that_never_differ() -> None:
    """Adjusted Wald, n = 98: shares 1/100 each, so 0 +- 1.96 * sqrt(0.02 / 100) = 0.02772."""
    paired = paired_difference(*table(0, 0, both=90, neither=8))
    assert (paired.difference, paired.p_value) == (0.0, 1.0)
    assert paired.interval == pytest.approx((-0.02772, 0.02772), abs=1e-5)


def test_a_model_that_wins_always() -> None:
    """n = 2: shares 3/4 and 1/4, so 0.5 +- 1.96 * sqrt((1 - 0.25) / 4) = 0.5 +- 0.849, cut off at 1; p = 2 * (1/4)."""
    paired = paired_difference([True, True], [False, False])
    assert (paired.difference, paired.p_value) == (1.0, 0.5)
    assert paired.interval == pytest.approx((-0.34869, 1.0), abs=1e-5)
    assert paired_difference(*table(50, 0)).interval == pytest.approx(
        (50 / 52 - 1.959964 * math.sqrt((1 - (50 / 52) ** 2) / 52), 1.0)
    )


def test_adjusted_wald_published_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of R's statpsych::ci.prop.ps(.05, 12, 4, 26, 6): estimate 0.44, limits 0.2548067 and 0.6251933."""
    monkeypatch.setattr(statistics, "_FEW", 100)
    paired = paired_difference(*table(26, 4, both=6, neither=12))
    assert paired.interval == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_few_discordant_problems_have_the_adjusted_interval() -> None:
    """1 win in 1000: the bootstrap would give 0 to 0.003, in which no loss can be. With 5 it is used."""
    assert paired_difference(*table(1, 0, both=999)).interval[0] < -0.001
    assert paired_difference(*table(5, 0, both=995)).interval[0] >= 0.001


def test_lists_of_different_length_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_difference([True], [True, False])


@given(pairs=RIGHT_PAIRS)
@settings(max_examples=50)
def test_paired_interval_contains_the_difference(pairs: list[tuple[bool, bool]]) -> None:
    ours, theirs = map(list, zip(*pairs, strict=True))
    paired = paired_difference(ours, theirs)
    assert -1 <= paired.interval[0] <= paired.difference + 1e-12
    assert paired.difference - 1e-12 <= paired.interval[1] <= 1
    assert paired.interval[0] < paired.interval[1]
    assert paired.p_value == pytest.approx(exact_mcnemar(sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)))


def test_pooled_by_hand() -> None:
    """Differences 8/40, 2/40 and 0: mean 1/12. Wins 10 + 4 + 3 = 17, losses 2 + 2 + 3 = 7: p = 2 P(X <= 7 of 24)."""
    seeds = [table(10, 2, 20, 8), table(4, 2, 20, 14), table(3, 3, 30, 4)]
    paired = pooled_paired_difference(seeds)
    assert paired.difference == pytest.approx(1 / 12)
    assert paired.p_value == pytest.approx(2 * sum(math.comb(24, k) for k in range(8)) / 2**24)


def test_pooled_interval_has_the_spread_of_its_seeds() -> None:
    """Three seeds of 400: variances of a difference (w + l)/n - d^2 = 0.30 - 0.01, 0.20 - 0.0025, 0.40 - 0.04.

    Standard error of the mean over seeds: sqrt(0.29 + 0.1975 + 0.36) / sqrt(400) / 3 = 0.01534.
    """
    seeds = [table(80, 40, 200, 80), table(50, 30, 200, 120), table(120, 40, 200, 40)]
    paired = pooled_paired_difference(seeds)
    assert paired.difference == pytest.approx(0.35 / 3)
    assert paired.interval == pytest.approx((0.35 / 3 - 1.96 * 0.01534, 0.35 / 3 + 1.96 * 0.01534), abs=0.003)


def test_every_seed_has_the_same_weight() -> None:
    """1 of 1 in 40 problems and none of 400: (1 + 0) / 2, though the first has a tenth of the problems."""
    assert pooled_paired_difference([table(40, 0), table(0, 0, both=400)]).difference == 0.5
    few = pooled_paired_difference([table(1, 0), table(0, 0, both=400)])
    assert few.difference == 0.5
    assert few.interval[0] < 0 < few.interval[1] == 0.5  # over problems the difference is 1 in 401


@given(seeds=st.lists(RIGHT_PAIRS, min_size=1, max_size=3))
@settings(max_examples=50)
def test_pooled_interval_contains_the_difference(seeds: list[list[tuple[bool, bool]]]) -> None:
    lists = [([a for a, _ in pairs], [b for _, b in pairs]) for pairs in seeds]
    paired = pooled_paired_difference(lists)
    assert paired.interval[0] - 1e-12 <= paired.difference <= paired.interval[1] + 1e-12
    if len(seeds) == 1:
        assert paired == paired_difference(*lists[0]) == pooled_paired_difference(lists, same_problems=True)


def test_seeds_that_repeat_each_other_add_nothing_on_the_same_problems() -> None:
    """Three equal seeds are one measurement; taken for three they would seem sqrt(3) times as sure."""
    seed = table(30, 15, both=100, neither=55)
    once, thrice = paired_difference(*seed), pooled_paired_difference([seed] * 3, same_problems=True)
    assert thrice.difference == pytest.approx(once.difference)
    assert thrice.interval == pytest.approx(once.interval)
    assert thrice.p_value == once.p_value
    new = pooled_paired_difference([seed] * 3)
    width, new_width = once.interval[1] - once.interval[0], new.interval[1] - new.interval[0]
    assert new_width == pytest.approx(width / math.sqrt(3), rel=0.08)
    assert new.p_value < once.p_value


def test_sign_test_over_the_same_problems() -> None:
    """Net of three seeds: problem 1 wins (2 to 1), problem 2 is even, problems 3 to 6 win: 5 wins, no loss: p = 2 / 2^5."""
    gains = [[1, 1, 1, 1, 1, 1], [1, -1, 0, 0, 1, 1], [-1, 0, 0, 0, 0, 1]]
    seeds = [([gain == 1 for gain in row], [gain == -1 for gain in row]) for row in gains]
    paired = pooled_paired_difference(seeds, same_problems=True)
    assert paired.p_value == pytest.approx(2 / 32)
    assert paired.difference == pytest.approx(8 / 18)


def test_pooled_errors() -> None:
    with pytest.raises(ValueError, match="no seeds"):
        pooled_paired_difference([])
    with pytest.raises(ValueError, match="different numbers of problems"):
        pooled_paired_difference([table(1, 1), table(1, 2)], same_problems=True)
    with pytest.raises(ValueError, match="no values"):
        paired_difference([], [])


@pytest.mark.parametrize(("share", "n"), [(0.0, 5), (1.0, 5), (1.0, 300), (0.5, 1), (0.5, 40)])
def test_equal_shares_have_wilsons_interval(share: float, n: int) -> None:
    low, high = share_interval([share] * n)
    assert (low, high) == pytest.approx(wilson(round(share * n * 2) / 2, n), abs=1e-12)
    assert low <= share <= high
    assert high - low > 0.01


def test_few_shares_by_hand() -> None:
    """Shares 1, 0.5, 0.75: mean 0.75 of n = 3. z^2 = 3.8415: centre (0.75 + 0.64024) / 2.28049 = 0.60963,

    half 1.95996 * sqrt(0.1875 / 3 + 3.8415 / 36) / 2.28049 = 1.95996 * 0.41135 / 2.28049 = 0.35353.
    """
    assert share_interval([1.0, 0.5, 0.75]) == pytest.approx((0.60963 - 0.35353, 0.60963 + 0.35353), abs=2e-5)


def test_many_shares_have_the_bootstrap_interval() -> None:
    values = np.random.default_rng(1).uniform(size=60).tolist()
    assert share_interval(values, seed=3) == mean_interval(values, seed=3)


@given(values=st.lists(SHARES, min_size=1, max_size=40))
@settings(max_examples=60)
def test_share_interval_contains_the_mean(values: list[float]) -> None:
    low, high = share_interval(values)
    assert 0 <= low <= math.fsum(values) / len(values) + 1e-12
    assert math.fsum(values) / len(values) - 1e-12 <= high <= 1
    assert low < high


def test_share_interval_covers_where_the_bootstrap_does_not() -> None:
    """Five shares from a beta distribution of mean 0.9, 300 times: 95 % of the intervals should hold 0.9."""
    samples = np.random.default_rng(0).beta(1.8, 0.2, size=(300, 5)).tolist()
    intervals = [(share_interval(values), mean_interval(values)) for values in samples]
    by_formula, by_bootstrap = (sum(pair[i][0] <= 0.9 <= pair[i][1] for pair in intervals) / 300 for i in (0, 1))
    assert by_formula > 0.95
    assert by_bootstrap < 0.8


@pytest.mark.parametrize("values", [[0.5, 1.1], [-0.1], [math.nan]])
def test_what_is_no_share(values: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        share_interval(values)


@pytest.mark.parametrize("function", [mean_interval, share_interval, seed_summary, lambda values: ratio_interval(values, [])])
def test_nothing_to_measure_is_an_error(function: Any) -> None:
    with pytest.raises(ValueError, match="no values"):
        function([])


def test_ratio_of_sums() -> None:
    """Equal denominators: the mean over them. Every resample's ratio lies between the smallest and the largest."""
    rng = np.random.default_rng(2)
    above, below = rng.exponential(size=80).tolist(), rng.integers(1, 9, size=80).tolist()
    assert ratio_interval(above, [1.0] * 80) == pytest.approx(mean_interval(above), rel=1e-12)
    low, high = ratio_interval(above, below)
    ratios = np.divide(above, below)
    assert ratios.min() <= low < sum(above) / sum(below) < high <= ratios.max()
    assert ratio_interval([3.0], [4.0]) == (0.75, 0.75)
    with pytest.raises(ValueError, match="80 numerators but 1 denominators"):
        ratio_interval(above, [1.0])


def test_seeds_by_hand() -> None:
    """40, 42 and 47: mean 43, deviations -3, -1, 4, so std = sqrt(26 / 2) = 3.60555.

    t(0.975, 2) = 4.30265 (tables), half = 4.30265 * 3.60555 / sqrt(3) = 8.9567.
    """
    summary = seed_summary([40.0, 42.0, 47.0])
    assert (summary.mean, summary.num_seeds) == (43.0, 3)
    assert summary.std == pytest.approx(3.60555, abs=1e-5)
    assert summary.interval == pytest.approx((43 - 8.9567, 43 + 8.9567), abs=1e-4)


@given(values=st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True))
def test_seeds_have_the_interval_of_the_t_test(values: list[int]) -> None:
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    summary = seed_summary(values)
    assert summary.interval == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert summary.interval[0] < summary.mean < summary.interval[1]


def test_one_seed_and_equal_seeds() -> None:
    assert seed_summary([0.4]) == statistics.SeedSummary(0.4, None, None, 1)
    assert seed_summary([0.5, 0.5, 0.5]) == statistics.SeedSummary(0.5, 0.0, (0.5, 0.5), 3)


def test_pearson_by_hand() -> None:
    """x = 1..5, y = 2, 1, 4, 3, 5: r = 8 / 10. Fisher: atanh 0.8 = 1.09861 +- 1.95996 / sqrt(2) = 1.38590, then tanh.

    t = 0.8 * sqrt(3 / 0.36) = 2.30940 with 3 degrees of freedom.
    """
    result = pearson([1, 2, 3, 4, 5], [2, 1, 4, 3, 5])
    assert result.r == pytest.approx(0.8)
    assert result.interval == pytest.approx((math.tanh(1.098612 - 1.385904), math.tanh(1.098612 + 1.385904)), abs=1e-6)
    assert result.p_value == pytest.approx(2 * stats.t.sf(2.309401, 3), abs=1e-6)


@pytest.mark.filterwarnings("error")
def test_pearson_knows_nothing_of_three_and_all_of_a_line() -> None:
    assert pearson([1, 2, 4], [1, 3, 2]).interval == (-1.0, 1.0)
    assert pearson([-4, -4, -3], [-2, -2, -1]) == statistics.Correlation(1.0, (-1.0, 1.0), 0.0)
    line = pearson([1, 2, 3, 4], [-2, -4, -6, -8])
    assert (line.r, line.interval) == (pytest.approx(-1.0), pytest.approx((-1.0, -1.0)))


@given(pairs=st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), max_size=12))
def test_pearson_contains_its_estimate_or_is_none(pairs: list[tuple[int, int]]) -> None:
    x, y = [a for a, _ in pairs], [b for _, b in pairs]
    result = pearson(x, y)
    if len(pairs) < 3 or len(set(x)) == 1 or len(set(y)) == 1:
        assert result is None
    else:
        assert -1 <= result.interval[0] <= result.r + 1e-12
        assert result.r - 1e-12 <= result.interval[1] <= 1
        assert result.r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_pearson_needs_pairs() -> None:
    with pytest.raises(ValueError, match="2 values but 1 others"):
        pearson([1.0, 2.0], [1.0])


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; never less than the one before: 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.8, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(
    p_values=st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=8),
    level=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_holm_rejects_as_the_step_down_procedure(p_values: list[float], level: float) -> None:
    """Holm's own words: the smallest against level / m, the next against level / (m - 1), until one fails."""
    rejected: set[int] = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if (len(p_values) - rank) * p_values[index] > level:
            break
        rejected.add(index)
    adjusted = holm(p_values)
    assert {index for index, p in enumerate(adjusted) if p <= level} == rejected
    bonferroni = [min(len(p_values) * p, 1.0) for p in p_values]
    assert all(p <= a <= b + 1e-12 for p, a, b in zip(p_values, adjusted, bonferroni, strict=True))
    assert all(b <= a + 1e-12 for a, b in zip(adjusted, stats.false_discovery_control(p_values), strict=True))


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan])
def test_holm_of_what_is_no_p_value(p: float) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 1"):
        holm([0.5, p])
