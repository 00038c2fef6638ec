"""Greedy responses: the verdict on each, and the share that is right."""

from collections.abc import Sequence
from typing import Literal

from aftune.answers import Reading
from aftune.evaluation.accuracy import READINGS
from aftune.prompts.prompter import Prompter
from aftune.records import JudgedResponse, Problem
from aftune.sampling import Engine, Request, SamplingSettings
from aftune.tasks import Task


def greedy_accuracy(
    engine: Engine, prompter: Prompter, task: Task, problems: Sequence[Problem], settings: SamplingSettings
) -> float:
    """Share of right greedy responses (strict reading), for use during training; nothing is written."""
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
