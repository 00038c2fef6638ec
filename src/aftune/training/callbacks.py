"""The progress bar of training."""

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from aftune.common.progress import progress_bar


class RichProgressCallback(TrainerCallback):
    """Shows optimizer steps, rate and time left."""

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
        self._stack.close()
