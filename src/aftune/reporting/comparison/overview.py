"""What was compared, and which runs are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aftune.common.wording import duration
from aftune.reporting.comparison.entries import finished, title
from aftune.reporting.formatting import MISSING, count
from aftune.reporting.run.facts import Fact, model_name


@dataclass(frozen=True)
class Unfinished:
    """A method without results for some seeds."""

    title: str
    num_seeds: int
    missing: str


def overview(results: Mapping[str, Any]) -> list[Fact]:
    runs, seeds = results["runs"], results["seeds"]
    num_runs = len(results["methods"]) * len(seeds)
    seconds = [run["seconds"] for run in runs if run.get("seconds") is not None]
    return [
        Fact("Task", results["task"]),
        Fact("Model", model_name(results["model"])),
        Fact("Methods", _of(len(finished(results)), len(results["methods"]), "with results")),
        Fact("Seeds" if len(seeds) > 1 else "Seed", ", ".join(map(str, seeds))),
        Fact("Runs", _of(len(runs), num_runs, "finished")),
        Fact("Test problems", _range(runs, "num_problems")),
        Fact("Assessed problems", _range(runs, "num_assessed_problems")),
        Fact("Training time", _together(seconds)),
    ]


def unfinished(results: Mapping[str, Any]) -> list[Unfinished]:
    """Methods that have not finished all seeds, with the seeds that are missing."""
    done = {(run["method"], run["seed"]) for run in results["runs"]}
    return [
        Unfinished(
            title(method),
            method["num_seeds"],
            ", ".join(str(seed) for seed in results["seeds"] if (method["name"], seed) not in done) or MISSING,
        )
        for method in results["methods"]
        if method["num_seeds"] < len(results["seeds"])
    ]


def _together(seconds: list[float]) -> str:
    return f"{duration(sum(seconds))}, all methods together, without the stages they share" if seconds else MISSING


def _of(number: int, total: int, what: str) -> str:
    return f"{count(number)}, all {what}" if number == total else f"{count(number)} of {count(total)} {what}"


def _range(runs: list[Mapping[str, Any]], key: str) -> str:
    """A number that each run has: `500 a seed` or `240 to 260 a seed`."""
    numbers = [run[key] for run in runs if run.get(key) is not None]
    if not numbers:
        return MISSING
    low, high = min(numbers), max(numbers)
    return f"{count(low)} a seed" if low == high else f"{count(low)} to {count(high)} a seed"
