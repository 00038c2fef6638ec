"""Repetition and length of responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.evaluation.text_quality import TextQuality, repetition_rate, text_quality


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b c d e f g", 4, 0.0),
        ("a a a a a a a a a a a a a", 4, 0.9),  # ten 4-grams, one distinct
        ("a b a b a b", 4, 1 / 3),  # abab baba abab
        ("so 6 / 2 = 3\nso 6 / 2 = 3", 4, 3 / 9),  # 12 words; the first three 4-grams come again
        ("a b a c", 1, 0.25),
        ("a b a b", 2, 1 / 3),  # ab ba ab
        ("a b c d", 4, 0.0),  # one 4-gram
        ("a a a", 4, 0.0),  # none
        ("", 4, 0.0),
        ("  \n ", 4, 0.0),
    ],
)
def test_share_of_n_grams_that_come_again(text: str, n: int, expected: float) -> None:
    assert repetition_rate(text, n) == pytest.approx(expected, abs=1e-15)


@given(words=st.lists(st.sampled_from("abc"), max_size=30), n=st.integers(1, 5))
def test_equals_a_naive_count(words: list[str], n: int) -> None:
    """An n-gram repeats where the same one stands further left."""
    grams = [words[i : i + n] for i in range(max(len(words) - n + 1, 0))]
    repeats = sum(gram in grams[:i] for i, gram in enumerate(grams))
    rate = repetition_rate(" ".join(words), n)
    assert rate == pytest.approx(repeats / len(grams) if grams else 0.0)
    assert 0 <= rate < 1
    assert repetition_rate("\n ".join(words), n) == rate


def test_n_below_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="n is 0"):
        repetition_rate("a b", 0)


def test_means_over_responses() -> None:
    """Repetition (0 + 1/3) / 2, words (2 + 6) / 2; tokens are known of one response only."""
    quality = text_quality(["a b", "a b a b a b"], [None, 9])
    assert quality == TextQuality(2, pytest.approx(1 / 6), 4.0, 9.0, 1)
    assert text_quality(["a b", "c"], [3, 4]).mean_tokens == 3.5


@pytest.mark.parametrize("num_tokens", [None, [None, None]])
def test_tokens_that_are_not_known(num_tokens: list[int | None] | None) -> None:
    quality = text_quality(["a b", ""], num_tokens)
    assert (quality.mean_words, quality.mean_tokens, quality.num_with_tokens) == (1.0, None, 0)


def test_errors() -> None:
    with pytest.raises(ValueError, match="no responses"):
        text_quality([])
    with pytest.raises(ValueError, match="2 responses but 1 numbers"):
        text_quality(["a", "b"], [1])
