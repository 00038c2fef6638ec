"""Runs stages in order: skips what is finished, continues where a run stopped, redoes what depends on a changed setting."""

import contextlib
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape

import aftune
from aftune.common import checksums, interrupts
from aftune.common.diagnosis import diagnose
from aftune.common.errors import AftuneError, StageError, UsageError
from aftune.common.process import release_memory
from aftune.common.progress_record import recording
from aftune.common.wording import counted
from aftune.models.adapters import check_adapter, check_targets
from aftune.models.devices import pick_device
from aftune.models.four_bit import check_four_bit
from aftune.models.loading import empty_model, load_config
from aftune.pipeline import processes, recipe_task
from aftune.pipeline.directory import claim
from aftune.pipeline.directory.inputs import Inputs
from aftune.pipeline.directory.run_directory import PROGRESS, RESULTS, RunDirectory
from aftune.pipeline.machine_checks import check_engines, check_launch, idle_gpus
from aftune.pipeline.plans import Plan, Shared, plan
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.registry import REPORT, TRAIN, Stage
from aftune.recipe import Recipe
from aftune.training.optimizers import check_optimizer, check_optimizer_name
from aftune.training.trackers import check_trackers

_PACKAGE = Path(aftune.__file__).parent
_LABELLED = ("candidates", "right", "wrong", "no_answer", "groups_mixed", "groups_all_right", "groups_all_wrong")


def check(recipe: Recipe) -> None:
    """Raises UsageError for a task, split, device, adapter, tracker, optimizer or processes that cannot be had, before anything is
    done."""
    check_recipe(recipe)
    device = pick_device(recipe.model.device)
    check_launch(recipe, device)
    check_engines(recipe)
    check_trackers("track.report_to", recipe.track.report_to)
    if recipe.adapter.kind != "none":
        config = load_config(recipe.model.name, **recipe.model.load_options)
        model = None if config is None else empty_model(config)
        if model is not None:
            check_targets(model, recipe.adapter)
        if recipe.adapter.kind == "qlora":
            check_four_bit(device, model)
    for name in ("sft", "align"):
        check_optimizer(f"{name}.optimizer", getattr(recipe, name).optimizer, device, recipe.model.weights)


def check_recipe(recipe: Recipe) -> None:
    """Raises UsageError for a task, split, adapter or optimizer that there is not, whatever the machine."""
    recipe_task.check(recipe)
    check_adapter(recipe.adapter)
    for name in ("sft", "align"):
        check_optimizer_name(f"{name}.optimizer", getattr(recipe, name).optimizer, recipe.model.weights)


def run_stages(
    recipe: Recipe,
    only: str | None = None,
    report: Callable[[str], None] = print,
    *,
    stages: Sequence[Stage] | None = None,
    shared: Shared | None = None,
    overwrite: bool = False,
    redo: Collection[str] = (),
    keep_going: bool = False,
) -> dict[str, Any]:
    """Runs all stages of a recipe, or `only` one, or other `stages`, and gives the manifest's entries.

    redo: stages that are made again although nothing has changed, and with them those that read them. keep_going: after a stage has
    failed, those that do not need it run all the same; the first error is raised at the end.

    Raises StageError when a stage is asked for before one that it reads, UsageError where the directory holds the run of another
    recipe, unless that is to be overwritten. What is refused leaves no directory that was not there. Of several processes only the
    one that leads calls this (`processes.led`).
    """
    from aftune.pipeline.context import Context

    check(recipe)
    if idle := idle_gpus(pick_device(recipe.model.device)):
        report(idle)
    run = RunDirectory(recipe.run_dir)
    settled = settle(recipe, [run])
    recipe = settled.recipe
    for line in settled.lines():
        report(line)
    context = Context(recipe, run, RunDirectory(shared.recipe.run_dir) if shared else None)

    def plans() -> list[Plan]:
        return plan(recipe, run, stages, shared.plan() if shared else [], redo)

    first = plans()
    if unknown := set(redo) - {item.stage.name for item in first}:
        names = ", ".join(item.stage.name for item in first)
        raise UsageError(f"--redo {min(unknown)}: this recipe has no such stage; it has {names}")
    claim.check_inputs(context, _wanted(first, only))
    made = run.create()
    try:
        with run.locked():
            (run.path / PROGRESS).unlink(missing_ok=True)  # of a run that was killed
            current = plans()
            if claim.claim(recipe, run, current, overwrite=overwrite):
                report(f"the run of another recipe in {escape(str(run.path))} was removed")
                current = plans()
            wanted = _wanted(current, only)
            if stages is None:
                claim.put_away(run, current, report)
            run.write_recipe(recipe)
            run.note_precision(recipe.model.precision, settled.why)
            for item in current:
                if item.given_up:
                    run.give_back(item.stage.name)
            _run_all(context, wanted, report, keep_going=keep_going)
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
        raise StageError(f"{only}: this recipe has no such stage; `aftune run --dry-run` lists its stages")
    _check_inputs(*wanted)
    return wanted


def _check_inputs(item: Plan) -> None:
    for earlier in item.upstream:
        if earlier.status != "finished":
            why = f" ({earlier.reason})" if earlier.reason else ""
            raise StageError(
                f"{item.stage.name}: stage {earlier.stage.name} is not finished with these settings{why}; run it first "
                f"(aftune {earlier.stage.name} RECIPE)"
            )


def _run_all(context: Any, wanted: Sequence[Plan], report: Callable[[str], None], *, keep_going: bool) -> None:
    done, missing = set[str](), dict[str, AftuneError]()
    for item in wanted:
        try:
            needs = {earlier.stage.name for earlier in item.upstream}
            if lacking := needs & missing.keys():
                report(f"{item.stage.name:<9} [yellow]not run: it needs {', '.join(sorted(lacking))}[/yellow]")
                missing[item.stage.name] = missing[min(lacking)]
                continue
            if item.status != "finished":
                _check_files(context, sorted(needs - done), item)
                done.add(item.stage.name)
            _run_one(context, item, report)
        except Exception as error:
            if not keep_going:
                raise
            missing[item.stage.name] = diagnose(error)
            report(f"{item.stage.name:<9} [red]failed: {escape(str(missing[item.stage.name]))}[/red]")
    if missing:
        raise next(iter(missing.values()))


def _check_files(context: Any, earlier: Sequence[str], item: Plan) -> None:
    """Raises StageError where files that a stage is about to read are no longer what an earlier call of `run_stages` left."""
    for name in earlier:
        own = context.run.entry(name)
        run = context.run if own or context.shared is None else context.shared
        checksums.check(run.folder(name), run.entry(name).get("files"), item.stage.name)


def _run_one(context: Any, item: Plan, report: Callable[[str], None]) -> None:
    stage = item.stage
    if item.status == "finished":
        report(f"[dim]{stage.name:<9} finished before, skipped[/dim]")
        _report_warnings(stage.name, context.run.entry(stage.name).get("warnings", []), report)
        return
    if item.status in ("redo", "resume"):
        report(f"{stage.name:<9} [yellow]{'again' if item.status == 'redo' else 'continues'}[/yellow]: {escape(item.reason)}")
    from aftune.pipeline.stage_functions import FUNCTIONS  # with all that stages need

    function = FUNCTIONS[stage.kind]
    context.run.begin(stage.name, made_by(item, context.recipe.seed), keep=item.status == "resume")
    if context.round != stage.round:
        context = replace(context, round=stage.round)
    started = time.monotonic()
    try:
        with recording(context.run.path / PROGRESS, stage.name), _noted(stage.name, report) as noted, interrupts.kept():
            summary = processes.everywhere(function, context) if stage.kind in TRAIN else function(context)
    except BaseException as error:
        with contextlib.suppress(OSError):
            context.run.interrupted(stage.name, time.monotonic() - started, *_how_it_ended(error))
        # torch and safetensors report a full disk in words of their own, so the disk is asked.
        if isinstance(error, Exception) and not isinstance(error, AftuneError) and context.run.is_full():
            raise StageError(
                f"run_dir: the disk of {context.run.path} is full; free some space and run again, finished work is kept"
            ) from error
        raise
    release_memory()
    found = [*noted, *summary.pop("warnings", [])]
    beside = [context.run.path / name for name in RESULTS if stage.kind == REPORT.kind]
    outcome = {
        "summary": summary,
        "warnings": found,
        "inputs": inputs_by_now(context.recipe, item),
        "files": checksums.write_list(context.run.folder(stage.name), *beside),
    }
    context.run.finish(stage.name, time.monotonic() - started, outcome)
    seconds = context.run.entry(stage.name)["seconds"]
    report(f"[bold]{stage.name:<9}[/bold] [green]done[/green] in {seconds:,.1f} s  {escape(_brief(summary))}")
    _report_warnings(stage.name, [text for text in found if text not in noted], report)


def _how_it_ended(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Exception):
        return "failed", str(diagnose(error))
    return "interrupted", getattr(error, "name", type(error).__name__)


@contextlib.contextmanager
def _noted(stage: str, report: Callable[[str], None]) -> Iterator[list[str]]:
    """What our own code warns of within the block: reported at once, and listed."""
    found: list[str] = []
    with warnings.catch_warnings():
        show = warnings.showwarning

        def note(message: Any, category: type[Warning], filename: str, *place: Any) -> None:
            if category is UserWarning and Path(filename).is_relative_to(_PACKAGE):
                found.append(str(message))
                _report_warnings(stage, found[-1:], report)
            else:
                show(message, category, filename, *place)

        warnings.showwarning = note  # type: ignore[assignment]
        yield found


def made_by(item: Plan, seed: int) -> dict[str, Any]:
    """What decides a stage's files, for the manifest; settings with their actual values, harmless ones included."""
    return {
        "fingerprint": item.fingerprint,
        "version": item.stage.version,
        "seed": seed,
        "settings": item.settings,
        "inputs": item.inputs,
        "reads": {earlier.stage.name: earlier.fingerprint for earlier in item.upstream},
    }


def _report_warnings(stage: str, found: Sequence[str], report: Callable[[str], None]) -> None:
    for text in found:
        report(f"{stage:<9} [yellow]warning: {escape(text)}[/yellow]")


def inputs_by_now(recipe: Recipe, item: Plan) -> Inputs:
    """The inputs, with the commits of what the stage itself has downloaded from the Hub."""
    if None not in item.inputs.values():
        return item.inputs
    now = item.stage.inputs(recipe)
    return {name: now.get(name) if value is None else value for name, value in item.inputs.items()}


def _brief(summary: dict[str, Any]) -> str:
    """What a stage's line says: its numbers. Labelling counts much: those that matter, and the page has the others."""
    if "candidates" in summary and any(key.startswith("groups_") for key in summary):
        known = {name: summary.get(name, 0) for name in _LABELLED}
        wrong = known["wrong"] + known["no_answer"]
        without = f" ({known['no_answer']:,} without an answer)" if known["no_answer"] else ""
        rest = known["candidates"] - known["right"] - wrong
        groups = ", ".join(f"{known[f'groups_{kind}']:,} {kind.replace('_', ' ')}" for kind in ("mixed", "all_right", "all_wrong"))
        candidates = (
            f"{counted(known['candidates'], 'candidate')}: {known['right']:,} right, {wrong:,} wrong{without}, {rest:,} left out"
        )
        published = {key: value for key, value in summary.items() if key.startswith("published_")}
        return "; ".join(filter(None, [candidates, f"groups: {groups}", _numbers(published)]))
    return _numbers(summary)


def _numbers(summary: dict[str, Any]) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {_number(key, value)}" for key, value in summary.items() if isinstance(value, int | float | str)
    )


def _number(key: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{100 * value:.1f} %" if "accuracy" in key else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
