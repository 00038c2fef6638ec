"""What a stage gets to see: the recipe, its own folder, the folders of earlier stages, and the pieces built from the recipe."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from aftune import tasks
from aftune.common.errors import NotFoundError, UsageError
from aftune.models import loading
from aftune.models.adapters import add_adapter
from aftune.models.saving import save_policy
from aftune.pipeline import recipe_task
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.registry import in_round
from aftune.prompts.chat_template import ChatTemplate, chat_template
from aftune.prompts.formats import PromptFormat
from aftune.prompts.prompter import Prompter
from aftune.recipe import AdapterSection, PromptSection, Recipe, SamplingSection, load_recipe
from aftune.records import Problem, read_records
from aftune.records.large_files import RecordFile
from aftune.sampling import SamplingSettings

# The stages have progress bars of their own, and what transformers warns of here (tied heads, file times) is expected.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()


@dataclass
class Context:
    """Built once for a run; loading is lazy.

    shared: the run whose finished stages this one builds on, if any. round: the one that `folder` means, for repeated stages.
    """

    recipe: Recipe
    run: RunDirectory
    shared: RunDirectory | None = None
    round: int = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process, without what was loaded: it loads its own."""
        return Context, (self.recipe, self.run, self.shared, self.round)

    def on_cpu(self) -> "Context":
        """The same, with models in the memory of the CPU."""
        model = self.recipe.model.model_copy(update={"device": "cpu"})
        return replace(self, recipe=self.recipe.model_copy(update={"model": model}))

    def with_model(self, name: str) -> "Context":
        """The same with another base model, which is not trained: its `base` is the only stage that it has."""
        changes = {"model": self.recipe.model.model_copy(update={"name": name, "revision": None}), "adapter": AdapterSection()}
        return replace(self, recipe=self.recipe.model_copy(update=changes))

    @cached_property
    def task(self) -> tasks.Task:
        return recipe_task.build(self.recipe)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        section = self.recipe.model
        return loading.load_tokenizer(section.name, **section.load_options)

    @cached_property
    def prompter(self) -> Prompter:
        """Makes the prompts of this run, with the examples that `prepare` chose."""
        num_examples = self.recipe.prompt.few_shot
        examples = read_records(self.folder("prepare") / "examples.jsonl", Problem) if num_examples else []
        return make_prompter(self.tokenizer, self.task, self.recipe.prompt, examples)

    @cached_property
    def chat_template(self) -> ChatTemplate | None:
        """The prompt of this run as a chat template, where its style is not the model's own template and a template can say it."""
        first: dict[tuple[str, str | None], Problem] = {}
        for problem in self.problems("train"):
            first.setdefault((problem.task, self.prompter.heading(problem)), problem)
        return chat_template(self.prompter, list(first.values()))

    @cached_property
    def end_id(self) -> int:
        """The token that ends a complete response."""
        section = self.recipe.model
        return self.prompter.end_id(loading.configured_stop_ids(section.name, **section.load_options))

    @cached_property
    def context_length(self) -> int:
        """The context length of the base model, in tokens."""
        section = self.recipe.model
        config = loading.load_config(section.name, **section.load_options)
        return loading.context_length(config if config is not None else self.load_policy("base").config)

    def save_policy(self, model: Any, folder: Path) -> None:
        """Writes a model with the tokenizer, the prompt and the generation settings of this run."""
        most, found = self.recipe.evaluate.max_new_tokens, self.chat_template
        template = None if found is None else found.jinja()
        save_policy(model, self.tokenizer, folder, max_new_tokens=most, chat_template=template)

    def folder(self, stage: str) -> Path:
        """A stage's folder; for a repeated stage, that of the current round."""
        return self._place(in_round(stage, self.round))

    def has_model(self, stage: str) -> bool:
        """Whether the model of a stage is finished; the base model always is."""
        return stage == "base" or self._home(stage).entry(stage).get("status") == "finished"

    def _place(self, stage: str) -> Path:
        return self._home(stage).folder(stage)

    def _home(self, stage: str) -> RunDirectory:
        """This run, or if it has no such stage, the run that it builds on."""
        return self.run if self.shared is None or self.run.entry(stage) else self.shared

    @property
    def latest(self) -> str:
        """The stage whose model the round samples from."""
        return "sft" if self.round == 1 else in_round("align", self.round - 1)

    @property
    def start(self) -> str:
        """The stage whose model `align` starts from."""
        return "base" if self.round == 1 and self.recipe.align.start == "base" else self.latest

    def policy_folder(self, stage: str) -> str:
        """Where a stage's model is, by its full name (`align-2`); `base` is the recipe's."""
        return self.recipe.model.name if stage == "base" else str(self._place(stage) / "model")

    def load_policy(self, stage: str, *, float32: bool = False) -> PreTrainedModel:
        """A stage's model for sampling and scoring. Under qlora the weights of the base are in 4 bits in every stage."""
        four_bit = self.recipe.adapter.kind == "qlora"
        return loading.load_model(self.policy_folder(stage), self.recipe.model, float32=float32, four_bit=four_bit)

    def load_trainable(self, stage: str) -> Any:
        """A stage's model for training: with all its weights in the type of `model.weights`, or as the base model with an adapter,
        that of the stage or a new one."""
        section = self.recipe.adapter
        if section.kind == "none":
            return self.load_policy(stage, float32=self.recipe.model.weights == "float32")
        folder = None if stage == "base" else self.adapter_folder(stage)
        return add_adapter(self.load_policy("base"), section, folder, self.recipe.model.revision)

    def adapter_folder(self, stage: str) -> Path:
        """Where the adapter of a stage is, in a run that trains adapters."""
        own = self._place(stage) / "adapter"
        return own if own.exists() else self._place(stage) / "model"

    def problems(self, split: str) -> Sequence[Problem]:
        return RecordFile(self.folder("prepare") / f"{split}.jsonl", Problem)

    def settings(self, section: SamplingSection, problems: Iterable[Problem], *, greedy: bool = False) -> SamplingSettings:
        """Settings for sampling responses to these problems; how they are asked decides what else ends a response."""
        return SamplingSettings(
            max_new_tokens=section.max_new_tokens,
            temperature=0.0 if greedy else section.temperature,
            top_p=section.top_p,
            top_k=section.top_k,
            stop=self.prompter.stop_strings(problems) if section.stop == "auto" else tuple(section.stop),
        )


def context_of(folder: Path) -> Context:
    """The context of a run that is there; raises UsageError for a folder that is no run directory."""
    recipe = folder / "recipe.yaml"
    if not recipe.exists():
        raise NotFoundError(f"{folder} is not a run directory (recipe.yaml is missing)")
    if not (folder / "manifest.json").exists() and any(folder.glob("seed-*")):
        raise UsageError(f"{folder} is not a run directory, but that of a comparison; give a folder seed-N in it")
    return Context(load_recipe(recipe).model_copy(update={"run_dir": folder}), RunDirectory(folder))


def make_prompter(
    tokenizer: PreTrainedTokenizerBase, task: tasks.Task, section: PromptSection, examples: Sequence[Problem]
) -> Prompter:
    """What makes the prompts of a task, as a recipe's section `prompt` says."""
    form = PromptFormat(section.style, section.system, section.instruction)
    return Prompter(
        tokenizer,
        form,
        plain=task.prompt,
        question=task.question_text,
        response=task.example_response,
        examples=examples,
        num_examples=section.few_shot,
        own_examples=task.examples,
        heading=task.heading,
    )


Summary = dict[str, Any]
