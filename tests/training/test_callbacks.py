"""What happens beside the steps of training."""

import os
import signal
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from aftune.common import interrupts
from aftune.training import callbacks
from aftune.training.callbacks import TimedCheckpoints


def test_a_checkpoint_after_so_many_minutes_and_by_the_first_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Two minutes: due at 120 s and not before; the next one two minutes after it was saved. Another process may say otherwise."""
    now = [0.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    args, state = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(epoch=0.5)
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
    assert due(TimedCheckpoints(2, agree=lambda mine: (True, False)), 1)
    assert not due(TimedCheckpoints(2, agree=lambda mine: (False, False)), 500)


def test_no_checkpoint_before_an_epoch_is_measured(tmp_path: Any) -> None:
    """After the last step of an epoch the checkpoint is that of the epoch, made after its validation."""
    timed, args = TimedCheckpoints(0), TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    saves = []
    for epoch in (0.5, 1.0, 1.5, 2.0):
        control = TrainerControl()
        timed.on_step_end(args, TrainerState(epoch=epoch), control)
        saves.append(control.should_save)
    assert saves == [True, False, True, False]


def test_a_signal_saves_and_ends_after_the_step(tmp_path: Any) -> None:
    timed, args, state = TimedCheckpoints(1e9), TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(epoch=0.5)
    control = TrainerControl()
    timed.on_step_end(args, state, control)
    assert not control.should_save
    with interrupts.heard(), interrupts.waiting():
        os.kill(os.getpid(), signal.SIGTERM)
        timed.on_step_end(args, state, control)
        assert control.should_save
        with pytest.raises(interrupts.Interrupted) as ended:
            timed.on_save(args, state, control)
    assert ended.value.exit_status == 143
