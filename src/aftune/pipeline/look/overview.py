"""The runs and comparisons below a folder, with their key figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aftune.common.errors import AftuneError, NotFoundError, UsageError
from aftune.common.json_text import read_json
from aftune.common.wording import counted
from aftune.pipeline.directory.metrics_file import read_metrics
from aftune.pipeline.look.places import below, last_change
from aftune.pipeline.look.states import ComparisonState, RunState, state_of
from aftune.recipe.names import method_name


@dataclass(frozen=True)
class Figures:
    """Shares, 0 to 1; None where there is no such figure. accuracy: by `base`, `vft` and `aligned`."""

    accuracy: Mapping[str, float] = field(default_factory=dict)
    assessment: float | None = None


@dataclass(frozen=True)
class Row:
    """A run or a comparison. changed: seconds since 1970. methods: the figures of a comparison's methods, means over its seeds.
    trouble: why it cannot be read, if that is so."""

    path: Path
    changed: float
    name: str
    task: str = ""
    model: str = ""
    method: str = ""
    state: str = "?"
    figures: Figures = Figures()
    methods: Mapping[str, Figures] = field(default_factory=dict)
    trouble: str = ""


def runs_below(folder: Path) -> list[Row]:
    """The runs and comparisons below a folder, the one that changed last first; raises UsageError where there is none."""
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; give one with runs in it, as in `aftune runs FOLDER`")
    rows = [_row(path) for path in below(folder)]
    if not rows:
        raise UsageError(
            f"{folder}: holds no run; expected run directories, with recipe.yaml and manifest.json, somewhere below it"
        )
    return sorted(rows, key=lambda row: -row.changed)


def _row(path: Path) -> Row:
    changed = last_change(path)
    try:
        found = state_of(path)
        recipe = found.recipe
        row = Row(path, changed, recipe.title, recipe.task_title, recipe.model.name, state=found.state)
        more = _of_comparison(found) if isinstance(found, ComparisonState) else _of_run(found)
        return Row(**{**row.__dict__, **more})
    except AftuneError as error:
        return Row(path, changed, path.name, trouble=str(error))


def _of_run(found: RunState) -> dict[str, Any]:
    path = found.path / "metrics.json"
    results = read_metrics(path)["results"] if path.is_file() else {}
    accuracy = {key: results[key]["accuracy"] for key in ("base", "vft", "aligned") if key in results}
    figures = Figures(accuracy, results.get("aligned", {}).get("assessment_accuracy"))
    return {"method": method_name(found.recipe.align), "figures": figures}


def _of_comparison(found: ComparisonState) -> dict[str, Any]:
    results = read_json(found.path / "compare.json", missing={"methods": []})
    methods = {}
    for method in results["methods"]:
        means = {key: value["mean"] for key, value in method["metrics"].items()}
        if "accuracy" in means:
            key = "vft" if method["name"] == "vft" else "aligned"
            methods[method["title"]] = Figures({key: means["accuracy"]}, means.get("assessment_accuracy"))
    sizes = f"compare: {counted(len(found.methods), 'method')}, {counted(len(found.runs), 'seed')}"
    return {"method": sizes, "methods": methods}
