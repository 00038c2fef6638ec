"""How a question is asked: plain, as Alpaca does, or as the model's chat template does; with or without examples first.

Texts only; `aftune.prompts.prompter.Prompter` turns them into token ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aftune.records import Problem
from aftune.records.questions import LETTERS

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

    system: the first paragraph; in alpaca style it replaces Alpaca's own, in chat style it is the system message.
    instruction: what to do with the question, a paragraph before it; in alpaca style it is the instruction, and the question
    its input.
    """

    style: Style = "plain"
    system: str | None = None
    instruction: str | None = None


@dataclass(frozen=True)
class Turn:
    """An example: a question and the response to it. In plain style the question has the task's own words around it."""

    question: str
    response: str


def question_text(problem: Problem) -> str:
    """What is asked, with one option per line."""
    if not problem.options:
        return problem.question
    options = (f"({letter}) {option}" for letter, option in zip(LETTERS, problem.options, strict=False))
    return "\n".join([problem.question, "Options:", *options])


def plain_prompt(problem: Problem) -> str:
    """The prompt in plain style where no task or setting says otherwise."""
    return PLAIN_PROMPT.format(question=question_text(problem))


def render_text(form: PromptFormat, examples: Sequence[Turn], question: str, heading: str | None = None) -> str:
    """The text before a response, in plain and alpaca style; questions are as in a `Turn`. heading: a paragraph that the task puts
    before the examples."""
    if form.style == "alpaca":
        opening = [form.system or ALPACA_PREAMBLE[form.instruction is not None]]
    else:
        opening = [text for text in (form.system, form.instruction) if text]
    if heading:
        opening.append(heading)
    shown = [asked(form, turn.question) + turn.response for turn in examples]
    return "\n\n".join([*opening, *shown, asked(form, question)])


def asked(form: PromptFormat, question: str) -> str:
    """One question as plain and alpaca style ask it; it is as in a `Turn`."""
    if form.style == "plain":
        return question
    if form.instruction:
        return f"### Instruction:\n{form.instruction}\n\n### Input:\n{question}\n\n### Response:\n"
    return f"### Instruction:\n{question}\n\n### Response:\n"


def stop_strings(form: PromptFormat, ask: Callable[[str], str]) -> tuple[str, ...]:
    """What a response continues with where it makes up the next example: the words before a question, such as `Question:`, at the
    start of a line. ask: puts the task's words around a question. Empty in chat style, and where no words come before a question.
    """
    if form.style == "chat":
        return ()
    mark = "\ue000"  # a character without meaning
    heading = asked(form, ask(mark)).partition(mark)[0].split("\n")[0].strip()
    # Anything else, such as a hyphen or a number, may begin lines of responses too.
    return (f"\n\n{heading}", f"\n{heading}") if any(map(str.isalpha, heading)) else ()


def render_messages(form: PromptFormat, examples: Sequence[Turn], question: str, heading: str | None = None) -> Messages:
    """The conversation before a response, in chat style; a heading begins the user's first message."""

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
