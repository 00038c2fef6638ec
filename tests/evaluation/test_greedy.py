"""Greedy task accuracy."""

from collections.abc import Callable
from typing import Any

import pytest

from aftune.answers import Found
from aftune.answers.verdicts import NOTHING
from aftune.evaluation.greedy import greedy_right
from aftune.prompts.prompter import Prompter
from aftune.records import Problem
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.tasks.arithmetic import Arithmetic


class FirstLetters:
    """The first letters of the response, whatever a random model says."""

    name = "first letters"

    def read(self, text: str, reading: str, options: object = None) -> Found:
        return Found(text[:5], "read") if text else NOTHING

    def equal(self, answer: str, gold: str, options: object = None) -> bool:
        return answer == gold


class Echo(Arithmetic):
    answer_kind = FirstLetters()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_which_greedy_responses_are_right(make_llama: Callable[..., Any], tokenizer: Any, batch_size: int) -> None:
    """Two of five gold answers are taken from the model's own greedy responses."""
    task, model, settings = Echo(), make_llama(seed=5), SamplingSettings(max_new_tokens=6, temperature=0.0)
    prompter = Prompter(tokenizer)
    problems = [Problem(id=f"p{n}", task="t", question="x y z" * (5 - n), gold_answer="?") for n in range(5)]
    for index in (1, 4):
        prompt = prompter(problems[index])
        ((_, completion),) = TransformersEngine(model, tokenizer).complete([Request(prompt)], settings)
        problems[index] = problems[index].model_copy(update={"gold_answer": completion.text[:5]})
    assert problems[1].gold_answer != problems[4].gold_answer
    right = greedy_right(TransformersEngine(model, tokenizer, batch_size), prompter, task, problems, settings, "validation")
    assert right == [False, True, False, False, True]
    assert greedy_right(TransformersEngine(model, tokenizer, batch_size), prompter, task, [], settings, "validation") == []
