"""Runs stages in order: skips what is finished, goes on where a run stopped, redoes what depends on a changed setting."""

import contextlib
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rich.markup import escape

import aftune
from aftune import models
from aftune.errors import AftuneError, StageError
from aftune.pipeline import claim, task
from aftune.pipeline import stages as registry
from aftune.pipeline.precision import settle
from aftune.pipeline.run_directory import RunDirectory, fingerprint
from aftune.pipeline.stages import Stage
from aftune.recipe import Recipe

Status = Literal["finished", "resume", "redo", "new"]


@dataclass(frozen=True)
class Plan:
    """What would happen to a stage, and why."""

    stage: Stage
    fingerprint: str
    settings: dict[str, Any]
    upstream: "Sequence[Plan]"
    status: Status
    reason: str


def plan(recipe: Recipe, run: RunDirectory, stages: Sequence[Stage] | None = None, earlier: Sequence[Plan] = ()) -> list[Plan]:
    """The state of every stage of a recipe (or of other `stages`) in its run directory; changes nothing.

    earlier: the plan of another run that these stages build on.
    """
    known = {item.stage.name: item for item in earlier}
    plans = []
    for stage in registry.enabled_stages(recipe) if stages is None else stages:
        upstream = [known[name] for name in registry.reads(stage, recipe, known)]
        settings = stage.settings(recipe) | {"inputs": registry.input_files(stage, recipe)}
        prints = {item.stage.name: item.fingerprint for item in upstream}
        mark = fingerprint([stage.name, stage.version, aftune.__version__, settings, prints])
        redone = [item.stage.name for item in upstream if item.status in ("redo", "new")]
        status, reason = _status(run.entry(stage.name), mark, settings, redone)
        if status == "finished" and not (run.path / stage.leaves).exists():
            status, reason = "redo", f"{stage.leaves} is gone"
        known[stage.name] = Plan(stage, mark, settings, upstream, status, reason)
        plans.append(known[stage.name])
    return plans


def _status(entry: dict[str, Any], mark: str, settings: dict[str, Any], redone: Sequence[str]) -> tuple[Status, str]:
    if not entry:
        return "new", ""
    if entry["fingerprint"] == mark:
        return ("finished", "") if entry["status"] == "finished" else ("resume", "was interrupted")
    changes = _differences(entry.get("settings", {}), settings)
    return "redo", ", ".join(changes) if changes else f"depends on {', '.join(redone)}" if redone else "aftune itself changed"


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line for key in keys for line in _differences(old.get(key), new.get(key), f"{prefix}.{key}" if prefix else str(key))
        ]
    return [] if old == new else [f"{prefix}: {old} -> {new}"]


def check(recipe: Recipe) -> None:
    """Raises UsageError for a task, a split or a device that does not exist, before anything is done."""
    task.check(recipe)
    models.pick_device(recipe.model.device)


@dataclass(frozen=True)
class Shared:
    """A run whose finished stages another run builds on."""

    recipe: Recipe
    stages: Sequence[Stage]

    def plan(self) -> list[Plan]:
        return plan(self.recipe, RunDirectory(self.recipe.run_dir), self.stages)


def run_stages(
    recipe: Recipe,
    only: str | None = None,
    report: Callable[[str], None] = print,
    *,
    stages: Sequence[Stage] | None = None,
    shared: Shared | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Runs all stages of a recipe, or `only` one, or other `stages`, and gives the manifest's entries.

    Raises StageError when a stage is asked for before one that it reads, UsageError where the directory holds the run of another
    recipe, unless that is to be overwritten. What is refused leaves no directory that was not there.
    """
    from aftune.pipeline.context import Context

    check(recipe)
    run = RunDirectory(recipe.run_dir)
    settled = settle(recipe, [run])
    recipe = settled.recipe
    for line in settled.lines():
        report(line)
    context = Context(recipe, run, RunDirectory(shared.recipe.run_dir) if shared else None)

    def plans() -> list[Plan]:
        return plan(recipe, run, stages, shared.plan() if shared else [])

    claim.check_inputs(context, _wanted(plans(), only))
    made = run.create()
    try:
        with run.locked():
            current = plans()
            if claim.claim(recipe, run, current, overwrite=overwrite):
                report(f"the run of another recipe in {escape(str(run.path))} was removed")
                current = plans()
            wanted = _wanted(current, only)
            if stages is None:
                claim.put_away(run, current, report)
            run.write_recipe(recipe)
            run.note_precision(recipe.model.precision, settled.why)
            for item in wanted:
                _run_one(context, item, report)
            entries: dict[str, Any] = run.manifest()["stages"]
            return entries
    except AftuneError:
        run.undo(made)
        raise


def _wanted(plans: Sequence[Plan], only: str | None) -> list[Plan]:
    """All, or `only` one that is ready to run."""
    if only is None:
        return list(plans)
    wanted = [item for item in plans if item.stage.name == only]
    if not wanted:
        raise StageError(f"{only}: this recipe has no such stage; `aftune run --dry-run` lists those that it has")
    _check_inputs(*wanted)
    return wanted


def _check_inputs(item: Plan) -> None:
    for earlier in item.upstream:
        if earlier.status != "finished":
            why = f" ({earlier.reason})" if earlier.reason else ""
            raise StageError(
                f"{item.stage.name}: stage {earlier.stage.name} is not finished with these settings{why}; run it first"
            )


def _run_one(context: Any, item: Plan, report: Callable[[str], None]) -> None:
    stage = item.stage
    if item.status == "finished":
        report(f"[dim]{stage.name:<9} finished before, skipped[/dim]")
        return
    if item.status in ("redo", "resume"):
        report(f"{stage.name:<9} [yellow]{'again' if item.status == 'redo' else 'goes on'}[/yellow]: {escape(item.reason)}")
    context.run.begin(stage.name, item.fingerprint, item.settings, context.recipe.seed, keep=item.status == "resume")
    module, _, function = stage.run.partition(":")
    if context.round != stage.round:
        context = replace(context, round=stage.round)
    started = time.monotonic()
    try:
        summary = getattr(importlib.import_module(f"aftune.pipeline.{module}"), function)(context)
    except BaseException as error:
        with contextlib.suppress(OSError):
            context.run.interrupted(stage.name, time.monotonic() - started)
        # torch and safetensors report a full disk in words of their own, so the disk is asked.
        if isinstance(error, Exception) and not isinstance(error, AftuneError) and context.run.is_full():
            raise StageError(
                f"run_dir: the disk of {context.run.path} is full; free some space and run again, finished work is kept"
            ) from error
        raise
    context.run.finish(stage.name, time.monotonic() - started, summary)
    seconds = context.run.entry(stage.name)["seconds"]
    report(f"[bold]{stage.name:<9}[/bold] [green]done[/green] in {seconds:,.1f} s  {escape(_brief(summary))}")


def _brief(summary: dict[str, Any]) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {_number(value)}" for key, value in summary.items() if isinstance(value, int | float | str)
    )


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
