"""Counts of one are singular, in whatever form the number comes."""

import pytest

from aftune.pipeline.counts import counted


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0 epochs"), (1, "1 epoch"), (1.0, "1 epoch"), (2.5, "2.5 epochs"), (1200, "1,200 epochs"), (0.5, "0.5 epochs")],
)
def test_counts(number: float, expected: str) -> None:
    assert counted(number, "epoch") == expected
