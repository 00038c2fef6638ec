"""Task accuracy: the share of problems whose greedy response ends in the right answer."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from transformers import PreTrainedModel

from aftune.answers import Reading
from aftune.evaluation.statistics import proportion_interval
from aftune.evaluation.text_quality import text_quality
from aftune.prompts.prompter import Prompter
from aftune.records import JudgedResponse, Problem
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.tasks import Task

# The suffix of metrics by task, which have a value for each task's name.
BY_TASK = "_by_task"
READINGS: tuple[Reading, ...] = ("strict", "flexible")


def greedy_accuracy(
    model: PreTrainedModel,
    prompter: Prompter,
    task: Task,
    problems: Sequence[Problem],
    settings: SamplingSettings,
    batch_size: int,
) -> float:
    """Share of right greedy responses (strict reading), for use during training; nothing is written."""
    engine = TransformersEngine(model, prompter.tokenizer, batch_size)
    requests = [Request(prompter(problem), name=problem.id) for problem in problems]
    order = sorted(range(len(problems)), key=lambda index: -len(requests[index].prompt))
    num_right = 0
    for position, completion in engine.complete([requests[index] for index in order], settings):
        num_right += int(task.verdict(problems[order[position]], completion.text).quality)
    return num_right / len(problems)


def judge_response(
    task: Task, problem: Problem, text: str, finish_reason: Literal["stop", "length"], reading: Reading
) -> JudgedResponse:
    """The verdict on a response to a problem, by each reading; `reading` is the one that counts."""
    read = {name: task.verdict(problem, text, name) for name in READINGS}
    return JudgedResponse(
        problem_id=problem.id,
        text=text,
        answer=read[reading].answer,
        right=bool(read[reading].quality),
        reason=read[reading].reason,
        finish_reason=finish_reason,
        answer_by_reading={name: found.answer for name, found in read.items()},
        right_by_reading={name: bool(found.quality) for name, found in read.items()},
    )


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
