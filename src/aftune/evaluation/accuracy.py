"""Task accuracy: the share of problems whose greedy response ends in the right answer, and what else these responses show."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from aftune.answers import Reading
from aftune.evaluation.statistics import proportion_interval
from aftune.evaluation.text_quality import text_quality
from aftune.records import JudgedResponse, Problem

# The suffix of metrics by task, which have a value for each task's name.
BY_TASK = "_by_task"
READINGS: tuple[Reading, ...] = ("strict", "flexible")


def accuracy_metrics(problems: Sequence[Problem], responses: Sequence[JudgedResponse]) -> dict[str, Any]:
    """Task accuracy with Wilson's interval, and also by each reading of the answers; the reasons, how the responses are written,
    and accuracy by number of operations and by subject where they are known and by task if there are several. subject_accuracy:
    the mean of the subjects' means."""
    num_right = sum(response.right for response in responses)
    written = text_quality([response.text for response in responses])
    metrics: dict[str, Any] = {
        "accuracy": num_right / len(responses),
        "accuracy_ci95": proportion_interval(num_right, len(responses)),
        "num_problems": len(responses),
        "reasons": dict(sorted(Counter(response.reason for response in responses).items())),
        "num_truncated": sum(response.finish_reason == "length" for response in responses),
        "repetition": written.repetition,
        "mean_words": written.mean_words,
    }
    by_operations = _right_by(problems, responses, lambda problem: problem.metadata.get("num_operations"))
    if by_operations:
        metrics["accuracy_by_num_operations"] = {key: float(np.mean(value)) for key, value in sorted(by_operations.items())}
    by_reading = [response.right_by_reading for response in responses if response.right_by_reading is not None]
    if len(by_reading) == len(responses):
        metrics["accuracy_by_reading"] = {name: float(np.mean([right[name] for right in by_reading])) for name in READINGS}
    by_subject = _right_by(problems, responses, lambda problem: problem.metadata.get("subject"))
    if by_subject:
        metrics["accuracy_by_subject"] = {name: float(np.mean(right)) for name, right in sorted(by_subject.items())}
        metrics["subject_accuracy"] = float(np.mean(list(metrics["accuracy_by_subject"].values())))
    by_task = _right_by(problems, responses, lambda problem: problem.task)
    if len(by_task) > 1:
        tasks = sorted(by_task.items())
        metrics[f"accuracy{BY_TASK}"] = {name: sum(right) / len(right) for name, right in tasks}
        metrics[f"accuracy_ci95{BY_TASK}"] = {name: proportion_interval(sum(right), len(right)) for name, right in tasks}
        metrics[f"num_problems{BY_TASK}"] = {name: len(right) for name, right in tasks}
    return metrics


def _right_by(
    problems: Sequence[Problem], responses: Sequence[JudgedResponse], kind: Callable[[Problem], object]
) -> dict[str, list[bool]]:
    """The verdicts by kind of problem; problems of kind None are left out."""
    found: dict[str, list[bool]] = defaultdict(list)
    for problem, response in zip(problems, responses, strict=True):
        if kind(problem) is not None:
            found[str(kind(problem))].append(response.right)
    return found
