"""Looking at a file of questions: what is read from it, what is not, and how long its texts are."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune import tasks
from aftune.common.errors import DataError
from aftune.common.wording import cut_short
from aftune.models.loading import context_length, load_config, load_tokenizer
from aftune.records import Problem
from aftune.tasks import Task
from aftune.tasks.checks import beginning
from aftune.tasks.columns import Columns
from aftune.tasks.jsonl import WHOLE_FILE

_MEASURED = 2000  # problems whose lengths are taken, evenly spread over the file
_CHATS = re.compile(r"instruct|chat|-it\b", re.IGNORECASE)  # in the name of a model that is not here
_CHARACTERS_PER_TOKEN = 3.0  # fewer than most tokenizers take, so that limits are not too low


@dataclass(frozen=True)
class Looked:
    """The problems of a file, the message of each row that is none, and that of each rationale which contradicts its answer."""

    problems: list[Problem]
    bad: list[str]
    contradictions: list[str]


@dataclass(frozen=True)
class Lengths:
    """In tokens: the prompts, and the references (the most, and what 95 of 100 do not exceed). context: the model's, None where the
    model is not here, and `exact` is then False; too_long: how many of those looked at exceed it; chat: whether the model has a
    chat template, or is called so."""

    longest_prompt: int
    longest: int
    usual: int
    context: int | None
    too_long: int
    exact: bool
    chat: bool


def look(path: Path, columns: Columns) -> Looked:
    """Reads the whole file. Raises DataError where no row can be read as a question, with the reason of the first."""
    task = task_of(path, columns)
    problems: list[Problem] = []
    bad: list[str] = []
    for entry in task.survey(WHOLE_FILE):
        if isinstance(entry, Problem):
            problems.append(entry)
        elif isinstance(entry, DataError):
            bad.append(str(entry))
    if not problems:
        raise DataError(
            f"{path}: no row can be read as a question; the first: {cut_short(bad[0], 400)}" if bad else f"{path}: no rows"
        )
    against = ((problem, task.contradiction(problem)) for problem in problems)
    contradictions = [f"“{beginning(problem)}”: {reason}" for problem, reason in against if reason]
    return Looked(problems, bad, contradictions)


def task_of(path: Path, columns: Columns) -> Task:
    return tasks.build("jsonl", path, options=columns.task_options())


def measure(task: Task, problems: Sequence[Problem], model: str) -> Lengths:
    """The lengths of prompts and references, by the model's tokenizer where that is here, else by their characters."""
    chosen = problems[:: math.ceil(len(problems) / _MEASURED)]
    config = load_config(model)
    tokenizer: Any = None if config is None else load_tokenizer(model)

    def count(text: str) -> int:
        return math.ceil(len(text) / _CHARACTERS_PER_TOKEN) if tokenizer is None else len(tokenizer(text)["input_ids"])

    pairs = [(count(task.prompt(problem)), count(task.reference_response(problem) or "")) for problem in chosen]
    context = None if config is None else context_length(config)
    fitting = [pair for pair in pairs if context is None or sum(pair) < context]
    responses = sorted(response for _, response in fitting or pairs)
    return Lengths(
        longest_prompt=max(prompt for prompt, _ in fitting or pairs),
        longest=responses[-1],
        usual=responses[math.ceil(0.95 * len(responses)) - 1],
        context=context,
        too_long=len(pairs) - len(fitting),
        exact=tokenizer is not None,
        chat=bool(tokenizer.chat_template) if tokenizer is not None else _CHATS.search(model) is not None,
    )
