"""The results of a comparison: one row per run, and for each method a summary over its seeds."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aftune.common.json_text import read_json, write_json
from aftune.common.text_files import write_lines
from aftune.evaluation.accuracy import BY_TASK
from aftune.evaluation.statistics import (
    Interval,
    holm,
    pearson,
    pooled_paired_difference,
    proportion_interval,
    seed_summary,
    share_interval,
)
from aftune.pipeline.compare.methods import Method
from aftune.pipeline.compare.runs import Comparison
from aftune.pipeline.directory.metrics_file import read_metrics
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.estimate.sizes import num_candidates
from aftune.pipeline.plans import Plan
from aftune.pipeline.registry import ALIGN, RL
from aftune.recipe import Recipe
from aftune.recipe.names import BASELINES
from aftune.records import JudgedResponse, Problem
from aftune.records.large_files import RecordFile
from aftune.reporting.comparison import Greedy, render_comparison

_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\n")


def gather(wanted: Comparison) -> dict[str, Any]:
    """Results of all finished runs, as `write` writes them: `runs`, `methods` with a summary of each, `correlation`."""
    shared = {seed: wanted.shared(seed).plan() for seed in wanted.seeds}
    rows = [_run(wanted, method, seed, shared[seed]) for method in wanted.methods for seed in wanted.seeds]
    runs = [row for row in rows if row is not None]
    verdicts = {(row["method"], row["seed"]): _right(Path(row["folder"])) for row in runs}
    methods = [_summary(wanted, method, runs, verdicts) for method in wanted.methods]
    _adjust(methods)
    named = {} if wanted.recipe.name is None else {"name": wanted.recipe.name}
    return named | {
        "task": wanted.recipe.task_title,
        "model": wanted.recipe.model.name,
        "seeds": list(wanted.seeds),
        "methods": methods,
        "correlation": _correlation(methods),
        "runs": runs,
        "settings": wanted.recipe.to_yaml(defaults=False),
        "warnings": _warnings(wanted, runs),
    }


def _warnings(wanted: Comparison, runs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The warnings of all stages of all runs: where each comes from, and its text."""
    places = [(f"seed {seed}, shared stages", wanted.shared(seed).recipe.run_dir) for seed in wanted.seeds]
    places += [(f"seed {row['seed']}, {row['method']}", Path(row["folder"])) for row in runs]
    return [
        {"where": f"{where}, {stage}", "text": text}
        for where, folder in places
        for stage, entry in RunDirectory(folder).manifest()["stages"].items()
        for text in entry.get("warnings", ())
    ]


def write(wanted: Comparison, results: Mapping[str, Any]) -> None:
    """Writes `compare.json`, `compare.csv` (a line for each run) and `compare.html` into the comparison's folder."""
    folder = wanted.recipe.run_dir
    write_json(folder / "compare.json", results)
    write_table(folder / "compare.csv", results["runs"])
    logs = {
        (row["method"], row["seed"]): read_json(Path(row["folder"]) / "align" / "log.json", missing=[]) for row in results["runs"]
    }
    write_lines(folder / "compare.html", [render_comparison(results, logs, _greedy(wanted, results["runs"]))])


def write_table(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file with a line for each run, in which no cell is a formula to a spreadsheet."""
    write_lines(path, _csv(runs))


def _greedy(wanted: Comparison, runs: Sequence[Mapping[str, Any]]) -> Greedy | None:
    """The greedy answers of the first seed that has any."""
    seed = min((row["seed"] for row in runs), default=None)
    if seed is None:
        return None
    problems = RecordFile(wanted.shared(seed).recipe.run_dir / "prepare" / "test.jsonl", Problem)
    return Greedy(seed, problems, {row["method"]: _verdicts(Path(row["folder"])) for row in runs if row["seed"] == seed})


def _verdicts(folder: Path) -> RecordFile[JudgedResponse]:
    return RecordFile(folder / "measure" / "verdicts.jsonl", JudgedResponse)


def _run(wanted: Comparison, method: Method, seed: int, shared: Sequence[Plan]) -> dict[str, Any] | None:
    """The row of a run; None while it is not finished with these settings. Steps and seconds are summed over the rounds."""
    recipe = wanted.method_recipe(method, seed)
    run, stages = RunDirectory(recipe.run_dir), method.stages(recipe)
    if any(item.status != "finished" for item in wanted.method_plan(method, seed, shared)):
        return None
    trained = [run.entry(stage.name) for stage in stages if method.trains and stage.kind == method.trains.kind]
    metrics = read_metrics(recipe.run_dir / "measure" / "metrics.json")
    row: dict[str, Any] = {"method": method.name, "seed": seed, "folder": str(recipe.run_dir)}
    row |= {"optimizer_steps": None, "seconds": None, "beta": None, "k": None}
    if trained:
        row["optimizer_steps"] = sum(entry["summary"]["optimizer_steps"] for entry in trained)
        row["seconds"] = round(sum(entry["seconds"] for entry in trained), 2)
        row["beta"] = None if method.trains is RL else trained[-1]["summary"].get("beta", recipe.align.beta)
    if method.trains is ALIGN:
        most = num_candidates(recipe, recipe.sample)
        row["k"] = min(recipe.align.num_candidates or most, most)
    return row | _scalars(metrics)


def _scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The metrics that are single numbers; those by task are named like `accuracy.arithmetic`."""
    found = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    for name, values in metrics.items():
        if name.endswith(BY_TASK):
            by_task = {f"{name.removesuffix(BY_TASK)}.{task}": value for task, value in values.items()}
            found |= {key: value for key, value in by_task.items() if isinstance(value, int | float)}
    return found


def _loss(method: Method, recipe: Recipe) -> str | None:
    """The alignment loss that a method trains with; None for RFT and the controls."""
    return recipe.align.loss if method.trains is ALIGN and recipe.align.alignment_weight else None


def _right(folder: Path) -> list[bool]:
    return [verdict.right for verdict in _verdicts(folder)]


def _summary(
    wanted: Comparison, method: Method, runs: Sequence[Mapping[str, Any]], verdicts: Mapping[tuple[str, int], list[bool]]
) -> dict[str, Any]:
    own = [row for row in runs if row["method"] == method.name]
    values: dict[str, list[float]] = {}
    for row in own:
        for name, value in row.items():
            if not name.startswith("num_") and name not in ("method", "seed", "folder") and isinstance(value, int | float):
                values.setdefault(name, []).append(value)
    recipe = method.recipe(wanted.recipe)
    summary: dict[str, Any] = {
        "name": method.name,
        "title": method.title,
        "settings": {**method.settings, **method.varied},
        "varied": dict(method.varied),
        "loss": _loss(method, recipe),
        "constraint": recipe.align.constraint if _loss(method, recipe) else None,
        "num_seeds": len(own),
        "metrics": {},
        "differences": {},
    }
    for name, column in values.items():
        spread = seed_summary(column)
        summary["metrics"][name] = {"mean": spread.mean, "sd": spread.std, "ci95": spread.interval, "values": column}
    if own:
        summary["metrics"]["accuracy"]["ci95_problems"] = _accuracy_interval(wanted, method, [row["seed"] for row in own], verdicts)
    for baseline in BASELINES:
        seeds = [row["seed"] for row in own if baseline != method.name and (baseline, row["seed"]) in verdicts]
        if seeds:
            pairs = [(verdicts[method.name, seed], verdicts[baseline, seed]) for seed in seeds]
            paired = pooled_paired_difference(pairs, same_problems=same_problems(wanted, seeds))
            per_seed = seed_summary([sum(ours) / len(ours) - sum(theirs) / len(theirs) for ours, theirs in pairs])
            summary["differences"][baseline] = {
                "difference": paired.difference,
                "ci95": paired.interval,
                "p_value": paired.p_value,
                "sd_over_seeds": per_seed.std,
                "ci95_over_seeds": per_seed.interval,
                "num_seeds": len(seeds),
            }
    return summary


def _accuracy_interval(
    wanted: Comparison, method: Method, seeds: Sequence[int], verdicts: Mapping[tuple[str, int], list[bool]]
) -> Interval:
    """The interval of the mean accuracy, over problems: Wilson's, on the problems of all seeds together; where all seeds have the
    same problems, that of the mean over problems."""
    right = [verdicts[method.name, seed] for seed in seeds]
    if same_problems(wanted, seeds):
        return share_interval([sum(column) / len(column) for column in zip(*right, strict=True)])
    return proportion_interval(sum(map(sum, right)), sum(map(len, right)))


def same_problems(wanted: Comparison, seeds: Sequence[int]) -> bool:
    """Whether all seeds were tested on the same problems; a generated task has different ones for each seed."""
    files = {(wanted.shared(seed).recipe.run_dir / "prepare" / "test.jsonl").read_bytes() for seed in seeds}
    return len(seeds) > 1 and len(files) == 1


def _adjust(methods: Sequence[dict[str, Any]]) -> None:
    """Adds Holm's p-values, over all methods that were compared with the same baseline."""
    for baseline in BASELINES:
        compared = [method["differences"][baseline] for method in methods if baseline in method["differences"]]
        for item, adjusted in zip(compared, holm([item["p_value"] for item in compared]), strict=True):
            item["p_value_holm"] = adjusted


def _correlation(methods: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Pearson's r between accuracy and assessment accuracy, over the methods' means."""
    points = [
        (method["metrics"]["accuracy"]["mean"], method["metrics"]["assessment_accuracy"]["mean"])
        for method in methods
        if "assessment_accuracy" in method["metrics"]
    ]
    found = pearson([accuracy for accuracy, _ in points], [assessed for _, assessed in points])
    return None if found is None else {"r": found.r, "ci95": found.interval, "p_value": found.p_value, "num_methods": len(points)}


def _csv(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(name for row in runs for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name, "")) for name in columns] for row in runs)
    return text.getvalue().removesuffix("\n").split("\n")


def _cell(value: object) -> object:
    """A text that a spreadsheet program would take for a formula gets an apostrophe before it; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = value.replace("\r", "\n")  # the writer would not quote it, and it would end the line
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
