"""Checks before a run touches its directory: what it needs is here, the directory is its own, and no old result looks current.

A run directory belongs to one task (with its data), one base model and one seed. Any other setting may change: what depends on it
is done again. With another task, model or seed nothing of the run would stay, so this is more likely a slip than a wish.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftune.common.errors import UsageError
from aftune.interchange.importers import find_source
from aftune.pipeline.directory.run_directory import RESULTS, RunDirectory
from aftune.pipeline.registry import HELD_OUT, MEASURE, PREPARE, REPORT
from aftune.recipe import Recipe

if TYPE_CHECKING:
    from aftune.pipeline.context import Context
    from aftune.pipeline.plans import Plan


def check_inputs(context: "Context", wanted: "Sequence[Plan]") -> None:
    """Raises AftuneError for data, a model or candidates that are not here, where a stage that is to run reads them."""
    recipe = context.recipe
    todo = {item.stage.name for item in wanted if item.status != "finished"}
    if recipe.candidates is not None and "sample" in todo:
        find_source(recipe.candidates, recipe.data)
    if PREPARE.name in todo:
        _ = context.tokenizer
        for split in ("test", "validation", "train"):
            context.task.split_size(context.task.parse_slice(getattr(recipe.task, split)).split)


def other_recipe(recipe: Recipe, run: RunDirectory, plans: "Sequence[Plan]") -> str | None:
    """How the recipe whose run the directory holds differs, `seed: 0 -> 1, ...`; None if it is not another one."""
    prepare = next((item for item in plans if item.stage.name == PREPARE.name), None)
    if prepare is None or prepare.status != "redo" or not run.has_finished():
        return None
    old, new = _identity(run.recipe_values()), _identity(recipe.model_dump(mode="json"))
    changes = [f"{key}: {old[key]} -> {new[key]}" for key in new if key in old and old[key] != new[key]]
    return ", ".join(changes) or None


def claim(recipe: Recipe, run: RunDirectory, plans: "Sequence[Plan]", *, overwrite: bool) -> bool:
    """Removes the run of another recipe and says whether there was one; raises UsageError if there is, without `overwrite`."""
    changes = other_recipe(recipe, run, plans)
    if changes is None:
        return False
    if not overwrite:
        raise UsageError(
            f"run_dir: {run.path} holds the run of another recipe ({changes}); choose another folder with run_dir=FOLDER, "
            "or replace that run with --overwrite of `aftune run` or `aftune compare`"
        )
    run.clear()
    return True


def put_away(run: RunDirectory, plans: "Sequence[Plan]", report: Callable[[str], None]) -> None:
    """Removes the page and the metrics where they are to be made again, and moves the folders of stages that the recipe does not
    have into `unused/`."""
    states = {item.stage.name: item.status for item in plans}
    if states.get(REPORT.name) != "finished":
        for name in RESULTS:
            (run.path / name).unlink(missing_ok=True)
    for name in run.manifest()["stages"]:
        if name not in states and name not in (HELD_OUT.name, MEASURE.name):
            place = run.set_aside(name)
            report(f"[dim]{name:<9} not in this recipe, moved to {place}[/dim]")


def _identity(values: dict[str, Any]) -> dict[str, Any]:
    """What tells one run from another, by key; folders by where they are."""
    task = values.get("task") or {}
    parts = [f"{part.get('name')} ({_place(part.get('data'))})" for part in task.get("parts") or ()]
    known = {"task.name": task.get("name"), "task.parts": parts, "data": _place(values.get("data")), "seed": values.get("seed")}
    model = values.get("model") or {}
    return known | {f"model.{key}": model.get(key) for key in ("name", "revision")} if values else {}


def _place(folder: str | None) -> str:
    return "none" if folder is None else str(Path(folder).resolve())
