"""How a question is asked: plain, as Alpaca does, or as the model's chat template does; with or without examples first.

Texts only; `aftune.prompts.encoding.Prompter` makes token ids of them.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from aftune.answers.choices import LETTERS
from aftune.common.seeds import derive_seed
from aftune.records import Problem

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


def question_text(problem: Problem) -> str:
    """What is asked, with the options one a line."""
    if not problem.options:
        return problem.question
    options = (f"({letter}) {option}" for letter, option in zip(LETTERS, problem.options, strict=False))
    return "\n".join([problem.question, "Options:", *options])


def plain_prompt(problem: Problem) -> str:
    """What the style plain asks where no task or setting says otherwise."""
    return PLAIN_PROMPT.format(question=question_text(problem))


def render_text(form: PromptFormat, examples: Sequence[Turn], question: str, heading: str | None = None) -> str:
    """The text that a response follows, in the styles plain and alpaca; questions as in a `Turn`. heading: a paragraph of the
    task's own before the examples."""
    if form.style == "alpaca":
        opening = [form.system or ALPACA_PREAMBLE[form.instruction is not None]]
    else:
        opening = [text for text in (form.system, form.instruction) if text]
    if heading:
        opening.append(heading)
    shown = [_asked(form, turn.question) + turn.response for turn in examples]
    return "\n\n".join([*opening, *shown, _asked(form, question)])


def _asked(form: PromptFormat, question: str) -> str:
    if form.style == "plain":
        return question
    if form.instruction:
        return f"### Instruction:\n{form.instruction}\n\n### Input:\n{question}\n\n### Response:\n"
    return f"### Instruction:\n{question}\n\n### Response:\n"


def stop_strings(form: PromptFormat, ask: Callable[[str], str]) -> tuple[str, ...]:
    """What a response goes on with where it makes up the next example: the first words of a question, `Question:`, on a line of
    their own. ask: the words around a question. Empty in the style chat, and where a question begins with itself.
    """
    if form.style == "chat":
        return ()
    mark = "\ue000"  # a character without a meaning
    heading = _asked(form, ask(mark)).partition(mark)[0].split("\n")[0].strip()
    # Anything else, such as a hyphen or a number, begins lines of responses too.
    return (f"\n\n{heading}", f"\n{heading}") if any(map(str.isalpha, heading)) else ()


def render_messages(form: PromptFormat, examples: Sequence[Turn], question: str, heading: str | None = None) -> Messages:
    """The conversation that a response follows, in the style chat; a heading begins the first message of the user."""

    def user(text: str) -> dict[str, str]:
        return {"role": "user", "content": f"{form.instruction}\n\n{text}" if form.instruction else text}

    messages = [{"role": "system", "content": form.system}] if form.system else []
    for turn in examples:
        messages += [user(turn.question), {"role": "assistant", "content": turn.response}]
    messages.append(user(question))
    if heading:
        first = messages[1 if form.system else 0]
        first["content"] = f"{heading}\n\n{first['content']}"
    return messages


def choose_examples(
    problems: Iterable[Problem],
    number: int,
    seed: int,
    response: Callable[[Problem], str | None],
    held_out: frozenset[str] = frozenset(),
) -> list[Problem]:
    """`number` + 1 of the problems, or as many as there are; they follow from the seed and do not depend on the order.

    One more than are shown, so that a problem that is an example itself is not asked with its own solution. Not chosen are
    problems without a response to show and those whose `question_key` is in `held_out`; of the same questions the first.
    """
    seen = set(held_out)

    def eligible() -> Iterable[Problem]:
        for problem in problems:
            question = question_key(problem.question, problem.options)
            if response(problem) and question not in seen:
                seen.add(question)
                yield problem

    return heapq.nsmallest(number + 1, eligible(), key=lambda problem: derive_seed(seed, "examples", problem.id))


def normalised(question: str) -> str:
    """Questions that differ in white space only are the same."""
    return " ".join(question.split())


def question_key(question: str, options: Sequence[str] | None = None) -> str:
    """What equal questions have in common, whatever their white space; options belong to the question."""
    return "\n".join(map(normalised, (question, *(options or ()))))
