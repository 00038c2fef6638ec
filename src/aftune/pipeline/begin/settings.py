"""Settings that suit a number of questions, their lengths and the kind of model. The rules are ours: a start, not an optimum."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aftune.common.errors import UsageError
from aftune.evaluation import best_epoch
from aftune.tasks.jsonl import WHOLE_FILE

if TYPE_CHECKING:
    from aftune.pipeline.begin.look import Lengths

FEWEST = 10  # questions: with fewer a split would be empty
_FEW, _SEVERAL, _MANY = 200, 2000, 10_000
_STEPS = 24  # optimizer steps of an epoch, at least, where the batch can be so small
_BATCHES = (4, 128)
_TOY_STEPS, _TOY_EPOCHS = 200, 40  # steps of VFT at least, within so many epochs; fewer do not teach the toy new words


@dataclass(frozen=True)
class Settings:
    """What a recipe says, under the names that it has there; `num_train` and the like: how many questions each split
    gets."""

    train: str
    validation: str
    test: str
    num_train: int
    num_validation: int
    num_test: int
    toy: bool
    style: str
    skip_too_long: bool
    keep: str
    sft_epochs: int
    align_epochs: int
    sft_learning_rate: float
    align_learning_rate: float
    batch_size: int
    num_candidates: int
    temperature: float
    max_new_tokens: int
    sampled_at_once: int


def settings_for(num_questions: int, lengths: "Lengths", *, toy: bool) -> Settings:
    """toy: whether the model is the bundled one, which takes other learning rates. Raises UsageError for too few questions."""
    if num_questions < FEWEST:
        raise UsageError(
            f"{num_questions} questions are too few for three splits; give {FEWEST} or more, a few hundred to learn from"
        )
    train, validation, test, num_train, num_validation, num_test = _slices(num_questions)
    few, several = num_train < _FEW, num_train < _SEVERAL
    usual, batch_size = 8 if few else 5 if several else 3, _batch_size(num_train)
    return Settings(
        train=train,
        validation=validation,
        test=test,
        num_train=num_train,
        num_validation=num_validation,
        num_test=num_test,
        toy=toy,
        style="chat" if lengths.chat else "plain",
        skip_too_long=bool(lengths.too_long),
        keep="loss" if num_validation < best_epoch.FEW else "accuracy",
        sft_epochs=max(usual, min(math.ceil(_TOY_STEPS * batch_size / num_train), _TOY_EPOCHS)) if toy else usual,
        align_epochs=3 if few else 2,
        sft_learning_rate=6e-4 if toy else 2e-4,
        align_learning_rate=4e-4 if toy else 1e-4,
        batch_size=batch_size,
        num_candidates=12 if few else 8 if several else 6,
        temperature=0.7 if toy else 1.0,
        max_new_tokens=_max_new_tokens(lengths),
        sampled_at_once=256 if toy else 64,
    )


def smallest_told(num_test: int) -> float:
    """About the smallest difference of two models' accuracies, in points, whose 95 % interval excludes 0: 1.96 sqrt(0.25 / n), if a
    quarter of the questions are right in one of them only, as in the quickstart."""
    return 98 / math.sqrt(num_test)


def _slices(number: int) -> tuple[str, str, str, int, int, int]:
    """Shares of the file; of a large one a thousand questions each are enough to measure on."""
    if number >= _MANY:
        return f"{WHOLE_FILE}[:-2000]", f"{WHOLE_FILE}[-2000:-1000]", f"{WHOLE_FILE}[-1000:]", number - 2000, 1000, 1000
    first, second = (60, 80) if number < _FEW else (80, 90)
    cuts = f"{WHOLE_FILE}[:{first}%]", f"{WHOLE_FILE}[{first}%:{second}%]", f"{WHOLE_FILE}[{second}%:]"
    to_train, before_test = number * first // 100, number * second // 100
    return *cuts, to_train, before_test - to_train, number - before_test


def _batch_size(num_train: int) -> int:
    """A power of two."""
    low, high = _BATCHES
    return min(max(1 << max(num_train // _STEPS, 1).bit_length() - 1, low), high)


def _max_new_tokens(lengths: "Lengths") -> int:
    """A quarter more than the longest reference, unless that is an outlier; no more than the context leaves."""
    wanted = min(1.25 * lengths.longest, 2 * lengths.usual)
    rounded = 16 * max(math.ceil(wanted / 16), 2)
    return rounded if lengths.context is None else max(min(rounded, lengths.context - lengths.longest_prompt), 1)
