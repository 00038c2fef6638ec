"""A recipe that runs all stages in seconds, and a driver that runs it and kills itself at a given moment."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aftune.pipeline.directory import run_directory
from aftune.pipeline.plans import plan
from aftune.pipeline.runner import made_by, run_stages
from aftune.recipe import Recipe
from aftune.sampling import collect
from aftune.training import AlignmentTrainer

# Short responses: the time that a run takes is that of its tokens. Problems and temperatures are such that some of the groups that
# are trained on and assessed are mixed, and that the models differ in what they get right.
SETTINGS: dict[str, Any] = {
    "model": {"precision": "float32"},  # the same on every machine
    "task": {"options": {"operations": [2]}, "train": "train[12:24]", "validation": "validation[:4]", "test": "test[6:12]"},
    "sft": {"learning_rate": 1e-3, "num_epochs": 2, "batch_size": 4},
    "sample": {"num_candidates": 3, "max_new_tokens": 40, "batch_size": 6},  # blocks of 24 of 36 candidates
    "align": {"beta": 0.15, "learning_rate": 1e-3, "num_epochs": 2, "batch_size": 4},
    "evaluate": {"num_candidates": 4, "temperature": 1.2, "max_new_tokens": 40, "batch_size": 3},  # blocks of 12 of 24 candidates
    "report": {"num_groups": 3},
}

# The stage, and how many blocks or optimizer steps it had done when it was killed; None: just before it was marked finished.
KILL_POINTS: tuple[tuple[str, int | None], ...] = (
    ("prepare", None),
    ("sft", 1),
    ("sft", 4),
    ("sft", None),
    ("sample", 1),
    ("label", None),
    ("align", 4),
    ("control", 5),
    ("evaluate", 1),
    ("evaluate", 4),
    ("report", None),
)


def recipe(run_dir: Path, **sections: dict[str, Any]) -> Recipe:
    merged = {name: SETTINGS.get(name, {}) | sections.get(name, {}) for name in {*SETTINGS, *sections}}
    if "name" in sections.get("task", {}):  # options are those of one task
        merged["task"] = {key: value for key, value in merged["task"].items() if key != "options" or key in sections["task"]}
    return Recipe.model_validate({"run_dir": str(run_dir), **merged})


def finish_all(wanted: Recipe) -> None:
    """A run as it would lie there: the manifest, and of each stage an empty file for what it leaves."""
    run = run_directory.RunDirectory(wanted.run_dir)
    for item in plan(wanted, run):
        run.path.mkdir(parents=True, exist_ok=True)
        run.begin(item.stage.name, made_by(item, wanted.seed), keep=True)
        folder, _, name = item.stage.leaves.rpartition("/")
        ((run.folder(item.stage.name) if folder else run.path) / name).touch()
        run.finish(item.stage.name, 1.0, {"summary": {}, "inputs": item.inputs})


def after_calls(
    function: Callable[..., Any], calls: int | None, act: Callable[[], None], counts: Callable[[], bool] = lambda: True
) -> Callable[..., Any]:
    """The function, except that something is done after its call number `calls`, of those that count."""
    count = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        result = function(*args, **kwargs)
        if counts():
            count += 1
            if count == calls:
                act()
        return result

    return wrapper


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(place: str, calls: int | None, named: Callable[[run_directory.RunDirectory, str], str]) -> None:
    """From now on the process kills itself at a place, which is what `named` makes of a run and its stage."""
    current = [""]
    begin, finish = run_directory.RunDirectory.begin, run_directory.RunDirectory.finish

    def noting_begin(self: Any, name: str, *args: Any, **options: Any) -> None:
        current[0] = named(self, name)
        begin(self, name, *args, **options)

    def killing_finish(self: Any, name: str, *args: Any) -> None:
        if named(self, name) == place and calls is None:
            kill()
        finish(self, name, *args)

    run_directory.RunDirectory.begin = noting_begin  # type: ignore[method-assign]
    run_directory.RunDirectory.finish = killing_finish  # type: ignore[method-assign]
    for owner, name in ((AlignmentTrainer, "training_step"), (collect, "append_records")):
        setattr(owner, name, after_calls(getattr(owner, name), calls, kill, lambda: current[0] == place))


def main(run_dir: Path, stage: str, calls: int | None) -> None:
    """Runs the recipe and kills itself at one of the points above, or never."""
    kill_at(stage, calls, lambda run, name: name)
    run_stages(recipe(run_dir), report=lambda line: None)
