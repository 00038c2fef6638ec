"""What training takes: tokens per second, and memory."""

import resource
import sys
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class StepResources(TrainerCallback):
    """Tokens per second of the optimizer steps since `take`, with the loading of their batches; what happens between steps
    (evaluation, checkpoints) does not count. And the peak of memory."""

    def __init__(self) -> None:
        self._tokens, self._seconds, self._began = 0, 0.0, 0.0

    def begin(self) -> None:
        """A step begins: its batches are about to be loaded."""
        self._began = time.perf_counter()

    def add(self, num_tokens: int) -> None:
        self._tokens += num_tokens

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if args.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(args.device)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._seconds += time.perf_counter() - self._began

    def take(self, device: torch.device) -> tuple[float, float]:
        """Tokens per second, which are counted anew from here, and bytes of memory: the most that tensors took on the GPU since
        training began, or else the most that this process ever took."""
        speed = self._tokens / self._seconds
        self._tokens, self._seconds = 0, 0.0
        return speed, _peak_memory(device)


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)
