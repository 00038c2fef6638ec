"""How a model writes: does it repeat itself, and how long are its responses? No answer is judged here."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from aftune.common.errors import UsageError


@dataclass(frozen=True)
class TextQuality:
    """Means over responses; `mean_tokens` is over the `num_with_tokens` responses whose number of tokens is known, None for 0."""

    num_responses: int
    repetition: float
    mean_words: float
    mean_tokens: float | None
    num_with_tokens: int


def repetition_rate(text: str, n: int = 4) -> float:
    """Share of n-grams that occurred earlier in the text: 1 - distinct n-grams / n-grams; 0 for fewer than n + 1 words.

    Words are what white space separates. This is seq-rep-n of Welleck et al. 2020 (arXiv 1908.04319), there over tokens.
    It is akin to 1 - distinct-n of Li et al. 2016 (arXiv 1510.03055), who divide by the number of words and count the
    texts of a model together; here each text is counted alone, since wordings that problems share are no repetition.
    """
    if n < 1:
        raise UsageError(f"n is {n}, expected at least 1 word")
    words = text.split()
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def text_quality(texts: Sequence[str], num_tokens: Sequence[int | None] | None = None) -> TextQuality:
    """Repetition (4-grams) and lengths of responses; `num_tokens[i]` belongs to `texts[i]`, None where it is not known.

    Raises UsageError if there are no texts, or if the lists differ in length.
    """
    if not texts:
        raise UsageError("no responses to describe; give at least one")
    if num_tokens is not None and len(num_tokens) != len(texts):
        raise UsageError(f"{len(texts)} responses but {len(num_tokens)} numbers of tokens; give one each, or None")
    known = [number for number in num_tokens or () if number is not None]
    return TextQuality(
        num_responses=len(texts),
        repetition=fmean(map(repetition_rate, texts)),
        mean_words=fmean(len(text.split()) for text in texts),
        mean_tokens=fmean(known) if known else None,
        num_with_tokens=len(known),
    )
