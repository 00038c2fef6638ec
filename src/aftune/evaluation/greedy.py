"""Greedy responses, and the verdict on each."""

from collections.abc import Sequence
from typing import Literal

from aftune.answers import Reading
from aftune.common.progress import progress_bar
from aftune.evaluation.accuracy import READINGS
from aftune.prompts.prompter import Prompter
from aftune.records import JudgedResponse, Problem
from aftune.sampling import Engine, Request, SamplingSettings
from aftune.tasks import Task


def greedy_right(
    engine: Engine, prompter: Prompter, task: Task, problems: Sequence[Problem], settings: SamplingSettings, title: str
) -> list[bool]:
    """Whether the greedy response to each problem is right (strict reading), for use during training; nothing is written. title: of
    the progress bar."""
    requests = [Request(prompter(problem), name=problem.id) for problem in problems]
    order = sorted(range(len(problems)), key=lambda index: -len(requests[index].prompt))
    right = [False] * len(problems)
    with progress_bar(title, len(problems), "problems") as update:
        for number, (position, completion) in enumerate(engine.complete([requests[index] for index in order], settings), 1):
            index = order[position]
            right[index] = bool(task.verdict(problems[index], completion.text).quality)
            update(number)
    return right


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
