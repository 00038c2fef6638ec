"""What would happen to each stage of a run, and why."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

from aftune.common import checksums
from aftune.pipeline import registry
from aftune.pipeline.directory.changes import input_changes, setting_changes, what_matters
from aftune.pipeline.directory.inputs import Inputs
from aftune.pipeline.directory.run_directory import RunDirectory, fingerprint
from aftune.pipeline.registry import Stage
from aftune.recipe import Recipe

Status = Literal["finished", "resume", "redo", "new"]


@dataclass(frozen=True)
class Plan:
    """What would happen to a stage, and why. fingerprint: the name of what it makes, the same until something that matters
    changes. given_up: the attempt to make it again with other settings, which the finished one replaces."""

    stage: Stage
    fingerprint: str
    settings: dict[str, Any]
    inputs: Inputs
    upstream: "Sequence[Plan]"
    status: Status
    reason: str
    given_up: bool = False


def plan(
    recipe: Recipe,
    run: RunDirectory,
    stages: Sequence[Stage] | None = None,
    earlier: Sequence[Plan] = (),
    redo: Collection[str] = (),
) -> list[Plan]:
    """The state of every stage of a recipe (or of other `stages`) in its run directory; changes nothing.

    earlier: the plan of another run that these stages build on. redo: stages that are made again, and so are those that read them.
    """
    known = {item.stage.name: item for item in earlier}
    plans = []
    for stage in registry.enabled_stages(recipe) if stages is None else stages:
        upstream = [known[name] for name in registry.reads(stage, recipe, known)]
        found = _plan(recipe, run, stage, upstream)
        if stage.name in redo and found.status in ("finished", "resume"):
            again = fingerprint([found.fingerprint, time.time()])
            found = replace(found, fingerprint=again, status="redo", reason="asked for with --redo")
        known[stage.name] = found
        plans.append(found)
    return plans


def recorded_plan(
    recipe: Recipe, run: RunDirectory, stages: Sequence[Stage] | None = None, earlier: Sequence[Plan] = ()
) -> list[Plan]:
    """The same by settings alone: what a stage reads from outside counts as it was then, and may have moved since."""

    def recorded(name: str, recipe: Recipe) -> Inputs:
        inputs: Inputs = run.entry(name).get("inputs", {})
        return inputs

    found = registry.enabled_stages(recipe) if stages is None else stages
    return plan(recipe, run, [replace(stage, inputs=partial(recorded, stage.name)) for stage in found], earlier)


def _plan(recipe: Recipe, run: RunDirectory, stage: Stage, upstream: Sequence[Plan]) -> Plan:
    entry = run.entry(stage.name)
    settings, inputs = stage.settings(recipe), stage.inputs(recipe)
    reads = {item.stage.name: item.fingerprint for item in upstream}
    made = Plan(stage, "", settings, inputs, upstream, "new", "")
    reasons = _reasons(entry, made, reads) if entry else []
    given_up = bool(reasons and "replaces" in entry and not _reasons(entry["replaces"], made, reads))
    if given_up:
        entry, reasons = entry["replaces"], []
    if entry and not reasons:
        finished = entry["status"] == "finished"
        gone = [path for path in (run.path / stage.leaves, *checksums.gone(run.path / stage.name)) if not path.exists()]
        if finished and gone:
            status, reason = ("redo", f"{gone[0].relative_to(run.path)} is gone")
        else:
            status, reason = ("finished", "") if finished else ("resume", "was interrupted")
        made = replace(made, fingerprint=entry["fingerprint"], given_up=given_up)
        return replace(made, status=cast(Status, status), reason=reason)
    mark = fingerprint([stage.name, stage.version, what_matters(settings), inputs, reads])
    return replace(made, fingerprint=mark, status="redo" if entry else "new", reason=", ".join(reasons))


def _reasons(entry: dict[str, Any], wanted: Plan, reads: dict[str, str]) -> list[str]:
    """Why the result of a stage, finished or begun, is no longer what is wanted; empty if it is."""
    version = entry.get("version")
    if version != wanted.stage.version:
        return [f"aftune itself changed (version {version or 'unknown'} of this stage -> {wanted.stage.version})"]
    settings = what_matters(entry["settings"]), what_matters(wanted.settings)
    changes = setting_changes(*settings) + input_changes(entry["inputs"], wanted.inputs)
    moved = [name for name, mark in reads.items() if entry["reads"].get(name) != mark]
    gone = [name for name in entry["reads"] if name not in reads]
    return changes or ([f"depends on {', '.join(moved + gone)}"] if moved or gone else [])


@dataclass(frozen=True)
class Shared:
    """A run whose finished stages another run builds on."""

    recipe: Recipe
    stages: Sequence[Stage]

    def plan(self) -> list[Plan]:
        return plan(self.recipe, RunDirectory(self.recipe.run_dir), self.stages)
