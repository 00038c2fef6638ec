"""Errors of other packages in one line."""

from aftune.common.diagnosis import diagnose


def test_a_tracker_that_refuses_is_no_bug_of_ours() -> None:
    """An error of wandb's class, whose own words say what to do."""
    refused = type("UsageError", (Exception,), {"__module__": "wandb.errors.errors"})
    assert str(diagnose(refused("No API key configured.\nUse `wandb login` to log in."))) == (
        "wandb: No API key configured. Use `wandb login` to log in. (track.report_to names it: do what it says, or leave it out)"
    )
    assert str(diagnose(ValueError("x"))) == "ValueError: x; this looks like a bug in aftune; run again with --debug to see where"
