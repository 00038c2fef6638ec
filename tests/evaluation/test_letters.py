"""Letters by likelihood, against one forward pass a response."""

from typing import Any

import pytest
import torch

from aftune.common.errors import DataError
from aftune.evaluation.letters import letter_accuracy
from aftune.records import Problem
from aftune.tasks.multiple_choice import ChoiceTask


class Own(ChoiceTask):
    name = "own"

    def rows(self, split: str) -> Any:
        return iter(())

    def entries(self, split: str, index: int, place: str, row: Any) -> Any:
        return iter(())


def problems() -> list[Problem]:
    return [
        Problem(
            id=str(n),
            task="own",
            question="How many apples? " * (n + 1),
            gold_answer="ABC"[n % 3],
            options=["1", "2", "3"],
            metadata={"subject": "art" if n < 2 else "law"},
        )
        for n in range(7)
    ]


def naive(model: Any, tokenizer: Any, task: ChoiceTask, problem: Problem) -> str:
    prompt = tokenizer(task.prompt(problem).rstrip())["input_ids"]
    sums = []
    for text in (" A", " B", " C"):
        response = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logprobs = model(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        sums.append(sum(float(logprobs[len(prompt) - 1 + j, token]) for j, token in enumerate(response)))
    return "ABC"[sums.index(max(sums))]


def test_letters_and_means(llama: Any, tokenizer: Any) -> None:
    """The mean over subjects weighs art (2 questions) as much as law (5)."""
    task, given = Own(), problems()
    result = letter_accuracy(llama, tokenizer, task, given, token_budget=200)
    assert result.chosen == [naive(llama, tokenizer, task, problem) for problem in given]
    right = [letter == problem.gold_answer for letter, problem in zip(result.chosen, given, strict=True)]
    assert result.accuracy == pytest.approx(sum(right) / 7)
    assert result.by_subject == pytest.approx({"art": sum(right[:2]) / 2, "law": sum(right[2:]) / 5})
    assert result.subject_accuracy == pytest.approx((sum(right[:2]) / 2 + sum(right[2:]) / 5) / 2)


def test_an_option_of_the_same_value_is_right(llama: Any, tokenizer: Any) -> None:
    same = [problem.model_copy(update={"options": ["2", "2", "2"]}) for problem in problems()]
    assert letter_accuracy(llama, tokenizer, Own(), same).accuracy == 1.0


def test_errors(llama: Any, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match="at least one problem"):
        letter_accuracy(llama, tokenizer, Own(), [])
    long = problems()[0].model_copy(update={"question": "apples " * 400})
    without = problems()[0].model_copy(update={"options": None})
    with pytest.raises(DataError, match="0: the question has no options"):
        letter_accuracy(llama, tokenizer, Own(), [without])
    with pytest.raises(DataError, match="the model's context is 256"):
        letter_accuracy(llama, tokenizer, Own(), [long])
