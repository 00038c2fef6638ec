"""The stages in order: what each reads, which settings it depends on, and the function that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune import models
from aftune.pipeline.run_directory import hash_folder
from aftune.recipe import Recipe

Settings = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """`version` changes when a stage would make other files from the same settings. `run` names `module:function` below
    `aftune.pipeline`, imported only when the stage runs; `leaves` is what it writes last, in the run directory."""

    name: str
    version: int
    reads: tuple[str, ...]
    run: str
    leaves: str
    settings: Callable[[Recipe], Settings]
    enabled: Callable[[Recipe], bool] = lambda recipe: True


def _section(*names: str) -> Callable[[Recipe], Settings]:
    def settings(recipe: Recipe) -> Settings:
        dumped = recipe.model_dump(mode="json")
        return {name: dumped[name] for name in names}

    return settings


def _sample_settings(recipe: Recipe) -> Settings:
    if recipe.candidates is not None:
        return _section("data", "candidates")(recipe)
    return _section("sample", "seed")(recipe)


def _control_settings(recipe: Recipe) -> Settings:
    """The control depends on the shape of the alignment run, not on its loss."""
    settings = _section("align", "seed")(recipe)
    for key in ("constraint", "beta", "detach_boundary", "alignment_weight", "sft_weight", "reference_is_candidate"):
        del settings["align"][key]
    return settings


def _validation_settings(recipe: Recipe) -> Settings:
    evaluate = recipe.evaluate
    return {"validation": {"max_new_tokens": evaluate.max_new_tokens, "batch_size": evaluate.batch_size}}


STAGES: tuple[Stage, ...] = (
    Stage("prepare", 1, (), "prepare:prepare", "prepare/left_out.json", _section("seed", "data", "task", "model")),
    Stage(
        "sft",
        2,
        ("prepare",),
        "training:sft",
        "sft/model",
        lambda recipe: _section("sft", "seed", "model")(recipe) | _validation_settings(recipe),
    ),
    Stage("sample", 2, ("prepare", "sft"), "sample:sample", "sample/candidates.jsonl", _sample_settings),
    Stage("label", 2, ("prepare", "sample"), "label:label", "label/groups.jsonl", _section("label")),
    Stage("align", 1, ("prepare", "sft", "label"), "training:align", "align/model", _section("align", "seed", "model")),
    Stage(
        "control",
        1,
        ("prepare", "sft"),
        "training:control",
        "control/model",
        _control_settings,
        lambda recipe: recipe.control.enabled,
    ),
    Stage(
        "evaluate",
        3,
        ("prepare", "sft", "align", "control"),
        "evaluate:evaluate",
        "evaluate/metrics.json",
        _section("evaluate", "label", "candidates", "seed", "control", "model"),
    ),
    Stage(
        "report",
        1,
        ("prepare", "sft", "sample", "label", "align", "control", "evaluate"),
        "report:report",
        "report.html",
        _section("report"),
    ),
)


def enabled_stages(recipe: Recipe) -> list[Stage]:
    return [stage for stage in STAGES if stage.enabled(recipe)]


def reads(stage: Stage, recipe: Recipe) -> list[str]:
    """The enabled stages that a stage reads; imported candidates need no VFT model."""
    enabled = {item.name for item in enabled_stages(recipe)}
    unneeded = {"sft"} if stage.name == "sample" and recipe.candidates is not None else set()
    return [name for name in stage.reads if name in enabled - unneeded]


def input_files(stage: Stage, recipe: Recipe) -> dict[str, str]:
    """Hashes of the files outside the run directory that a run reads: data files, and those of a local model folder."""
    if stage.reads:
        return {}
    folders = {"model": Path(models.resolve(recipe.model.name)), "data": recipe.data}
    return {
        f"{kind}/{name}": value
        for kind, folder in folders.items()
        if folder is not None and folder.is_dir()
        for name, value in hash_folder(folder).items()
    }
