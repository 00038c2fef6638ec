"""Counts in sentences."""

import pytest

from aftune.common.wording import counted


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1 epoch"), (1.0, "1 epoch"), (2.5, "2.5 epochs"), (0.5, "0.5 epochs"), (0, "0 epochs"), (1280, "1,280 epochs")],
)
def test_counts_have_a_singular(value: float, text: str) -> None:
    assert counted(value, "epoch") == text
