"""Asking the questions of a run, as token ids: one `Prompter` for training, sampling, scoring and evaluation."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

from jinja2 import TemplateError
from jinja2.exceptions import SecurityError
from transformers import PreTrainedTokenizerBase

from aftune.common.errors import UsageError
from aftune.common.time_limit import OutOfTimeError, time_limit
from aftune.prompts.encoding import encode_prompt, single_start
from aftune.prompts.formats import (
    Messages,
    PromptFormat,
    Turn,
    asked,
    plain_prompt,
    question_text,
    render_messages,
    render_text,
    stop_strings,
)
from aftune.prompts.special_tokens import SpecialTokens, special_tokens
from aftune.records import Problem
from aftune.records.questions import question_key

_TEMPLATE_SECONDS = 10  # for one conversation, which takes a thousandth of that


@dataclass(frozen=True)
class Prompter:
    """Asks the questions of a run: `prompter(problem)` gives a prompt's ids, in training, sampling, scoring and evaluation alike.

    plain: a problem's prompt in plain style, without examples; question: its question, options included, for the other styles;
    response: the response to show where it is an example. examples: one more than `num_examples` per task, since a problem is
    never asked with its own solution before it; those of its task are shown. own_examples: the examples that its task shows
    instead; heading: what its task says before everything else.
    """

    tokenizer: PreTrainedTokenizerBase
    form: PromptFormat = field(default_factory=PromptFormat)
    plain: Callable[[Problem], str] = plain_prompt
    question: Callable[[Problem], str] = question_text
    response: Callable[[Problem], str | None] = lambda problem: problem.rationale
    examples: Sequence[Problem] = ()
    num_examples: int = 0
    own_examples: Callable[[Problem], Sequence[Problem]] = lambda problem: ()
    heading: Callable[[Problem], str | None] = lambda problem: None

    def __call__(self, problem: Problem) -> list[int]:
        """A prompt's ids. Raises UsageError for chat style where the tokenizer has no chat template, and where the template refuses
        the conversation, as some do with a system message."""
        shown = self._shown(problem)
        mark = self._special.choose_mark([text for one in (*shown, problem) for text in _texts(one)])
        if mark:
            *shown, problem = (self._marked(one, mark) for one in (*shown, problem))
        prompt = self._render(shown, problem)
        if isinstance(prompt, str):
            return self._encode(prompt, mark, add_special_tokens=True)
        return self._encode(self._chat(prompt, prompt=True), mark, add_special_tokens=False)

    def conversation(self, problem: Problem) -> str | Messages:
        """The same prompt before it is tokenised: a text, or messages in chat style."""
        return self._render(self._shown(problem), problem)

    def stop_strings(self, problems: Iterable[Problem]) -> tuple[str, ...]:
        """The texts that end a response to one of the problems that come after examples: the beginning of the next example."""
        found: dict[str, tuple[str, ...]] = {}
        for problem in problems:
            if problem.task not in found and self._shown(problem):
                found[problem.task] = stop_strings(self.form, partial(self._ask_as, problem))
        return tuple(dict.fromkeys(text for texts in found.values() for text in texts))

    def turn(self, problem: Problem) -> str:
        """The question as it stands after others, in plain and alpaca style: nothing is said or shown before it."""
        return asked(self.form, self._ask(problem))

    def starts_with_bos(self) -> bool:
        """Whether a prompt that is a text begins with the tokenizer's beginning-of-sequence token."""
        return encode_prompt(self.tokenizer, "") == [self.tokenizer.bos_token_id]

    def end_id(self, stop_ids: Sequence[int] = ()) -> int:
        """The id that ends a complete response: the tokenizer's, or the chat template's own end of a turn if `stop_ids` has it."""
        if self.form.style == "chat":
            probe = "answer"
            messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": probe}]
            end = self._special.first_in(self._chat(messages, prompt=False).rpartition(probe)[2])
            if end is not None and end in stop_ids:
                return end
        return int(self.tokenizer.eos_token_id)

    def _shown(self, problem: Problem) -> list[Problem]:
        own = self.own_examples(problem)
        if own:
            return list(own)
        key = question_key(problem.question, problem.options)
        of_task = (example for example in self.examples if example.task == problem.task)
        others = [example for example in of_task if question_key(example.question, example.options) != key]
        return others[: self.num_examples]

    def _render(self, shown: Sequence[Problem], problem: Problem) -> str | Messages:
        turns = [Turn(self._ask(example), self.response(example) or "") for example in shown]
        render = render_messages if self.form.style == "chat" else render_text
        return render(self.form, turns, self._ask(problem), self.heading(problem))

    def _ask(self, problem: Problem) -> str:
        return self.plain(problem) if self.form.style == "plain" else self.question(problem)

    def _ask_as(self, problem: Problem, question: str) -> str:
        """Another question, asked as the problem is."""
        return self._ask(problem.model_copy(update={"question": question}))

    @cached_property
    def _special(self) -> SpecialTokens:
        return special_tokens(self.tokenizer)

    def _marked(self, problem: Problem, mark: str) -> Problem:
        """The problem with a mark inside whatever reads like a special token."""
        question, gold, rationale, *options = (self._special.mark(text, mark) for text in _texts(problem))
        changes = {
            "question": question,
            "gold_answer": gold,
            "rationale": rationale if problem.rationale else None,
            "options": options or None,
        }
        return problem.model_copy(update=changes)

    def _chat(self, messages: Messages, *, prompt: bool) -> str:
        if not self.tokenizer.chat_template:
            raise UsageError("prompt.style: the tokenizer of this model has no chat template; use plain or alpaca")
        try:
            with time_limit(_TEMPLATE_SECONDS):
                return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))
        except (OutOfTimeError, RecursionError, MemoryError, OverflowError) as error:
            raise UsageError(
                f"prompt.style: the model's chat template comes to no end ({type(error).__name__} within {_TEMPLATE_SECONDS} s); "
                "use prompt.style plain or alpaca, and do not trust this model"
            ) from error
        except SecurityError as error:
            raise UsageError(
                f"prompt.style: the model's chat template reaches into Python ({error}), which it may not; use "
                "prompt.style plain or alpaca, and do not trust this model"
            ) from error
        except TemplateError as error:
            hint = "leave prompt.system out" if self.form.system else "use prompt.style plain or alpaca"
            raise UsageError(
                f"prompt.style: the model's chat template does not take this conversation ({error}); {hint}"
            ) from error

    def _encode(self, text: str, mark: str, *, add_special_tokens: bool) -> list[int]:
        if not mark:
            return encode_prompt(self.tokenizer, text, add_special_tokens=add_special_tokens)
        start = encode_prompt(self.tokenizer, "") if add_special_tokens else []
        return single_start(self.tokenizer, start + self._special.encode(text, mark))


def _texts(problem: Problem) -> list[str]:
    return [problem.question, problem.gold_answer, problem.rationale or "", *(problem.options or ())]
