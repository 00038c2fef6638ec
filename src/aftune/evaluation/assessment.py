"""Assessment accuracy (A-Acc): does the model score better candidates above worse ones?"""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from aftune.common.errors import UsageError
from aftune.evaluation.accuracy import BY_TASK
from aftune.evaluation.statistics import share_interval
from aftune.records import Group, GroupScores


def assessment_accuracy(scores: Sequence[float], qualities: Sequence[float]) -> float | None:
    """Share of pairs (i better than j) of one problem with s_i > s_j; None if there is no pair (AFT, section 2).

    Equal scores are not in order: a model that scores all alike has 0, not one half. Equal qualities make no pair. With more
    than two qualities this works for rankings: every ordered pair counts once. Averaging over problems, each with equal
    weight, is our derivation. Raises UsageError unless there is one quality for each score.
    """
    if len(scores) != len(qualities):
        raise UsageError(f"{len(scores)} scores but {len(qualities)} qualities; give one of each for every candidate")
    pairs = [(i, j) for i in range(len(scores)) for j in range(len(scores)) if qualities[i] > qualities[j]]
    return sum(scores[i] > scores[j] for i, j in pairs) / len(pairs) if pairs else None


def assessment_metrics(groups: Sequence[Group], scores: Sequence[GroupScores]) -> dict[str, Any]:
    """Assessment accuracy with a bootstrap interval, also by task if there are several, and mean scores of right and wrong
    candidates of the mixed groups."""
    shares, right, wrong = array("d"), array("d"), array("d")
    by_task: dict[str, array[float]] = {}
    for group, row in zip(groups, scores, strict=True):
        share = assessment_accuracy(row.scores, group.qualities)
        of_task = by_task.setdefault(group.problem.task, array("d"))
        if share is not None:
            shares.append(share)
            of_task.append(share)
            top = max(group.qualities)
            right.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality == top)
            wrong.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality < top)
    metrics: dict[str, Any] = {
        "assessment_accuracy": float(np.mean(shares)) if shares else None,
        "assessment_accuracy_ci95": share_interval(shares) if shares else None,
        "num_assessed_problems": len(shares),
        "score_right": float(np.mean(right)) if right else None,
        "score_wrong": float(np.mean(wrong)) if wrong else None,
    }
    if len(by_task) > 1:
        tasks = sorted(by_task.items())
        metrics[f"assessment_accuracy{BY_TASK}"] = {name: float(np.mean(own)) if own else None for name, own in tasks}
        metrics[f"assessment_accuracy_ci95{BY_TASK}"] = {name: share_interval(own) if own else None for name, own in tasks}
        metrics[f"num_assessed_problems{BY_TASK}"] = {name: len(own) for name, own in tasks}
    return metrics
