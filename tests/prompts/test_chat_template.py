"""A prompt as a chat template: a user's message gives the ids that the run's question gives."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from transformers import AutoTokenizer

from aftune import tasks
from aftune.models.loading import load_tokenizer
from aftune.pipeline.context import make_prompter
from aftune.prompts.chat_template import ChatTemplate, chat_template
from aftune.prompts.formats import PromptFormat
from aftune.prompts.prompter import Prompter
from aftune.recipe import PromptSection
from aftune.records import Problem


def problem(place: int, **more: Any) -> Problem:
    question = f'Tom\'s {place} "cats"?\nÜber {{{{ 7 * 7 }}}} {{% raw %}} \U0001f600'
    return Problem(id=f"t/{place}", task="t", question=question, gold_answer="1", rationale=f"Because {place}.\n#### 1", **more)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer("bundled")


def asked(prompter: Prompter, template: ChatTemplate, messages: Sequence[dict[str, str]]) -> str:
    return str(
        prompter.tokenizer.apply_chat_template(messages, chat_template=template.jinja(), add_generation_prompt=True, tokenize=False)
    )


FORMS = [
    PromptFormat(),
    PromptFormat(system='You\'re \\ "careful".', instruction="Do {{ it }} \n well."),
    PromptFormat("alpaca"),
    PromptFormat("alpaca", instruction="Solve."),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("num_examples", [0, 2])
@pytest.mark.parametrize("bos", [False, True])
def test_a_message_is_asked_as_the_run_asks(form: PromptFormat, num_examples: int, bos: bool, tokenizer: Any) -> None:
    examples = [problem(place) for place in (1, 2, 3)]
    if bos:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer.name_or_path)
        tokenizer.add_bos_token = True
    prompter = Prompter(tokenizer, form, examples=examples, num_examples=num_examples)
    template = chat_template(prompter, [problem(0)])
    assert template is not None
    for one in (problem(0), problem(9)):
        ids = tokenizer(asked(prompter, template, [{"role": "user", "content": one.question}]), add_special_tokens=False)
        assert list(ids["input_ids"]) == prompter(one)


def test_earlier_turns_are_like_examples_and_a_system_message_is_the_first_paragraph(tokenizer: Any) -> None:
    """Plain style, by hand."""
    template = chat_template(Prompter(tokenizer), [problem(0)])
    assert template is not None
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "#### 1"},
        {"role": "user", "content": "Two?"},
    ]
    start = tokenizer.bos_token if Prompter(tokenizer).starts_with_bos() else ""
    said = f"{start}Be brief.\n\nQuestion: One?\nAnswer:\n#### 1\n\nQuestion: Two?\nAnswer:\n"
    assert asked(Prompter(tokenizer), template, messages) == said
    complete = [*messages, {"role": "assistant", "content": "#### 2"}]
    assert asked(Prompter(tokenizer), template, complete) == f"{said}#### 2{tokenizer.eos_token}"


@pytest.mark.parametrize("name", sorted(tasks.TASKS.keys() - {"mmlu"}))
def test_tasks_have_one(name: str, tokenizer: Any) -> None:
    """Tasks with options too: whoever asks writes them below the question, as the run does. MMLU names the subject before its
    examples, so that each subject asks in other words (below)."""
    task = tasks.build(name)
    one = problem(0, options=["a", "b"]).model_copy(update={"task": task.problem_task()})
    prompter = make_prompter(tokenizer, task, PromptSection(), [])
    template = chat_template(prompter, [one])
    assert template is not None
    question = prompter.question(one)
    assert "(A) a\n(B) b" in question
    text = asked(prompter, template, [{"role": "user", "content": question}])
    assert list(tokenizer(text, add_special_tokens=False)["input_ids"]) == prompter(one)


def test_where_no_template_can_say_it(tokenizer: Any) -> None:
    """Two tasks that ask in different words; a question that stands in the prompt twice; the model's own template."""
    plain = Prompter(tokenizer)
    other = problem(1).model_copy(update={"task": "u"})
    words = {"t": "Q: {}\n", "u": "Frage: {}\n"}
    assert chat_template(replace(plain, plain=lambda one: words[one.task].format(one.question)), [problem(0), other]) is None
    assert chat_template(replace(plain, plain=lambda one: f"{one.question} {one.question}"), [problem(0)]) is None
    headed = replace(plain, heading=lambda one: f"About {one.id}.")
    assert chat_template(headed, [problem(0)]) is not None
    assert chat_template(headed, [problem(0), problem(1)]) is None
    assert chat_template(replace(plain, form=PromptFormat("chat")), [problem(0)]) is None
    assert chat_template(plain, []) is None


def test_for_ollama_braces_of_the_prompt_stay_text(tokenizer: Any) -> None:
    template = chat_template(Prompter(tokenizer, PromptFormat(system="{{ .Secret }}")), [problem(0)])
    assert template is not None
    said = '{{ if .System }}{{ .System }}\n\n{{ end }}{{ "{{" }} .Secret }}\n\nQuestion: {{ .Prompt }}\nAnswer:\n{{ .Response }}'
    assert template.go() == said
