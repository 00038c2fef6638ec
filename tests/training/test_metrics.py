"""Sums and counts between two logs."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from aftune.training.metrics import PendingMetrics

CPU = torch.device("cpu")


def alone(totals: Tensor) -> Tensor:
    return totals


def made(steps: Sequence[int], losses: Sequence[float], means: Sequence[tuple[float, int]]) -> PendingMetrics:
    pending = PendingMetrics(["a_loss", "share"])
    for step in steps:
        pending.begin(step)
    for loss in losses:
        pending.add_losses({"a_loss": torch.tensor(loss)})
    for mean, count in means:
        pending.add_means({"share": torch.tensor(mean)}, {"share": torch.tensor(count)})
    return pending


def test_losses_are_summed_over_a_step_and_means_weighted_by_their_counts() -> None:
    """Two steps, three passes: (1 + 2 + 6) / 2 = 4.5. One of four and five of five, and nothing: 6 / 9."""
    pending = made([7, 7, 8], [1.0, 2.0, 6.0], [(0.25, 4), (1.0, 5), (math.nan, 0)])
    assert pending
    assert pending.take(alone, CPU) == pytest.approx({"a_loss": 4.5, "share": 6 / 9})


def test_taking_begins_anew() -> None:
    pending = made([7], [1.0], [(0.25, 4)])
    pending.take(alone, CPU)
    assert not pending
    pending.begin(8)
    pending.add_losses({"a_loss": torch.tensor(3.0)})
    assert pending.take(alone, CPU) == {"a_loss": 3.0}


def test_what_has_no_finite_average_is_left_out() -> None:
    assert made([1], [math.inf], [(math.nan, 0)]).take(alone, CPU) == {}
    assert made([1], [math.nan], [(math.nan, 3)]).take(alone, CPU) == {}


def test_processes_are_added_up() -> None:
    """Another process with 2.5 of the loss and a mean of 0 over 10; one that had no pass at all takes part with zeros."""
    totals = torch.tensor([[2.5, 0.0], [0.0, 10.0]])
    pending = made([1], [1.0], [(0.5, 10)])
    assert pending.take(lambda ours: ours + totals, CPU) == pytest.approx({"a_loss": 3.5, "share": 0.25})
    pending = made([1], [], [])
    assert pending.take(lambda ours: ours + totals, CPU) == {"a_loss": 2.5, "share": 0.0}


def test_losses_carry_no_graph() -> None:
    pending = PendingMetrics(["a_loss"])
    pending.begin(0)
    leaf = torch.tensor(2.0, requires_grad=True)
    pending.add_losses({"a_loss": leaf * 3})
    assert pending.take(lambda ours: ours if not ours.requires_grad else pytest.fail("a graph is held"), CPU) == {"a_loss": 6.0}
