"""Training logs: which epoch was kept."""

from aftune.reporting.curves import Curve, curve, kept_step


def test_the_first_of_equal_epochs_is_kept() -> None:
    assert kept_step(Curve([10, 20, 30], [0.2, 0.5, 0.5])) == 20


def test_a_curve_skips_entries_of_other_kinds() -> None:
    log = [{"loss": 1.0, "step": 1}, {"eval_accuracy": 0.5, "step": 1}, {"loss": 0.5, "step": 2}, {"loss": 9.0}]
    assert curve(log, "sft_loss", "loss") == Curve([1, 2], [1.0, 0.5])
    assert curve(log, "absent") is None
