"""Training logs as series over optimizer steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

LogEntry = Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """Values of one quantity at optimizer steps."""

    steps: list[float]
    values: list[float]


def curve(log: Sequence[LogEntry], *keys: str) -> Curve | None:
    """The curve of the first of `keys` that the log has; None if it has none of them."""
    for key in keys:
        entries = [entry for entry in log if key in entry and "step" in entry]
        if entries:
            return Curve([entry["step"] for entry in entries], [entry[key] for entry in entries])
    return None


def curves(log: Sequence[LogEntry], labels: Mapping[str, str]) -> dict[str, Curve]:
    """The curves that the log has, by label; `labels` maps its keys to labels."""
    found = {label: curve(log, key) for key, label in labels.items()}
    return {label: value for label, value in found.items() if value is not None}


def mean_curve(curves: Sequence[Curve]) -> Curve | None:
    """The mean of curves over the steps that all of them cover, each interpolated linearly between its own steps; None if they
    share no steps, or if there are no curves."""
    if not curves:
        return None
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    steps = sorted({step for curve in curves for step in curve.steps if first <= step <= last})
    if not steps:
        return None
    values = np.mean([np.interp(steps, curve.steps, curve.values) for curve in curves], axis=0)
    return Curve(steps, [float(value) for value in values])


def kept_step(choice: Curve) -> float:
    """The step whose weights were kept: the first with the highest value of the criterion, `choice`."""
    return choice.steps[choice.values.index(max(choice.values))]


def ends(values: Curve) -> tuple[float, float]:
    """Means of the first and the last tenth: single steps are noisy."""
    tenth = max(len(values.values) // 10, 1)
    return fmean(values.values[:tenth]), fmean(values.values[-tenth:])
