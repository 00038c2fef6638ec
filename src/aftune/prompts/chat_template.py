"""A run's prompt as a chat template, so that programs that speak in messages (servers, pipelines) ask as the run did."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aftune.prompts.prompter import Prompter
from aftune.records import Problem

_MARK = "\ue000"  # a character without meaning, in the place of the question
_PROBE = "What is 1 + 2?"

# A system message comes first, as a paragraph; earlier turns are like examples before the question.
_TEMPLATE = """\
{{%- for message in messages -%}}
{{%- if loop.first -%}}{{{{ {start} }}}}{{%- endif -%}}
{{%- if message['role'] == 'system' -%}}{{{{ message['content'] + '\\n\\n' }}}}
{{%- elif message['role'] == 'user' -%}}
{{%- if loop.index0 == (1 if messages[0]['role'] == 'system' else 0) -%}}{{{{ {opening} }}}}
{{%- else -%}}{{{{ '\\n\\n' + {before} }}}}{{%- endif -%}}
{{{{ message['content'] + {after} }}}}
{{%- else -%}}{{{{ message['content'] }}}}{{%- if loop.last -%}}{{{{ eos_token }}}}{{%- endif -%}}
{{%- endif -%}}
{{%- endfor -%}}"""


@dataclass(frozen=True)
class ChatTemplate:
    """What stands around questions: `opening` before the first, `before` later ones, `after` all. with_bos: whether a
    beginning-of-sequence token comes first."""

    opening: str
    before: str
    after: str
    with_bos: bool

    def jinja(self) -> str:
        """For transformers, vLLM and llama.cpp."""
        start = "bos_token" if self.with_bos else "''"
        return _TEMPLATE.format(
            start=start, opening=_literal(self.opening), before=_literal(self.before), after=_literal(self.after)
        )

    def go(self) -> str:
        """For Ollama, which puts the beginning-of-sequence token itself; of one question and a system message."""
        opening, after = (text.replace("{{", '{{ "{{" }}') for text in (self.opening, self.after))
        return f"{{{{ if .System }}}}{{{{ .System }}}}\n\n{{{{ end }}}}{opening}{{{{ .Prompt }}}}{after}{{{{ .Response }}}}"


def chat_template(prompter: Prompter, problems: Sequence[Problem]) -> ChatTemplate | None:
    """A template that makes of a user's message what `prompter` makes of a question. problems: one of each task of the run, and of
    each heading in it.

    None in chat style, where the model's own template is used, and where no template can say it: tasks or problems asked in
    different words, a prompt that repeats the question, a tokenizer that reads the template's text otherwise.
    """
    if prompter.form.style == "chat" or not problems:
        return None
    found = {_template(prompter, problem) for problem in problems}
    [template] = found if len(found) == 1 else [None]
    return template if template is not None and _says_the_same(prompter, problems[0], template.jinja()) else None


def _template(prompter: Prompter, problem: Problem) -> ChatTemplate | None:
    marked = _asked(problem, _MARK)
    prompt, turn = prompter.conversation(marked), prompter.turn(marked)
    if not isinstance(prompt, str) or not prompt.count(_MARK) == turn.count(_MARK) == 1:
        return None
    opening, after = prompt.split(_MARK)
    before = turn.split(_MARK)[0]
    return ChatTemplate(opening, before, after, prompter.starts_with_bos())


def _asked(problem: Problem, question: str) -> Problem:
    return problem.model_copy(update={"question": question, "options": None})


def _literal(text: str) -> str:
    """As Jinja reads it: JSON's escapes are its own, other characters stay as they are."""
    return json.dumps(text, ensure_ascii=False)


def _says_the_same(prompter: Prompter, problem: Problem, template: str) -> bool:
    messages = [{"role": "user", "content": _PROBE}]
    text = prompter.tokenizer.apply_chat_template(messages, chat_template=template, add_generation_prompt=True, tokenize=False)
    ids = prompter.tokenizer(text, add_special_tokens=False)["input_ids"]
    return list(ids) == prompter(_asked(problem, _PROBE))
