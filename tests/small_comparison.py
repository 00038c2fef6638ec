"""A comparison that runs in seconds, and a driver that runs some methods of it and kills itself at a given moment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aftune.pipeline.compare import runs
from aftune.pipeline.compare.results import gather, write
from aftune.recipe import Recipe
from small_run import kill_at

SETTINGS: dict[str, Any] = {
    "model": {"precision": "float32"},  # the same on every machine
    "task": {"train": "train[:8]", "validation": "validation[:4]", "test": "test[6:12]"},
    "sft": {"learning_rate": 3e-4, "num_epochs": 1, "batch_size": 4},
    "sample": {"num_candidates": 3, "max_new_tokens": 64, "batch_size": 4},  # blocks of 18 of 24 candidates
    "align": {"beta": 0.15, "learning_rate": 1e-3, "num_epochs": 2, "batch_size": 4},
    "evaluate": {"num_candidates": 3, "num_votes": 2, "temperature": 0.7, "max_new_tokens": 64, "batch_size": 8},
}

METHODS = (
    "vft",
    "vft-steps",
    "vft-compute",
    "rft",
    "dpo",
    "dpo-bc:beta=20",
    "pro",
    "rrhf-dc",
    "aft",
    "aft-bc:beta=auto",
    "aft-bc:feedback=ranking",
    "aft-bc:k=2",
    "aft-bc:rounds=2",
)


def recipe(run_dir: Path, **sections: Any) -> Recipe:
    merged: dict[str, Any] = dict(SETTINGS)
    for name, values in sections.items():
        merged[name] = {**SETTINGS.get(name, {}), **values} if isinstance(values, dict) else values
    return Recipe.model_validate({"run_dir": str(run_dir), **merged})


def run(wanted: runs.Comparison, jobs: int = 1) -> list[runs.Failure]:
    """What the command does, without its printing."""
    failures = runs.run(wanted, jobs, lambda line: None)
    write(wanted, gather(wanted))
    return failures


def main(run_dir: Path, methods: Sequence[str], place: str, calls: int | None) -> None:
    """Kills itself at a place, which is `seed-0/STAGE` or `METHOD/STAGE`."""
    kill_at(place, calls, lambda run, stage: f"{run.path.name}/{stage}")
    run(runs.comparison(recipe(run_dir), methods))
