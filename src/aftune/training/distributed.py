"""Training in several processes: which groups each of them takes, and how they exchange gradients.

Processes have different numbers of forward passes, since groups differ in length, so none of these passes exchanges anything. At
the end of an optimizer step each process does one more, over a single token, with a loss that is 0 for every weight: with it,
the gradients that have been summed up are averaged over all processes.
"""

from collections.abc import Iterator, Sized
from typing import Any, cast

import torch
from torch.utils.data import Sampler


class StepBatches(Sampler[list[int]]):
    """The batches of one process of several. Each `num_processes * batch_size` groups of the order are a batch of all processes, of
    which each takes every `num_processes`-th group: no group comes twice, and a process may have none in the last batch."""

    def __init__(self, order: Sampler[int], batch_size: int, num_processes: int = 1, process: int = 0, *, drop_last: bool) -> None:
        self.order = order
        self.size = batch_size * num_processes
        self.num_processes = num_processes
        self.process = process
        self.drop_last = drop_last

    @property
    def batch_sampler(self) -> "StepBatches":
        """Where the Trainer looks for the sampler that is to know the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.order, "set_epoch"):
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        number = len(cast(Sized, self.order))
        return number // self.size if self.drop_last else -(-number // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.order)
        for start in range(0, len(self) * self.size, self.size):
            yield order[start : start + self.size][self.process :: self.num_processes]


def exchange_gradients(model: Any, accelerator: Any) -> None:
    """Averages the gradients that were summed up without an exchange over all processes. model: as accelerate wraps it."""
    ids = torch.zeros((1, 1), dtype=torch.long, device=accelerator.device)
    logits = model(input_ids=ids, use_cache=False).logits
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    accelerator.backward(0.0 * (logits.float().sum() + sum(weight.float().sum() for weight in weights)))
