"""Distributions of the scores of right and wrong held-out candidates, before and after alignment, on the same bins."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aftune.recipe.names import model_names, start_name
from aftune.records import Group, GroupScores
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.reading import AFTER

NUM_BINS = 36
FEWEST = 4  # candidates of a verdict, below which there is no distribution to speak of
CLIPPED_PERCENT = 1.0  # a long tail of very low scores would squeeze everything else

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """`shares`: for each verdict, the share of its candidates in each bin; those below the first edge count in the first bin."""

    model: str
    title: str
    edges: Floats
    shares: dict[str, Floats]
    counts: dict[str, int]
    medians: dict[str, float]


def histograms(data: ReportData) -> tuple[Histogram, Histogram] | None:
    """Before (the model that alignment starts from) and after; None without scores of right or wrong candidates, or with
    too few of both."""
    first, last = model_names([start_name(data.recipe), AFTER], data.recipe)
    if not {first.key, last.key} <= data.scores.keys():
        return None
    before, after = (_by_verdict(data.groups, data.scores[name.key]) for name in (first, last))
    everything = [scores for verdicts in (before, after) for scores in verdicts.values()]
    if not everything:
        return None
    edges = _edges(np.concatenate(everything))
    titles = f"Before: {first.label}", f"After: {last.label}"
    return _histogram(first.key, titles[0], before, edges), _histogram(last.key, titles[1], after, edges)


def _by_verdict(groups: Sequence[Group], scores: Sequence[GroupScores]) -> dict[str, Floats]:
    """Scores of candidates of quality 1 and 0; a verdict with few candidates is left out."""
    found = {"right": array("d"), "wrong": array("d")}
    for group, row in zip(groups, scores, strict=True):
        for value, quality in zip(row.scores, group.qualities, strict=True):
            if quality in (0.0, 1.0):
                found["right" if quality else "wrong"].append(value)
    return {verdict: np.array(values) for verdict, values in found.items() if len(values) >= FEWEST}


def _edges(scores: Floats) -> Floats:
    low, high = float(np.percentile(scores, CLIPPED_PERCENT)), float(scores.max())
    if high - low < 1e-6:
        low, high = low - 0.01, high + 0.01
    return np.linspace(low, high, NUM_BINS + 1)


def _histogram(model: str, title: str, verdicts: dict[str, Floats], edges: Floats) -> Histogram:
    shares = {verdict: np.histogram(scores.clip(min=edges[0]), bins=edges)[0] / len(scores) for verdict, scores in verdicts.items()}
    counts = {verdict: len(scores) for verdict, scores in verdicts.items()}
    return Histogram(model, title, edges, shares, counts, {verdict: float(np.median(s)) for verdict, s in verdicts.items()})
