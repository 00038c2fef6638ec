"""What happens beside the steps of training: a progress bar, and checkpoints by the clock."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from aftune.common import checksums, interrupts
from aftune.common.progress import console, progress_bar


class RichProgressCallback(TrainerCallback):
    """Shows optimizer steps, rate and time left until training ends or `close` is called, which whoever trains does: the trainer
    says nothing where an error or a signal ends it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._stack = ExitStack()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            bar = progress_bar(self.title, state.max_steps, "steps", state.global_step)
            self._update = self._stack.enter_context(bar)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._update(state.global_step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()


class TimedCheckpoints(TrainerCallback):
    """Saves a checkpoint after the step in which so many minutes have passed since the last one, and after the step in which a
    signal asked the process to end; then it raises Interrupted.

    agree: gives every process the first one's answer, since their clocks differ; each calls it after each step.
    """

    def __init__(self, minutes: float, agree: Callable[[Any], Any] = lambda answer: answer) -> None:
        self.seconds = 60 * minutes
        self.agree = agree
        self._saved = time.monotonic()
        self._ending = False

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        due, self._ending = self.agree((time.monotonic() - self._saved >= self.seconds, interrupts.asked()))
        if self._ending and state.is_world_process_zero:
            console.print("  stopping, once this state of training is saved")
        # After the last step of an epoch the model is measured first: a checkpoint without that would never make up for it.
        if (due or self._ending) and state.epoch != int(state.epoch or 0):
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Checksums make it a whole one: all processes have written what is theirs."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            checksums.write_list(Path(str(args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")
        self._saved = time.monotonic()
        if self._ending:
            PartialState().wait_for_everyone()
            interrupts.end()
