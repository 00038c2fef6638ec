"""What a training run logs: sums and counts since the last log, so that the way a step is split changes nothing."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor


class PendingMetrics:
    """Losses, which are summed over the passes of a step and averaged over steps, and means over different counts.

    names: everything that can be added; those that end in `_loss` are losses.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._clear()

    def __bool__(self) -> bool:
        return bool(self._steps)

    def begin(self, step: int) -> None:
        """A batch of this optimizer step begins."""
        self._steps.add(step)

    def kept(self) -> Callable[[], None]:
        """A function that takes back what is added from now on."""
        totals, steps = dict(self._totals), set(self._steps)

        def take_back() -> None:
            self._clear()
            self._totals |= totals
            self._steps |= steps

        return take_back

    def add_losses(self, losses: Mapping[str, Tensor]) -> None:
        """Adds what a pass contributes to the losses of its step."""
        for name, value in losses.items():
            self._add(name, value.detach(), torch.zeros_like(value))

    def add_means(self, means: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> None:
        """Adds the means of a pass, with the number that each is a mean over; a mean over nothing is NaN and adds nothing."""
        for name, mean in means.items():
            count = counts[name].to(mean.dtype)
            self._add(name, torch.where(count > 0, mean * count, 0.0), count)

    def take(self, reduce: Callable[[Tensor], Tensor], device: torch.device) -> dict[str, float]:
        """Gives the finite averages and starts anew. `reduce` sums a tensor over all processes; each of them must call this."""
        none = torch.zeros(2, device=device)
        sums_and_counts = torch.stack([self._totals.get(name, none).float() for name in self._names])
        rows = reduce(sums_and_counts).tolist()
        averages = {}
        for name, (total, count) in zip(self._names, rows, strict=True):
            divisor = len(self._steps) if name.endswith("_loss") else count
            average = total / divisor if divisor else float("nan")
            if abs(average) < float("inf"):
                averages[name] = average
        self._clear()
        return averages

    def _add(self, name: str, total: Tensor, count: Tensor) -> None:
        added = torch.stack([total, count])
        self._totals[name] = self._totals[name] + added if name in self._totals else added

    def _clear(self) -> None:
        self._totals: dict[str, Tensor] = {}
        self._steps: set[int] = set()
