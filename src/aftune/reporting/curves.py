"""Training logs as series over optimizer steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from aftune.reporting.data import LogEntry, ReportData
from aftune.reporting.formatting import score


@dataclass(frozen=True)
class Curve:
    """Values of one quantity at optimizer steps."""

    steps: list[float]
    values: list[float]


def curve(log: Sequence[LogEntry], *keys: str) -> Curve | None:
    """The first of `keys` that the log knows; None where it knows none of them."""
    for key in keys:
        entries = [entry for entry in log if key in entry and "step" in entry]
        if entries:
            return Curve([entry["step"] for entry in entries], [entry[key] for entry in entries])
    return None


def curves(log: Sequence[LogEntry], labels: Mapping[str, str]) -> dict[str, Curve]:
    """The curves that there are, by label; `labels` maps keys of the log to them."""
    found = {label: curve(log, key) for key, label in labels.items()}
    return {label: value for label, value in found.items() if value is not None}


def mean_curve(curves: Sequence[Curve]) -> Curve | None:
    """The mean of curves over the steps that all of them reach, with straight lines between their own steps; None where they
    have no steps in common, or there are none."""
    if not curves:
        return None
    first, last = max(curve.steps[0] for curve in curves), min(curve.steps[-1] for curve in curves)
    steps = sorted({step for curve in curves for step in curve.steps if first <= step <= last})
    if not steps:
        return None
    values = np.mean([np.interp(steps, curve.steps, curve.values) for curve in curves], axis=0)
    return Curve(steps, [float(value) for value in values])


def kept_step(accuracy: Curve) -> float:
    """The step whose weights were kept: the first with the best validation accuracy."""
    return accuracy.steps[accuracy.values.index(max(accuracy.values))]


def warnings(data: ReportData) -> list[str]:
    """What a reader of the curves must not miss."""
    found = [_plateau(data.logs.get("sft", ())), _falling_scores(data.logs.get("align", ()))]
    return [text for text in found if text]


def _plateau(log: Sequence[LogEntry]) -> str | None:
    accuracy = curve(log, "eval_accuracy")
    if accuracy is None or len(accuracy.steps) < 2 or kept_step(accuracy) != accuracy.steps[-1]:
        return None
    return (
        "The last epoch of VFT is its best on validation: VFT may not have reached its plateau, and a gain over it may come "
        "from longer training alone. Raise sft.num_epochs."
    )


def _falling_scores(log: Sequence[LogEntry]) -> str | None:
    """Both scores falling is how an alignment without a working constraint starts to ruin a model (AFT, section 3)."""
    better, worse = curve(log, "score_better"), curve(log, "score_worse")
    if better is None or worse is None or min(len(better.values), len(worse.values)) < 2:
        return None
    (better_first, better_last), (worse_first, worse_last) = ends(better), ends(worse)
    if better_last >= better_first or worse_last >= worse_first:
        return None
    moved = [f"{score(first)} to {score(last)}" for first, last in (ends(better), ends(worse))]
    return (
        f"Both scores fell between the first and the last tenth of the alignment: better candidates from {moved[0]}, worse ones "
        f"from {moved[1]} nats per token. The model loses likelihood on good responses too. Try a smaller align.learning_rate "
        "or align.alignment_weight, or another align.constraint or align.beta."
    )


def ends(values: Curve) -> tuple[float, float]:
    """Means of the first and the last tenth: single steps are noisy."""
    tenth = max(len(values.values) // 10, 1)
    return fmean(values.values[:tenth]), fmean(values.values[-tenth:])
