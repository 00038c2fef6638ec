"""Choosing the boundary's beta from the groups. The paper leaves it open; this is our derivation.

beta says how far below the worst better candidate a worse one may fall. Before alignment, that distance is known for every
worse candidate; a quantile of it asks the worse candidates to end up where the model already puts the clearest ones of them.
"""

from collections.abc import Iterable

import numpy as np

from aftune.errors import DataError
from aftune.records import Group, GroupLogprobs


def gaps(qualities: list[float], scores: list[float]) -> list[float]:
    """For each worse candidate: the lowest score among those better than it, minus its own score; nats per token."""
    return [
        min(scores[i] for i in better) - scores[j]
        for j in range(len(scores))
        if (better := [i for i in range(len(scores)) if qualities[i] > qualities[j]])
    ]


def auto_beta(groups: Iterable[Group], logprobs: Iterable[GroupLogprobs], quantile: float) -> float:
    """The quantile of the gaps that are positive, under the model that training starts from.

    Where a worse candidate has the higher score there is no distance to learn from. Raises DataError where no gap is positive.
    """
    found: list[float] = []
    for group, item in zip(groups, logprobs, strict=True):
        scores = [total / length for total, length in zip(item.sums, item.lengths, strict=True)]
        qualities = group.qualities
        if len(scores) > len(qualities):  # the reference comes first
            qualities = [max([1.0, *qualities]), *qualities]
        found += [gap for gap in gaps(qualities, scores) if gap > 0]
    if not found:
        raise DataError("align.beta: auto needs candidates that score below better ones, and there are none; give a number")
    return float(np.quantile(found, quantile))
