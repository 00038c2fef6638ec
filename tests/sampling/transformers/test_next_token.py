"""The next token: drawn by inverting the cumulative distribution, whatever the size of the vocabulary."""

import numpy as np
import pytest
import torch
from scipy import stats

from aftune.sampling import SamplingSettings
from aftune.sampling.transformers.next_token import BLOCK, NOT_FINITE, TokenChoice, draw


@pytest.mark.parametrize(("uniform", "token"), [(0.0, 1), (0.2499, 1), (0.2501, 3), (0.9999, 3), (1 - 2**-53, 3)])
def test_tokens_of_probability_zero_are_never_drawn(uniform: float, token: int) -> None:
    """Probabilities 0, 1/4, 0, 3/4, 0: not even at the ends."""
    probabilities = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]])
    assert draw(probabilities, torch.tensor([uniform], dtype=torch.float64)).tolist() == [token]


@pytest.mark.parametrize("num_tokens", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 32_000])
def test_draw_equals_a_search_in_the_whole_cumulative_sum(num_tokens: int) -> None:
    """Also with whole blocks of zeros, as top-k leaves them. Numbers within rounding of a boundary are left out."""
    generator = np.random.default_rng(num_tokens)
    weights = generator.exponential(size=(40, num_tokens)) ** 4
    weights[20:][generator.random((20, num_tokens)) < 0.98] = 0
    weights[:, generator.integers(num_tokens)] += 1e-3
    probabilities = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    cumulative = probabilities.astype(np.float64).cumsum(1)
    cumulative /= cumulative[:, -1:]
    uniforms = generator.random(40)
    clear = np.abs(cumulative - uniforms[:, None]).min(1) > 1e-6
    expected = (cumulative <= uniforms[:, None]).sum(1)
    drawn = draw(torch.from_numpy(probabilities), torch.from_numpy(uniforms)).numpy()
    assert (drawn == expected)[clear].all()
    assert clear.sum() >= 30
    assert (probabilities[np.arange(40), drawn] > 0).all()


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_ends_of_a_large_vocabulary(uniform: float) -> None:
    """The first and last thousand tokens have probability 0."""
    logits = torch.full((1, 32_000), -torch.inf)
    logits[:, 1000:-1000] = torch.randn(1, 30_000, generator=torch.manual_seed(0))
    token = int(TokenChoice(SamplingSettings(1))(logits, torch.tensor([uniform], dtype=torch.float64)))
    assert token == (1000 if uniform == 0 else 30_999)


def test_draws_from_a_large_vocabulary_follow_the_probabilities() -> None:
    """20,000 draws over 2,000 tokens in 16 blocks."""
    logits = torch.randn(1, 2000, generator=torch.manual_seed(1)) * 2
    uniforms = torch.from_numpy(np.random.default_rng(0).random(20_000))
    choose = TokenChoice(SamplingSettings(1, temperature=0.8))
    counts = torch.zeros(2000, dtype=torch.long)
    for part in uniforms.split(1000):
        counts += choose(logits.expand(len(part), -1), part).bincount(minlength=2000)
    expected = (logits[0].double() / 0.8).softmax(-1) * 20_000
    common = expected >= 8
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    frequencies = [*expected[common].tolist(), float(expected[~common].sum())]
    assert len(observed) > 250
    assert stats.chisquare(observed, np.array(frequencies) * sum(observed) / sum(frequencies)).pvalue > 0.01


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 2.0, 1.0]])
    assert TokenChoice(SamplingSettings(1, temperature=0.0))(logits, torch.tensor([0.99, 0.99])).tolist() == [1, 0]


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {}, {"top_p": 0.5}, {"top_k": 3, "temperature": 0.7}])
@pytest.mark.parametrize("num_tokens", [5, 3 * BLOCK + 1])
def test_logits_that_are_not_finite_give_no_token(settings: dict[str, float], num_tokens: int) -> None:
    """Of seven rows one has ordinary numbers, one has some of minus infinity; the others have one NaN, only NaN, one or all of
    infinity, all of minus infinity."""
    logits = torch.arange(7.0 * num_tokens).reshape(7, num_tokens).fmod(11)
    logits[1, 1:] = -torch.inf
    logits[2, 3] = logits[3, :] = torch.nan
    logits[4, 2] = logits[5, :] = torch.inf
    logits[6, :] = -torch.inf
    tokens = TokenChoice(SamplingSettings(1, **settings))(logits, torch.full((7,), 0.4, dtype=torch.float64)).tolist()
    assert 0 <= tokens[0] < num_tokens
    assert tokens[1:] == [0, *[NOT_FINITE] * 5]
