"""Which epoch is the best: accuracy first, then the lower loss."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.evaluation.best_epoch import accuracy_then_loss
from aftune.evaluation.reference_loss import reference_loss
from aftune.prompts.encoding import EncodedGroup
from aftune.scoring import group_logprobs

EPOCH = st.tuples(st.integers(0, 7), st.integers(0, 2000).map(lambda n: n / 100))


@given(EPOCH, EPOCH)
def test_one_number_orders_as_the_two_do(one: tuple[int, float], other: tuple[int, float]) -> None:
    first, second = (accuracy_then_loss(right / 7, loss, 7) for right, loss in (one, other))
    wanted = (one[0], -one[1]) > (other[0], -other[1])
    assert (first > second) is wanted


def test_without_a_loss_accuracy_alone_counts() -> None:
    assert accuracy_then_loss(0.5, None, 10) == accuracy_then_loss(0.5, math.nan, 10) == 0.5
    assert accuracy_then_loss(0.5, math.inf, 10) == 0.5 < accuracy_then_loss(0.5, 3.0, 10) < accuracy_then_loss(0.6, 9.0, 10)


def test_the_loss_is_the_mean_over_all_tokens(llama: Any) -> None:
    groups = [EncodedGroup(str(n), [1, 5], [[7] * n], [True], [None]) for n in (1, 4, 9)]
    nats = sum(sum(group.sums) for group in group_logprobs(llama, groups))
    assert reference_loss(group_logprobs(llama, iter(groups))) == pytest.approx(-nats / 14)
    assert reference_loss(group_logprobs(llama, [])) is None
