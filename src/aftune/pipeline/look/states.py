"""The state of a run and of a comparison: which stages are finished, what runs now and how far it is, and what ended how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aftune.common.progress_record import Record, read_record
from aftune.pipeline.compare import methods
from aftune.pipeline.directory.run_directory import PROGRESS, RunDirectory
from aftune.pipeline.look.places import check_run, is_comparison, is_method, newest, seed_folders
from aftune.pipeline.plans import Plan, recorded_plan
from aftune.pipeline.registry import HELD_OUT, REFERENCE, Stage, needs_reference, shared_stages
from aftune.recipe import Recipe, load_recipe

State = Literal["finished", "running", "to do", "again", "waiting", "failed", "interrupted", "killed"]
_ENDED: tuple[State, ...] = ("failed", "killed", "interrupted")  # the gravest first


@dataclass(frozen=True)
class StageState:
    """seconds: of all attempts so far. why: the error, the signal, or what changed."""

    name: str
    state: State
    seconds: float | None = None
    why: str = ""
    warnings: int = 0


@dataclass(frozen=True)
class RunState:
    """progress: of the stage under way, or of the one that did not end by itself."""

    path: Path
    recipe: Recipe
    stages: Sequence[StageState]
    in_use: bool
    progress: Record | None = None

    @property
    def state(self) -> State | Literal["unfinished"]:
        """Of the run as a whole."""
        states = [stage.state for stage in self.stages]
        if self.in_use:
            return "running"
        if all(state == "finished" for state in states):
            return "finished"
        ended = next((state for state in _ENDED if state in states), None)
        return ended or ("unfinished" if "finished" in states else "to do")


@dataclass(frozen=True)
class ComparisonState:
    """runs: by seed, the shared stages under `shared` and each method under its name; None for one that has not begun."""

    path: Path
    recipe: Recipe
    methods: Sequence[str]
    runs: Mapping[int, Mapping[str, RunState | None]] = field(default_factory=dict)

    @property
    def state(self) -> State | Literal["unfinished"]:
        """Of the comparison as a whole: of its runs the one that says most."""
        states = [None if run is None else run.state for runs in self.runs.values() for run in runs.values()]
        if "running" in states:
            return "running"
        if all(state == "finished" for state in states):
            return "finished"
        return next((state for state in _ENDED if state in states), "unfinished")


def state_of(path: Path | None) -> RunState | ComparisonState:
    """The state of a run or a comparison, by default of the newest run in ./runs.

    Raises UsageError for a folder that is neither, StageError for a damaged manifest.
    """
    path = newest() if path is None else path
    check_run(path)
    return comparison_state(path) if is_comparison(path) else run_state(path)


def run_state(path: Path) -> RunState:
    """Of the run of a recipe, or of a seed or a method of a comparison."""
    run = RunDirectory(path)
    recipe = load_recipe(path / "recipe.yaml").model_copy(update={"run_dir": path})
    in_use = run.in_use()
    progress = read_record(path / PROGRESS)
    plans = recorded_plan(recipe, run, *_stages(path, recipe))
    now = progress.stage if in_use and progress else None
    stages = [_stage(item, run.entry(item.stage.name), now, in_use=in_use) for item in plans]
    return RunState(path, recipe, stages, in_use, progress)


def _stages(path: Path, recipe: Recipe) -> tuple[Sequence[Stage] | None, Sequence[Plan]]:
    """The stages of a run where they are not those of its recipe, and the plans that they build on."""
    known = RunDirectory(path).manifest()["stages"]
    if is_method(path):
        shared = path.parent.parent
        common = load_recipe(shared / "recipe.yaml")
        stages = methods.parse(methods.name_of_folder(path.name)).stages(recipe)
        return stages, recorded_plan(common, RunDirectory(shared), _shared_stages(shared, common))
    if HELD_OUT.name in known or is_comparison(path.parent):
        return _shared_stages(path, recipe), ()
    return None, ()


def _shared_stages(path: Path, recipe: Recipe) -> list[Stage]:
    chosen = (methods.parse(name) for name in _method_names(path.parent, recipe))
    needed = REFERENCE.name in RunDirectory(path).manifest()["stages"]
    needed = needed or any(needs_reference(method.recipe(recipe)) for method in chosen)
    return shared_stages(recipe, with_reference=needed)


def _stage(item: Plan, entry: Mapping[str, Any], now: str | None, *, in_use: bool) -> StageState:
    name, warnings = item.stage.name, len(entry.get("warnings", ()))
    if name == now:
        return StageState(name, "running", entry.get("seconds"))
    if item.status == "finished":
        return StageState(name, "finished", entry["seconds"], warnings=warnings)
    if item.status == "new":
        return StageState(name, "to do")
    if in_use:
        return StageState(name, "waiting", entry.get("seconds"), item.reason)
    if entry["status"] == "running":
        ended = entry.get("ended", {"how": "killed", "why": "the process ended without a word"})
        return StageState(name, ended["how"], entry.get("seconds"), ended["why"])
    return StageState(name, "again", entry.get("seconds"), item.reason)


def comparison_state(path: Path) -> ComparisonState:
    """Of a comparison: its seeds and methods, those of its recipe and those that have been run before."""
    seeds = seed_folders(path)
    own = path / "recipe.yaml"
    recipe = load_recipe(own if own.is_file() else next(iter(seeds)) / "recipe.yaml").model_copy(update={"run_dir": path})
    names = _method_names(path, recipe)
    first = min([recipe.seed, *seeds.values()])
    wanted = {first + number for number in range(recipe.compare.num_seeds)} if own.is_file() else set()
    runs = {}
    for seed in sorted({*seeds.values(), *wanted}):
        folder = path / f"seed-{seed}"
        places = {"shared": folder} | {name: folder / "methods" / methods.folder_name(name) for name in names}
        runs[seed] = {name: run_state(place) if (place / "recipe.yaml").is_file() else None for name, place in places.items()}
    return ComparisonState(path, recipe, names, runs)


def _method_names(path: Path, recipe: Recipe) -> list[str]:
    own = path / "recipe.yaml"
    asked = list(load_recipe(own).compare.methods) if own.is_file() else []
    there = sorted(methods.name_of_folder(folder.name) for seed in seed_folders(path) for folder in seed.glob("methods/*"))
    return list(dict.fromkeys([*asked, *there]))
