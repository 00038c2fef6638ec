"""Assessment accuracy of one problem."""

from typing import Any

import pytest

from aftune.evaluation.assessment import assessment_accuracy


@pytest.mark.parametrize(
    ("scores", "qualities", "expected"),
    [
        ([-0.1, -0.2], [1, 0], 1.0),
        ([-0.2, -0.1], [1, 0], 0.0),
        ([-0.1, -0.1], [1, 0], 0.0),  # a tie is no right order
        ([-0.1, -0.3, -0.2, -0.4], [1, 1, 0, 0], 0.75),  # wrong: -0.3 against -0.2
        ([-0.1, -0.2, -0.3], [3, 2, 1], 1.0),
        ([-0.2, -0.1, -0.3], [3, 2, 1], 2 / 3),  # wrong: the first pair
        ([-0.3, -0.1, -0.2], [0.5, 0.5, 0.1], 0.5),  # equal qualities are no pair
        ([-0.1, -0.2], [1, 1], None),
        ([-0.1], [0], None),
        ([], [], None),
    ],
)
def test_share_of_pairs(scores: list[float], qualities: list[float], expected: Any) -> None:
    assert assessment_accuracy(scores, qualities) == expected
