"""Perplexity from summed log-probabilities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aftune.evaluation.perplexity import perplexity, perplexity_interval

REFERENCES = st.lists(st.tuples(st.integers(-5000, 0).map(lambda n: n / 100), st.integers(1, 40)), min_size=1, max_size=30)


def test_by_hand() -> None:
    """Four tokens of probability 1/2 and two of 1/8: -ln = 4 ln 2 + 2 * 3 ln 2 = 10 ln 2 over 6 tokens: 2^(10/6) = 3.1748.

    The references alone have 2 and 8, whose mean is 5: not the perplexity.
    """
    logprobs, num_tokens = [4 * math.log(1 / 2), 2 * math.log(1 / 8)], [4, 2]
    assert perplexity(logprobs, num_tokens) == pytest.approx(2 ** (10 / 6), rel=1e-14)
    assert [perplexity([logprob], [number]) for logprob, number in zip(logprobs, num_tokens, strict=True)] == pytest.approx(
        [2.0, 8.0]
    )


def test_a_model_that_knows_nothing_has_the_size_of_its_vocabulary() -> None:
    assert perplexity([-7 * math.log(384), -3 * math.log(384)], [7, 3]) == pytest.approx(384)


def test_equals_exp_of_the_cross_entropy_over_all_tokens() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 9, generator=generator, dtype=torch.float64)
    targets = torch.randint(9, (12,), generator=generator)
    expected = torch.nn.functional.cross_entropy(logits, targets).exp().item()
    chosen = logits.log_softmax(1).gather(1, targets[:, None])[:, 0]
    parts = chosen.split([5, 1, 6])
    assert perplexity([part.sum().item() for part in parts], [5, 1, 6]) == pytest.approx(expected, rel=1e-12)


@given(references=REFERENCES)
def test_lies_between_the_references_and_does_not_depend_on_their_order(references: list[tuple[float, int]]) -> None:
    logprobs, num_tokens = map(list, zip(*references, strict=True))
    value = perplexity(logprobs, num_tokens)
    alone = [perplexity([logprob], [number]) for logprob, number in references]
    assert min(alone) * (1 - 1e-12) <= value <= max(alone) * (1 + 1e-12)
    assert perplexity(logprobs[::-1], num_tokens[::-1]) == value


def test_interval_contains_the_perplexity() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 5, 200):
        num_tokens = rng.integers(5, 60, size=size).tolist()
        logprobs = [-number * rng.exponential(0.6) for number in num_tokens]
        low, high = perplexity_interval(logprobs, num_tokens)
        assert low < perplexity(logprobs, num_tokens) < high
        assert min(math.exp(-logprob / number) for logprob, number in zip(logprobs, num_tokens, strict=True)) <= low
        assert perplexity_interval(logprobs, num_tokens) == (low, high)


def test_interval_of_a_known_spread() -> None:
    """400 references of 10 tokens, half at 0.5 and half at 1.5 nats per token: 1 +- 1.96 * 0.5 / 20 nats, then exp."""
    low, high = perplexity_interval([-5.0, -15.0] * 200, [10] * 400)
    assert math.log(low) == pytest.approx(1 - 0.049, abs=0.006)
    assert math.log(high) == pytest.approx(1 + 0.049, abs=0.006)


def test_tokens_stay_with_their_log_probability() -> None:
    """All references have 1 nat per token, whatever their length: so has every resample."""
    assert perplexity_interval([-3.0, -30.0, -7.0], [3, 30, 7]) == pytest.approx((math.e, math.e), rel=1e-12)


def test_one_reference_has_a_point() -> None:
    assert perplexity_interval([-4.0], [2]) == pytest.approx((math.exp(2), math.exp(2)))


def test_beyond_floating_point() -> None:
    assert perplexity([-1e4], [1]) == math.inf


@pytest.mark.parametrize(
    ("logprobs", "num_tokens", "message"),
    [
        ([], [], "at least one"),
        ([-1.0, -2.0], [3], "2 log-probabilities for 1 references"),
        ([-1.0, -2.0], [3, 0], "reference 1: log-probability -2.0 over 0 tokens"),
        ([math.nan], [3], "reference 0: log-probability nan"),
        ([-math.inf], [3], "finite"),
    ],
)
def test_errors(logprobs: list[float], num_tokens: list[int], message: str) -> None:
    for function in (perplexity, perplexity_interval):
        with pytest.raises(ValueError, match=message):
            function(logprobs, num_tokens)
