"""The learning rate of the first steps.

transformers' schedules begin a warm-up at 0: the first step changes nothing, and a run of three steps loses one. Here, step i of
w warm-up steps (counted from 0) has the share (i + 1) / (w + 1) of the learning rate; from step w on, it is the same as theirs.
"""

from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import LambdaLR


def warm_from_the_first_step(schedule: Any, num_warmup: int) -> Any:
    """The schedule with a warm-up that starts above 0; one without a warm-up (constant, or following a metric) is unchanged."""
    if not num_warmup or not isinstance(schedule, LambdaLR):
        return schedule
    return LambdaLR(schedule.optimizer, [_shifted(factor, num_warmup) for factor in schedule.lr_lambdas])


def _shifted(factor: Callable[[Any], float], num_warmup: int) -> Callable[[int], float]:
    def shifted(step: int) -> float:
        return factor((step + 1) * num_warmup / (num_warmup + 1) if step < num_warmup else step)

    return shifted
