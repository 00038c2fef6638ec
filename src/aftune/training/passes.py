"""How a batch is split into passes: by the token budget, and by smaller ones once that has turned out to be too large."""

import warnings
from collections.abc import Callable

from accelerate.utils.memory import should_reduce_batch_size

from aftune.scoring import Batch


class Passes:
    """split: makes a batch of groups for a token budget."""

    def __init__(self, split: Callable[..., Batch], token_budget: int) -> None:
        self.split = split
        self.asked = self.token_budget = token_budget

    def fitting(self, batch: Batch) -> Batch:
        """A batch that was split by the budget asked for, by the one that has turned out to fit."""
        return batch if self.token_budget == self.asked else self.split(batch["groups"], token_budget=self.token_budget)

    def smaller(self, batch: Batch, error: RuntimeError) -> Batch:
        """The batch in smaller passes, for an error that says that memory is short; raises it where there are no smaller ones."""
        if not should_reduce_batch_size(error):
            raise error
        sizes = _sizes(batch)
        self.token_budget = min(self.token_budget, max(map(sum, sizes))) // 2
        made = self.fitting(batch)
        if _sizes(made) == sizes:
            raise error
        warnings.warn(
            f"out of memory with token_budget={self.asked}: going on with passes of {self.token_budget} tokens, which is slower; "
            "set token_budget to that",
            stacklevel=2,
        )
        return made


def _sizes(batch: Batch) -> list[list[int]]:
    """Tokens of the rows of each pass."""
    return [[row["num_tokens"] for row in part["rows"]] for part in batch["passes"]]
