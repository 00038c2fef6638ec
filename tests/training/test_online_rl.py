"""Batches of online reinforcement learning, worked by hand."""

from collections import Counter

import pytest

from aftune.training.online_rl import Batches, Tally


def test_every_problem_is_asked_equally_often_and_the_last_step_is_shorter() -> None:
    """5 problems, 2 a step, 3 responses to each, twice: steps of 2, 2 and 1 problems in each epoch; 5 x 3 x 2 responses in all."""
    batches = Batches(num_problems=5, batch_size=2, num_responses=3, passes=1, num_epochs=2, seed=0)
    steps = list(batches)
    assert [len(step) for step in steps] == [6, 6, 3, 6, 6, 3]
    assert len(batches) == batches.num_steps == 6
    for epoch in (steps[:3], steps[3:]):
        assert Counter(place for step in epoch for place in step) == dict.fromkeys(range(5), 3)
    assert all(step[place] == step[place + 1] == step[place + 2] for step in steps for place in range(0, len(step), 3))
    assert steps[:3] != steps[3:]  # another order


def test_a_step_in_several_passes_is_given_once_for_each() -> None:
    one, three = (Batches(5, 2, 3, passes, 1, seed=4) for passes in (1, 3))
    assert list(three) == [step for step in one for _ in range(3)]
    assert (len(three), three.num_steps) == (9, 3)


@pytest.mark.parametrize("num_problems", [1, 7, 16, 17])
def test_passes_of_a_step_are_of_equal_size(num_problems: int) -> None:
    """As many passes as responses to a problem: any number of problems can be shared out."""
    assert all(len(step) % 6 == 0 for step in Batches(num_problems, 16, 6, 6, 1, seed=0))


def test_order_follows_from_the_seed() -> None:
    assert list(Batches(9, 2, 2, 1, 1, seed=0)) == list(Batches(9, 2, 2, 1, 1, seed=0)) != list(Batches(9, 2, 2, 1, 1, seed=1))


def test_a_checkpoint_keeps_the_tally() -> None:
    tally = Tally()
    tally.num_responses, tally.num_tokens = 24, 1218
    restored = Tally.from_state(tally.state())
    assert (restored.num_responses, restored.num_tokens) == (24, 1218)
