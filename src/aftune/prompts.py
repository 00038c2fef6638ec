"""How a question is asked: plain, as Alpaca does, or as the model's chat template does; with or without examples first.

Texts only; `aftune.encoding.Prompter` makes token ids of them.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from aftune.records import Problem
from aftune.seeds import derive_seed

PLAIN_PROMPT = "Question: {question}\nAnswer:\n"

# Taori et al. 2023, Stanford Alpaca; a response starts on a line of its own, so that its tokens do not depend on the prompt.
ALPACA_PREAMBLE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.",
)

Messages = list[dict[str, str]]
Style = Literal["plain", "alpaca", "chat"]
STYLES: tuple[Style, ...] = ("plain", "alpaca", "chat")


@dataclass(frozen=True)
class PromptFormat:
    """The settings of a prompt.

    system: the first paragraph; in the style alpaca instead of Alpaca's own, in the style chat the system message.
    instruction: what to do with the question, a paragraph before it; in the style alpaca it is the instruction, and the
    question its input.
    """

    style: Style = "plain"
    system: str | None = None
    instruction: str | None = None


@dataclass(frozen=True)
class Turn:
    """An example: a question and the response to it. In the style plain the question has the task's own words around it."""

    question: str
    response: str


def render_text(form: PromptFormat, examples: Sequence[Turn], question: str) -> str:
    """The text that a response follows, in the styles plain and alpaca; questions as in a `Turn`."""
    if form.style == "alpaca":
        opening = [form.system or ALPACA_PREAMBLE[form.instruction is not None]]
    else:
        opening = [text for text in (form.system, form.instruction) if text]
    shown = [_asked(form, turn.question) + turn.response for turn in examples]
    return "\n\n".join([*opening, *shown, _asked(form, question)])


def _asked(form: PromptFormat, question: str) -> str:
    if form.style == "plain":
        return question
    if form.instruction:
        return f"### Instruction:\n{form.instruction}\n\n### Input:\n{question}\n\n### Response:\n"
    return f"### Instruction:\n{question}\n\n### Response:\n"


def render_messages(form: PromptFormat, examples: Sequence[Turn], question: str) -> Messages:
    """The conversation that a response follows, in the style chat."""

    def user(text: str) -> dict[str, str]:
        return {"role": "user", "content": f"{form.instruction}\n\n{text}" if form.instruction else text}

    messages = [{"role": "system", "content": form.system}] if form.system else []
    for turn in examples:
        messages += [user(turn.question), {"role": "assistant", "content": turn.response}]
    return [*messages, user(question)]


def choose_examples(
    problems: Iterable[Problem],
    number: int,
    seed: int,
    response: Callable[[Problem], str | None],
    held_out: frozenset[str] = frozenset(),
) -> list[Problem]:
    """`number` + 1 of the problems, or as many as there are; they follow from the seed and do not depend on the order.

    One more than are shown, so that a problem that is an example itself is not asked with its own solution. Not chosen are
    problems without a response to show and those whose normalised question is in `held_out`; of the same questions the first.
    """
    seen = set(held_out)

    def eligible() -> Iterable[Problem]:
        for problem in problems:
            question = normalised(problem.question)
            if response(problem) and question not in seen:
                seen.add(question)
                yield problem

    return heapq.nsmallest(number + 1, eligible(), key=lambda problem: derive_seed(seed, "examples", problem.id))


def normalised(question: str) -> str:
    """Questions that differ in white space only are the same."""
    return " ".join(question.split())
