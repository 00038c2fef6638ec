"""What one call works with: a recipe of its arguments, and a context whose only model is the one that was given."""

import copy
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftune.api.keys import section_of, values_of
from aftune.api.problem_tasks import TaskOfRecipe, checked, task_section
from aftune.common.errors import DataError, UsageError
from aftune.models import loading
from aftune.models.adapters import add_adapter
from aftune.models.precision import SHORT
from aftune.pipeline import processes
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.machine_checks import engines
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.registry import TRAIN
from aftune.pipeline.runner import check
from aftune.prompts.encoding import too_long
from aftune.recipe import ModelSection, PromptSection, Recipe, Section, recipe_from
from aftune.records import Problem, write_records

Model: TypeAlias = str | Path | Mapping[str, Any] | ModelSection | PreTrainedModel
PromptOfRecipe: TypeAlias = Mapping[str, Any] | PromptSection


@dataclass(frozen=True)
class Loaded:
    """A model of the caller's and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True)
class Call:
    """The arguments that functions share, as docs/python.md explains them. name: of the function, for errors."""

    name: str
    model: Model
    problems: Sequence[Problem]
    tokenizer: PreTrainedTokenizerBase | None = None
    task: TaskOfRecipe | None = None
    data: str | Path | None = None
    prompt: PromptOfRecipe | None = None
    examples: Sequence[Problem] = ()
    seed: int = 0
    validation: Sequence[Problem] = ()

    @contextmanager
    def context(self, output: Path | None = None, **sections: Section | None) -> Iterator["CallContext"]:
        """Within the block, the context, with a folder for files on the way that is removed afterwards. output: where stages that
        train leave theirs. sections: further ones of the recipe.

        Raises UsageError for arguments that do not fit, DataError for a problem that does not fit the model's context, before
        anything is computed.
        """
        if processes.number() > 1:
            raise UsageError(f"{self.name}: works in one process, and there are {processes.number()}; use aftune run --processes")
        problems, validation = checked(self.name, "problems", self.problems), list(self.validation)
        model, loaded = self._model()
        prompt = section_of(PromptSection, values_of(self.prompt or {}), self.name, "prompt.")
        if prompt.few_shot and len(self.examples) <= prompt.few_shot:
            raise UsageError(
                f"{self.name}: prompt.few_shot is {prompt.few_shot}, which takes {prompt.few_shot + 1} solved problems in examples "
                f"(one more than is shown, since none is its own example), and there are {len(self.examples)}"
            )
        given = {name: section for name, section in sections.items() if section is not None}
        with tempfile.TemporaryDirectory(prefix="aftune-") as folder:
            values = {"run_dir": folder, "seed": self.seed, "data": None if self.data is None else str(self.data)}
            values |= {"model": model, "task": task_section(self.name, self.task, problems), "prompt": prompt, **given}
            recipe = recipe_from(values, (), self.name)
            _check(recipe, loaded, self.name)
            recipe = settle(recipe, []).recipe
            context = CallContext(
                recipe, RunDirectory(Path(folder)), loaded=loaded, given=problems, validation=validation, output=output
            )
            if self.examples:
                write_records(context.folder("prepare") / "examples.jsonl", self.examples)
            for problem in (*problems, *validation):
                reason = too_long(context.tokenizer, problem, context.prompter(problem), None, context.context_length)
                if reason is not None:
                    raise DataError(f"{self.name}: problems: {reason}; leave it out, or use a model with a longer context")
            yield context

    def _model(self) -> tuple[ModelSection, Loaded | None]:
        if isinstance(self.model, PreTrainedModel):
            if self.tokenizer is None:
                raise UsageError(
                    f"{self.name}: tokenizer: a loaded model needs its tokenizer; give it, or the model's folder or name"
                )
            return _section_of_loaded(self.model), Loaded(self.model, self.tokenizer)
        if self.tokenizer is not None:
            raise UsageError(f"{self.name}: tokenizer: is for a loaded model; a folder or a name brings its own, so leave it out")
        if isinstance(self.model, str | Path):
            return ModelSection(name=str(self.model)), None
        if isinstance(self.model, Mapping | ModelSection):
            return section_of(ModelSection, values_of(self.model), self.name, "model."), None
        raise UsageError(
            f"{self.name}: model is {type(self.model).__name__}, expected a folder, a name on the Hub, bundled, a model of "
            "transformers, or the keys of a recipe's section model"
        )


def _section_of_loaded(model: PreTrainedModel) -> ModelSection:
    """A loaded model is used where it is and as it is."""
    return ModelSection.model_validate(
        {
            "name": model.name_or_path or "a-loaded-model",
            "precision": "bfloat16" if model.dtype == torch.bfloat16 else "float32",
            "device": model.device.type,
            "save_dtype": str(model.dtype).removeprefix("torch.") if model.dtype in SHORT else "float32",
        }
    )


def _check(recipe: Recipe, loaded: Loaded | None, name: str) -> None:
    """Raises UsageError for what cannot be had here, as a run does, and for what needs the files of a loaded model."""
    check(recipe)
    if loaded is None:
        return
    for section, engine in engines(recipe).items():
        if engine.kind != "transformers" and not section.startswith("sample.sources"):
            raise UsageError(
                f"{name}: engine: {engine.kind} does not take a loaded model; give its folder or name, or leave engine out"
            )
    if recipe.adapter.kind == "qlora":
        raise UsageError(f"{name}: adapter: qlora loads the model in 4 bits; give its folder or name")


@dataclass
class CallContext(Context):
    """Stages see one model, under the name `base`: the recipe's, or one that is loaded already."""

    loaded: Loaded | None = None
    given: Sequence[Problem] = ()
    validation: Sequence[Problem] = ()
    output: Path | None = None

    @property
    def latest(self) -> str:
        return "base"

    @property
    def start(self) -> str:
        return "base"

    def folder(self, stage: str) -> Path:
        return self.output if self.output is not None and stage in TRAIN else super().folder(stage)

    def problems(self, split: str) -> Sequence[Problem]:
        return self.validation if split == "validation" else self.given

    def with_model(self, name: str) -> Context:
        return replace(super().with_model(name), loaded=None)  # type: ignore[call-arg]

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return super().tokenizer if self.loaded is None else self.loaded.tokenizer

    @cached_property
    def end_id(self) -> int:
        if self.loaded is None:
            return super().end_id
        model = self.loaded.model
        return self.prompter.end_id(loading.token_ids(model.generation_config.eos_token_id, model.name_or_path))

    @cached_property
    def context_length(self) -> int:
        return super().context_length if self.loaded is None else loading.context_length(self.loaded.model.config)

    def load_policy(self, stage: str, *, float32: bool = False) -> PreTrainedModel:
        if self.loaded is None:
            return super().load_policy(stage, float32=float32)
        model = self.loaded.model
        exact = not float32 or model.dtype not in SHORT
        return (model if exact else copy.deepcopy(model).float()).eval()

    def load_trainable(self, stage: str) -> Any:
        if self.loaded is None or self.recipe.adapter.kind == "none":
            return super().load_trainable(stage) if self.loaded is None else self.loaded.model
        return add_adapter(self.loaded.model, self.recipe.adapter)
