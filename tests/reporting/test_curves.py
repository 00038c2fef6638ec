"""Training logs: which epoch was kept, and the warnings."""

from dataclasses import replace

import pytest

from aftune.reporting import ReportData
from aftune.reporting.curves import Curve, curve, kept_step, warnings


def aligned(data: ReportData, better: list[float], worse: list[float]) -> ReportData:
    log = [{"score_better": b, "score_worse": w, "step": i} for i, (b, w) in enumerate(zip(better, worse, strict=True))]
    return replace(data, logs={**data.logs, "align": log})


def test_no_warning_for_a_healthy_run(data: ReportData) -> None:
    assert warnings(data) == []


@pytest.mark.parametrize(
    ("better_end", "worse_end", "warned"), [(-0.2, -0.3, True), (-0.05, -0.3, False), (-0.2, -0.05, False), (-0.1, -0.1, False)]
)
def test_both_scores_must_fall(data: ReportData, better_end: float, worse_end: float, warned: bool) -> None:
    found = warnings(aligned(data, [-0.1] * 18 + [better_end] * 2, [-0.1] * 18 + [worse_end] * 2))
    assert bool(found) is warned
    if warned:
        assert "−0.1000 to −0.2000" in found[0]
        assert "−0.1000 to −0.3000" in found[0]


def test_tenths_are_compared_not_single_entries(data: ReportData) -> None:
    """One bad last entry among twenty is outweighed by its neighbour in the last tenth."""
    assert warnings(aligned(data, [-0.1] * 18 + [0.0, -0.15], [-0.1] * 18 + [0.0, -0.15])) == []


def test_best_last_epoch_is_a_warning(data: ReportData) -> None:
    rising = [{"eval_accuracy": value, "step": step} for step, value in enumerate((0.1, 0.2, 0.3))]
    assert "plateau" in warnings(replace(data, logs={"sft": rising}))[0]
    assert warnings(replace(data, logs={"sft": [*rising, {"eval_accuracy": 0.3, "step": 9}]})) == []


def test_the_first_of_equal_epochs_is_kept() -> None:
    assert kept_step(Curve([10, 20, 30], [0.2, 0.5, 0.5])) == 20


def test_a_curve_skips_entries_of_other_kinds() -> None:
    log = [{"loss": 1.0, "step": 1}, {"eval_accuracy": 0.5, "step": 1}, {"loss": 0.5, "step": 2}, {"loss": 9.0}]
    assert curve(log, "sft_loss", "loss") == Curve([1, 2], [1.0, 0.5])
    assert curve(log, "absent") is None
