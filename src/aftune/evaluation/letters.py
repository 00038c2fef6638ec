"""Multiple choice by likelihood: the most probable of the options' letters after the prompt counts as the answer."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from transformers import PreTrainedTokenizerBase

from aftune.common.errors import DataError, UsageError
from aftune.common.progress import progress_bar
from aftune.models.loading import context_length
from aftune.prompts.encoding import EncodedGroup, check_lengths, encode_response
from aftune.prompts.prompter import Prompter
from aftune.records import Problem
from aftune.records.questions import LETTERS
from aftune.scoring import group_logprobs
from aftune.tasks import Task


@dataclass(frozen=True)
class LetterAccuracy:
    """accuracy: the mean over questions. subject_accuracy: the mean of the subjects' means (that of all questions, if problems
    have no subject), which MMLU's paper calls the average. chosen: a letter for each problem."""

    accuracy: float
    subject_accuracy: float
    by_subject: dict[str, float]
    chosen: list[str]


def letter_accuracy(
    model: Any, tokenizer: PreTrainedTokenizerBase, task: Task, problems: Sequence[Problem], token_budget: int = 4096
) -> LetterAccuracy:
    """How often the gold letter has the largest log-probability after `task.letter_question`, with the task's own heading and
    examples before it (Hendrycks et al. 2021, arXiv 2009.03300). Among equally probable letters the first is chosen; an option with
    the same value as the gold one is right too.

    Raises UsageError if there are no problems, and DataError for one that has no options or does not fit the model's context.
    """
    if not problems:
        raise UsageError("letter accuracy needs at least one problem")
    room = context_length(model.config)
    prompter = letter_prompter(tokenizer, task)

    def encode(problem: Problem) -> EncodedGroup:
        if not problem.options:
            raise DataError(f"{problem.id}: the question has no options, and letters compare options; give it some")
        texts = [_response(letter) for letter in LETTERS[: len(problem.options or ())]]
        responses = [encode_response(tokenizer, text, complete=False) for text in texts]
        group = EncodedGroup(problem.id, prompter(problem), responses, [False] * len(responses), [None] * len(responses))
        check_lengths(group, room)
        return group

    was_training = model.training
    model.eval()
    chosen: list[str] = []
    by_subject: dict[str, list[float]] = defaultdict(list)
    with progress_bar("letters", len(problems), "questions") as update:
        scored = group_logprobs(model, map(encode, problems), token_budget=token_budget, on_progress=update)
        for problem, group in zip(problems, scored, strict=True):
            letter = LETTERS[group.sums.index(max(group.sums))]
            chosen.append(letter)
            right = task.answer_kind.equal(letter, problem.gold_answer, problem.options)
            by_subject[str(problem.metadata.get("subject", "all"))].append(float(right))
    model.train(was_training)
    return LetterAccuracy(
        accuracy=fmean(value for values in by_subject.values() for value in values),
        subject_accuracy=fmean(map(fmean, by_subject.values())),
        by_subject={subject: fmean(values) for subject, values in sorted(by_subject.items())},
        chosen=chosen,
    )


def letter_prompter(tokenizer: PreTrainedTokenizerBase, task: Task) -> Prompter:
    """The prompter that asks for a letter."""
    return Prompter(
        tokenizer,
        plain=task.letter_question,
        response=lambda example: _response(example.gold_answer),
        own_examples=task.examples,
        heading=task.heading,
    )


def _response(letter: str) -> str:
    return f" {letter}"
