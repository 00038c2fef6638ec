"""Looking at a file of questions: its columns, what is read from it, what is not, and how long its texts are."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from aftune import tasks
from aftune.common.data_files import ENDINGS, scan_rows
from aftune.common.errors import DataError, UsageError
from aftune.common.wording import cut_short
from aftune.models.loading import context_length, load_config, load_tokenizer
from aftune.records import Problem
from aftune.tasks import Task
from aftune.tasks.columns import KINDS, Columns, guess
from aftune.tasks.jsonl import WHOLE_FILE

_GUESSED_FROM = 1000  # rows
_MEASURED = 2000  # problems whose lengths are taken, evenly spread over the file
_CHATS = re.compile(r"instruct|chat|-it\b", re.IGNORECASE)  # in the name of a model that is not here
_CHARACTERS_PER_TOKEN = 3.0  # fewer than most tokenizers take, so that limits are not too low


@dataclass(frozen=True)
class Looked:
    """The problems of a file, and the message of each row that is none."""

    problems: list[Problem]
    bad: list[str]


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


def data_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold questions."""
    endings = (*ENDINGS, *(f"{ending}.gz" for ending in ENDINGS))
    return sorted(path for path in folder.glob("*") if path.is_file() and path.name.endswith(endings)) if folder.is_dir() else []


@dataclass(frozen=True)
class Guessed:
    """The first rows of a file, the names of its columns, and what they seem to be."""

    data: Path
    rows: list[dict[str, Any]]
    names: list[str]
    columns: Columns


def columns_of(path: Path, given: Mapping[str, str | None]) -> Guessed:
    """What the columns of a file are; given: those that the user names, as the options of `aftune init` are called.

    Raises UsageError for a column or a kind that does not exist, DataError where no row can be read.
    """
    rows = _first_rows(path)
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    options: str | list[str] | None = given.get("options")
    if isinstance(options, str) and options not in names and "," in options:
        options = [name.strip() for name in options.split(",")]
    wanted = {name: given.get(name) for name in ("question", "answer", "solution")}
    listed = options if isinstance(options, list) else [options]
    for option, column in [*wanted.items(), *(("options", name) for name in listed)]:
        if column is not None and column not in names:
            raise UsageError(f"--{option}: {path} has no column {column!r}, only {cut_short(', '.join(names), 300)}")
    kind = next((one for one in KINDS if one == given.get("kind")), None)
    if kind is None and given.get("kind") is not None:
        raise UsageError(f"--kind: {given['kind']!r} is no kind of answers; give {', '.join(KINDS)}")
    said = Columns(wanted["question"], wanted["answer"], wanted["solution"], options)
    return Guessed(path, rows, names, guess(rows, said, kind))


def _first_rows(path: Path) -> list[dict[str, Any]]:
    """The first rows that can be read; raises DataError where there is none, or no file."""
    if path.is_dir():
        raise UsageError(
            f"--data: {path} is a folder, expected one file, which is split by slices; a folder with train.jsonl, validation.jsonl "
            "and test.jsonl needs a recipe with data: FOLDER (docs/tasks.md)"
        )
    rows: list[dict[str, Any]] = []
    first: DataError | None = None
    for _, row in islice(scan_rows(path), _GUESSED_FROM):
        if isinstance(row, dict):
            rows.append(row)
        elif isinstance(row, DataError):
            first = first or row
    if not rows:
        why = first or f"{path}: holds no rows with named columns; expected JSON Lines, a JSON array of objects, or a table"
        raise DataError(str(why))
    return rows


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
    return Looked(problems, bad)


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
