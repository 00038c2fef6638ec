"""RRHF by hand, and the length normalisation of its official code."""

from dataclasses import replace

import pytest
import torch

from aftune.losses import RrhfLoss
from loss_judge import DOUBLE, LENGTH, gradient, inputs_of

SCORES = torch.tensor([[-0.3, -0.5, -0.4, -0.9]], dtype=DOUBLE)
QUALITIES = [[1, 1, 0, 0]]


def test_hand_worked_example() -> None:
    """Better -0.3, -0.5, worse -0.4, -0.9. Only the pair (-0.5, -0.4) is out of order, by 0.1: L = 0.1, slopes -1 and +1.

    With beta = 0.2, B = -0.7: -0.9 lies 0.2 below it, once for each of two pairs: L = 0.1 + 0.4, slope -2.
    """
    none, boundary = RrhfLoss("none"), RrhfLoss("boundary", 0.2)
    assert none(inputs_of(SCORES, QUALITIES)).losses_P.tolist() == pytest.approx([0.1], abs=1e-12)
    assert gradient(none, SCORES, QUALITIES).tolist() == [[0, -1, 1, 0]]
    assert boundary(inputs_of(SCORES, QUALITIES)).losses_P.tolist() == pytest.approx([0.5], abs=1e-12)
    assert gradient(boundary, SCORES, QUALITIES).tolist() == [[0, -1, 1, -2]]


def test_hand_worked_ranking_example() -> None:
    """s = -0.2, -0.5, -0.4 from best to worst: (2, 3) is out of order by 0.1. With beta = 0.1, B_2 = -0.3: 0.2 for the second,
    and B_3 = -0.6, above which the third is: L = 0.3; the second gets -1 from its order and -1 from its boundary."""
    scores, qualities = torch.tensor([[-0.2, -0.5, -0.4]], dtype=DOUBLE), [[5, 2, -1]]
    loss = RrhfLoss("boundary", 0.1)
    assert loss(inputs_of(scores, qualities)).losses_P.tolist() == pytest.approx([0.3], abs=1e-12)
    assert gradient(loss, scores, qualities).tolist() == [[0, -2, 1]]


def test_push_on_a_worse_candidate_in_steps() -> None:
    """Better -0.25 and -0.5, beta = 0.25, B = -0.75. The push is the number of better candidates that it outscores, 0 from -0.5
    down to B, both included, and minus the number of better ones below B. A tie is no violation: the hinge is flat there."""
    loss = RrhfLoss("boundary", 0.25)

    def push(worse: float) -> float:
        return gradient(loss, torch.tensor([[-0.25, -0.5, worse]], dtype=DOUBLE), [[1, 1, 0]])[0, 2].item()

    steps = {-0.125: 2, -0.25: 1, -0.375: 1, -0.5: 0, -0.625: 0, -0.75: 0, -0.75 - 1e-9: -2, -5.0: -2}
    assert {score: push(score) for score in steps} == steps


def test_without_detaching_the_boundary_the_worst_better_one_is_pushed_down() -> None:
    """Both pairs of -0.9 then pull B, that is -0.5, down: slope -1 + 2."""
    assert gradient(RrhfLoss("boundary", 0.2, False), SCORES, QUALITIES).tolist() == [[0, 1, 1, -2]]


def test_extreme_scores() -> None:
    """0 - (-1e4) out of order, or 1e4 - 0.15 below the boundary."""
    assert RrhfLoss()(inputs_of([[-1e4, 0.0]], [[1, 0]])).losses_P.item() == 1e4
    assert RrhfLoss(beta=0.15)(inputs_of([[0.0, -1e4]], [[1, 0]])).losses_P.item() == pytest.approx(1e4 - 0.15, rel=1e-12)


def test_padded_length_normalisation_divides_sums_by_the_row_of_the_group() -> None:
    """Sums are 8 times the scores. Rows of 16 and 32 tokens: scores halved and quartered, and so are the hinges, 0.1 each."""
    scores, qualities = [[-0.5, -0.4], [-0.3, -0.2]], [[1, 0], [1, 0]]
    inputs = inputs_of(scores, qualities, padded_lengths=[2 * LENGTH, 4 * LENGTH])
    loss = RrhfLoss("none", length_normalisation="padded")
    assert loss(inputs).losses_P.tolist() == pytest.approx([0.05, 0.025], abs=1e-12)
    assert RrhfLoss("none")(inputs).losses_P.tolist() == pytest.approx([0.1, 0.1], abs=1e-12)


def test_padded_scores_have_their_own_boundary() -> None:
    """-0.4 and -1.2 over 16 tokens are -0.2 and -0.6; B = -0.2 - 0.3 = -0.5, 0.1 above the worse one. Over 8 it is 0.5 above."""
    inputs = inputs_of([[-0.4, -1.2]], [[1, 0]], padded_lengths=[2 * LENGTH])
    outputs = RrhfLoss("boundary", 0.3, length_normalisation="padded")(inputs)
    assert outputs.losses_P.tolist() == pytest.approx([0.1], abs=1e-12)
    assert outputs.metrics["below_boundary"] == 1
    assert outputs.metrics["score_worse"].item() == pytest.approx(-1.2)
    assert RrhfLoss("boundary", 0.5, length_normalisation="padded")(inputs).metrics["below_boundary"] == 0
    assert RrhfLoss("boundary", 0.5)(inputs).metrics["below_boundary"] == 1


def test_official_code_ranks_long_and_short_responses_by_their_sums() -> None:
    """2 tokens of -1 against 10 of -0.5: sums -2 and -5, so that the better one counts as in order though its score is lower."""
    inputs = inputs_of([[-1.0, -0.5]], [[1, 0]], padded_lengths=[20])
    inputs = replace(inputs, logprob_sums=inputs.scores * torch.tensor([[2, 10]]))
    assert RrhfLoss("none")(inputs).losses_P.item() == 0.5
    assert RrhfLoss("none", length_normalisation="padded")(inputs).losses_P.item() == 0.0


def test_padded_without_lengths_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no padded_lengths: give the number of tokens in each group's prompt"):
        RrhfLoss(length_normalisation="padded")(inputs_of(SCORES, QUALITIES))
    with pytest.raises(ValueError, match="length_normalisation is 'mean', expected response or padded"):
        RrhfLoss(length_normalisation="mean")  # type: ignore[arg-type]


def test_an_empty_group_may_have_no_padded_length() -> None:
    inputs = inputs_of([[-0.5, -0.4], []], [[1, 0], []], padded_lengths=[8, 0])
    assert RrhfLoss("none", length_normalisation="padded")(inputs).losses_P.tolist() == pytest.approx([0.1, 0.0])
