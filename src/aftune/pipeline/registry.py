"""The stages in order: what each reads, and which settings it depends on. What they do: `aftune.pipeline.stage_functions`."""

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from aftune import tasks
from aftune.pipeline.directory.inputs import Inputs, import_inputs, problem_inputs
from aftune.pipeline.recipe_task import used
from aftune.recipe import Recipe, SamplingSection, TrainingSection
from aftune.recipe.losses import LOSSES
from aftune.recipe.names import CONTROLS

Settings = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """kind: what it does (`aftune.pipeline.stage_functions`). version: changes when it would make other files from the same
    settings; nothing else in a new aftune redoes it. reads: earlier stages. leaves: what it writes last, in the run directory.
    settings: all that it reads of the recipe, harmless settings included. inputs: what it reads from outside the run directory.
    enabled: whether a recipe has it. round: the one that a repeated stage belongs to."""

    kind: str
    version: int
    reads: tuple[str, ...]
    leaves: str
    settings: Callable[[Recipe], Settings]
    inputs: Callable[[Recipe], Inputs] = lambda recipe: {}
    enabled: Callable[[Recipe], bool] = lambda recipe: True
    round: int = 1

    @property
    def name(self) -> str:
        """In the manifest, and of its folder: `align`, in a later round `align-2`."""
        return in_round(self.kind, self.round)


def _section(*names: str) -> Callable[[Recipe], Settings]:
    def settings(recipe: Recipe) -> Settings:
        dumped = recipe.model_dump(mode="json")
        return {name: dumped[name] for name in names}

    return settings


def _prepare_settings(recipe: Recipe) -> Settings:
    """Includes the versions of the tasks: changed prompts or verdicts redo a run."""
    versions = {part.name: tasks.find(part.name).version for part in used(recipe).values()}
    return _section("seed", "data", "task", "prompt", "model")(recipe) | {"task_versions": versions}


def _sample_settings(recipe: Recipe) -> Settings:
    return _section("data", "candidates")(recipe) if recipe.candidates is not None else _section("sample", "seed", "model")(recipe)


def _sampling(section: SamplingSection) -> Settings:
    return section.model_dump(mode="json", include=set(SamplingSection.model_fields))


def _align_settings(recipe: Recipe) -> Settings:
    rule = {"beta auto": "a share of the push"} if recipe.align.beta == "auto" else {}  # it was another one before
    return rule | _section("align", "seed", "model", "adapter", "save", "track")(recipe)


def _control_settings(recipe: Recipe) -> Settings:
    """The control depends on the shape of the alignment run, not on its loss."""
    shape = {key: getattr(recipe.align, key) for key in (*TrainingSection.model_fields, "start", "validation_groups")}
    if recipe.control.match == "compute":
        shape["num_candidates"] = recipe.align.num_candidates
    own = {"align": shape, "control": {"match": recipe.control.match}}
    return own | _section("seed", "rounds", "adapter", "save", "track")(recipe)


def _rl_settings(recipe: Recipe) -> Settings:
    """Online training depends on how `sample` samples and how `label` judges, and on where and on what `align` trains."""
    sampling = recipe.sample.model_dump(mode="json", include=set(SamplingSection.model_fields) - {"engine"})
    shape = {key: getattr(recipe.align, key) for key in ("start", "validation_groups")}
    return {"sample": sampling, "align": shape} | _section("rl", "label", "seed", "rounds", "model", "adapter", "save", "track")(
        recipe
    )


def _reference_settings(recipe: Recipe) -> Settings:
    settings = _section("seed", "model")(recipe)
    return settings | {"align": {key: getattr(recipe.align, key) for key in ("start", "token_budget")}}


def needs_reference(recipe: Recipe) -> bool:
    """Whether `align` needs log-probabilities under the model that it starts from: DPO and its kin do, and a boundary whose beta is
    auto."""
    align = recipe.align
    return align.alignment_weight > 0 and (
        LOSSES[align.loss].needs_reference or (align.beta == "auto" and align.constraint == "boundary")
    )


def _validation_settings(recipe: Recipe) -> Settings:
    return {"evaluate": {name: getattr(recipe.evaluate, name) for name in ("max_new_tokens", "batch_size", "stop")}}


PREPARE = Stage(
    kind="prepare",
    version=3,
    reads=(),
    leaves="prepare/left_out.json",
    settings=_prepare_settings,
    inputs=problem_inputs,
)


SFT = Stage(
    kind="sft",
    version=3,  # 3: among equal epochs, the one with the lowest validation loss
    reads=("prepare",),
    leaves="sft/model",
    settings=lambda recipe: _section("sft", "seed", "model", "adapter", "save", "track")(recipe) | _validation_settings(recipe),
)


SAMPLE = Stage(
    kind="sample",
    version=2,
    reads=("prepare", "sft"),
    leaves="sample/candidates.jsonl",
    settings=_sample_settings,
    inputs=import_inputs,
)


LABEL = Stage(
    kind="label",
    version=4,  # 4: answers are found in more forms
    reads=("prepare", "sample"),
    leaves="label/groups.jsonl",
    settings=_section("label"),
)


REFERENCE = Stage(
    kind="reference",
    version=2,  # 2: log-probabilities name their candidates
    reads=("prepare", "sft", "label"),
    leaves="reference/logprobs.jsonl",
    settings=_reference_settings,
    enabled=needs_reference,
)


ALIGN = Stage(
    kind="align",
    version=3,
    reads=("prepare", "sft", "label", "reference"),
    leaves="align/model",
    settings=_align_settings,
)


CONTROL = Stage(
    kind="control",
    version=3,
    reads=("prepare", "sft", "label"),
    leaves="control/model",
    settings=_control_settings,
    enabled=lambda recipe: recipe.control.enabled,
)


EVALUATE = Stage(
    kind="evaluate",
    version=5,
    reads=("prepare", "sft", "align", "control"),
    leaves="evaluate/metrics.json",
    settings=_section("evaluate", "label", "seed", "control", "model", "candidates"),
    inputs=import_inputs,
)


REPORT = Stage(
    kind="report",
    version=3,  # 3: unseen characters are named
    reads=("prepare", "sft", "sample", "label", "align", "control", "evaluate"),
    leaves="report.html",
    settings=_section("report"),
)


# In a comparison two stages stand in for `evaluate`: what all methods share, and what each of them does; `rl` trains some of them.


HELD_OUT = Stage(
    kind="held_out",
    version=3,
    reads=("prepare", "sft"),
    leaves="held_out/groups.jsonl",
    settings=lambda recipe: _section("label", "seed", "model", "candidates")(recipe) | {"evaluate": _sampling(recipe.evaluate)},
    inputs=import_inputs,
)


RL = Stage(
    kind="rl",
    version=1,
    reads=("prepare", "sft"),
    leaves="rl/model",
    settings=_rl_settings,
)


MEASURE = Stage(
    kind="measure",
    version=3,
    reads=("prepare", "sft", "held_out", "align", "control", "rl"),
    leaves="measure/metrics.json",
    settings=_section("evaluate", "label", "seed", "model"),
)


# The kinds of stages that all processes of a run take part in.
TRAIN = frozenset(stage.kind for stage in (SFT, ALIGN, CONTROL))

# What a round repeats.
ROUND = (SAMPLE, LABEL, REFERENCE, ALIGN)


def in_round(name: str, number: int) -> str:
    """The name of a stage in a round, counted from 1: `sample`, `sample-2`; stages outside the rounds keep theirs."""
    return f"{name}-{number}" if number > 1 and name in {stage.kind for stage in ROUND} else name


def round_stages(recipe: Recipe, number: int) -> list[Stage]:
    """The enabled stages of a round. From the second on, stages read the model of the round before instead of the VFT model."""
    chosen = [stage for stage in ROUND if stage.enabled(recipe)]
    if number == 1:
        return chosen
    latest = in_round("align", number - 1)
    return [
        replace(
            stage,
            reads=tuple(latest if name == "sft" else in_round(name, number) for name in stage.reads),
            leaves=stage.leaves.replace(stage.name, in_round(stage.name, number), 1),
            settings=_section("sample", "seed", "model") if stage is SAMPLE else stage.settings,
            inputs=lambda recipe: {},  # imported candidates are the first round's
            round=number,
        )
        for stage in chosen
    ]


def enabled_stages(recipe: Recipe) -> list[Stage]:
    """All stages of a run, in order."""
    rounds = [stage for number in range(1, recipe.rounds + 1) for stage in round_stages(recipe, number)]
    models = tuple(stage.name for stage in rounds if stage.kind == ALIGN.kind and stage.round > 1)
    last = [replace(stage, reads=(*stage.reads, *models)) for stage in (EVALUATE, REPORT)]
    first = first_stages(recipe)
    return [stage for stage in (*first, *(one for one in rounds if one not in first), CONTROL, *last) if stage.enabled(recipe)]


def first_stages(recipe: Recipe) -> list[Stage]:
    """The VFT model, candidates and groups. Imported candidates need no VFT model and come first: what is wrong with them is said
    before anything is trained."""
    return [PREPARE, SFT, SAMPLE, LABEL] if recipe.candidates is None else [PREPARE, SAMPLE, LABEL, SFT]


def shared_stages(recipe: Recipe, *, with_reference: bool) -> list[Stage]:
    """What the methods of a comparison build on."""
    return [*first_stages(recipe), *([REFERENCE] if with_reference else []), HELD_OUT]


def policies(recipe: Recipe) -> dict[str, str]:
    """The models of a run, by their keys in metrics.json, and the stage that made each; `aligned` is that of the last round."""
    named = {"base": "base", "vft": "sft"}
    if recipe.control.enabled:
        named[CONTROLS[recipe.control.match].key] = "control"
    named |= {f"aligned_round_{number}": in_round("align", number) for number in range(1, recipe.rounds)}
    return named | {"aligned": in_round("align", recipe.rounds)}


def reads(stage: Stage, recipe: Recipe, known: Container[str]) -> list[str]:
    """The known stages that a stage reads. Imported candidates need no VFT model; a control has to know the groups only to match
    their compute or to be measured on some; in a comparison there may be a stage `reference` that only other methods need."""
    unneeded = set() if needs_reference(recipe) else {"reference"}
    if stage.name == "sample" and recipe.candidates is not None:
        unneeded.add("sft")
    if stage.name == "control" and recipe.control.match == "steps" and not recipe.align.validation_groups:
        unneeded.add("label")
    return [name for name in stage.reads if name in known and name not in unneeded]
