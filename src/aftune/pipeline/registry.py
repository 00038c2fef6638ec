"""The stages in order: what each reads, which settings it depends on, and the function that runs it."""

from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from typing import Any

from aftune import tasks
from aftune.pipeline.inputs import Inputs, import_inputs, problem_inputs
from aftune.pipeline.recipe_task import used
from aftune.recipe import Recipe, SamplingSection, TrainingSection

Settings = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """`version` changes when a stage would make other files from the same settings: nothing else of a new aftune redoes it. `run`
    names `module:function` below `aftune.pipeline`, imported only when the stage runs; `leaves` is what it writes last, in the
    run directory. `settings`: everything of the recipe that it reads, the harmless included; `inputs`: what it reads from
    outside the run directory."""

    name: str
    version: int
    reads: tuple[str, ...]
    run: str
    leaves: str
    settings: Callable[[Recipe], Settings]
    inputs: Callable[[Recipe], Inputs] = lambda recipe: {}
    enabled: Callable[[Recipe], bool] = lambda recipe: True
    round: int = 1


def _section(*names: str) -> Callable[[Recipe], Settings]:
    def settings(recipe: Recipe) -> Settings:
        dumped = recipe.model_dump(mode="json")
        return {name: dumped[name] for name in names}

    return settings


def _prepare_settings(recipe: Recipe) -> Settings:
    """With the versions of the tasks: other prompts or verdicts redo a run."""
    versions = {part.name: tasks.find(part.name).version for part in used(recipe).values()}
    return _section("seed", "data", "task", "prompt", "model")(recipe) | {"task_versions": versions}


def _sample_settings(recipe: Recipe) -> Settings:
    return _section("data", "candidates")(recipe) if recipe.candidates is not None else _section("sample", "seed", "model")(recipe)


def _sampling(section: SamplingSection) -> Settings:
    return section.model_dump(mode="json", include=set(SamplingSection.model_fields))


def _control_settings(recipe: Recipe) -> Settings:
    """The control depends on the shape of the alignment run, not on its loss."""
    shape = {key: getattr(recipe.align, key) for key in (*TrainingSection.model_fields, "start")}
    if recipe.control.match == "compute":
        shape["num_candidates"] = recipe.align.num_candidates
    return {"align": shape, "control": {"match": recipe.control.match}, "seed": recipe.seed, "rounds": recipe.rounds}


def _reference_settings(recipe: Recipe) -> Settings:
    settings = _section("seed", "model")(recipe)
    return settings | {"align": {key: getattr(recipe.align, key) for key in ("start", "token_budget")}}


def needs_reference(recipe: Recipe) -> bool:
    """Whether `align` needs log-probabilities under the model that it starts from: DPO does, and a boundary whose beta is auto."""
    align = recipe.align
    return align.alignment_weight > 0 and (align.loss == "dpo" or (align.beta == "auto" and align.constraint == "boundary"))


def _validation_settings(recipe: Recipe) -> Settings:
    return {"evaluate": {name: getattr(recipe.evaluate, name) for name in ("max_new_tokens", "batch_size", "stop")}}


REFERENCE = Stage(
    "reference",
    2,  # 2: log-probabilities name their candidates
    ("prepare", "sft", "label"),
    "stages.reference:reference",
    "reference/logprobs.jsonl",
    _reference_settings,
    enabled=needs_reference,
)
ALIGN = Stage(
    "align", 3, ("prepare", "sft", "label", "reference"), "stages.train:align", "align/model", _section("align", "seed", "model")
)
CONTROL = Stage(
    "control",
    3,
    ("prepare", "sft", "label"),
    "stages.train:control",
    "control/model",
    _control_settings,
    enabled=lambda recipe: recipe.control.enabled,
)

HELD_OUT = Stage(
    "held_out",
    3,
    ("prepare", "sft"),
    "stages.evaluate:held_out",
    "held_out/groups.jsonl",
    lambda recipe: _section("label", "seed", "model", "candidates")(recipe) | {"evaluate": _sampling(recipe.evaluate)},
    import_inputs,
)
MEASURE = Stage(
    "measure",
    3,
    ("prepare", "sft", "held_out", "align", "control"),
    "stages.evaluate:measure",
    "measure/metrics.json",
    _section("evaluate", "label", "seed", "model"),
)

PREPARE = Stage("prepare", 3, (), "stages.prepare:prepare", "prepare/left_out.json", _prepare_settings, problem_inputs)
SFT = Stage(
    "sft",
    3,  # 3: of equal epochs the one with the lowest validation loss
    ("prepare",),
    "stages.train:sft",
    "sft/model",
    lambda recipe: _section("sft", "seed", "model")(recipe) | _validation_settings(recipe),
)
SAMPLE = Stage("sample", 2, ("prepare", "sft"), "stages.sample:sample", "sample/candidates.jsonl", _sample_settings, import_inputs)
LABEL = Stage(
    "label",
    4,  # 4: answers are found in more forms
    ("prepare", "sample"),
    "stages.label:label",
    "label/groups.jsonl",
    _section("label"),
)
EVALUATE = Stage(
    "evaluate",
    5,
    ("prepare", "sft", "align", "control"),
    "stages.evaluate:evaluate",
    "evaluate/metrics.json",
    _section("evaluate", "label", "seed", "control", "model", "candidates"),
    import_inputs,
)
REPORT = Stage(
    "report",
    2,
    ("prepare", "sft", "sample", "label", "align", "control", "evaluate"),
    "stages.report:report",
    "report.html",
    _section("report"),
)

# What a round repeats.
ROUND = (SAMPLE, LABEL, REFERENCE, ALIGN)


def in_round(name: str, number: int) -> str:
    """The name of a stage in a round, counted from 1: `sample`, `sample-2`; stages outside of rounds keep theirs."""
    return f"{name}-{number}" if number > 1 and name in {stage.name for stage in ROUND} else name


def round_stages(recipe: Recipe, number: int) -> list[Stage]:
    """The enabled stages of a round. From the second on, what read the VFT model reads the model of the round before."""
    chosen = [stage for stage in ROUND if stage.enabled(recipe)]
    if number == 1:
        return chosen
    latest = in_round("align", number - 1)
    return [
        replace(
            stage,
            name=in_round(stage.name, number),
            reads=tuple(latest if name == "sft" else in_round(name, number) for name in stage.reads),
            leaves=stage.leaves.replace(stage.name, in_round(stage.name, number), 1),
            settings=_section("sample", "seed", "model") if stage is SAMPLE else stage.settings,
            inputs=lambda recipe: {},  # what is imported is the first round's
            round=number,
        )
        for stage in chosen
    ]


def enabled_stages(recipe: Recipe) -> list[Stage]:
    """All stages of a run, in order."""
    rounds = [stage for number in range(1, recipe.rounds + 1) for stage in round_stages(recipe, number)]
    models = tuple(stage.name for stage in rounds if stage.run == ALIGN.run and stage.round > 1)
    last = [replace(stage, reads=(*stage.reads, *models)) for stage in (EVALUATE, REPORT)]
    return [stage for stage in (PREPARE, SFT, *rounds, CONTROL, *last) if stage.enabled(recipe)]


def reads(stage: Stage, recipe: Recipe, known: Container[str]) -> list[str]:
    """The known stages that a stage reads. Imported candidates need no VFT model; only a control for the same compute has to
    know the groups; in a comparison there may be a reference that other methods need."""
    unneeded = set() if needs_reference(recipe) else {"reference"}
    if stage.name == "sample" and recipe.candidates is not None:
        unneeded.add("sft")
    if stage.name == "control" and recipe.control.match == "steps":
        unneeded.add("label")
    return [name for name in stage.reads if name in known and name not in unneeded]
