"""What happens beside the steps of training."""

from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from aftune.training import callbacks
from aftune.training.callbacks import TimedCheckpoints


def test_a_checkpoint_after_so_many_minutes_and_by_the_first_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Two minutes: due at 120 s and not before; the next one two minutes after it was saved. Another process may say otherwise."""
    now = [0.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    args, state = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState()
    timed = TimedCheckpoints(2)

    def due(callback: TimedCheckpoints, seconds: float) -> bool:
        now[0] = seconds
        control = TrainerControl()
        callback.on_step_end(args, state, control)
        if control.should_save:
            callback.on_save(args, state, control)
        return control.should_save

    assert [due(timed, seconds) for seconds in (119, 120, 121, 239, 240.5)] == [False, True, False, False, True]
    now[0] = 0
    assert due(TimedCheckpoints(2, agree=lambda mine: True), 1)
    assert not due(TimedCheckpoints(2, agree=lambda mine: False), 500)
