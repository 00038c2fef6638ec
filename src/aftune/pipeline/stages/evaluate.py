"""Stage `evaluate`: every model of the run on the same held-out problems and candidates."""

from collections.abc import Sequence
from typing import Any

from aftune.common.json_text import write_json
from aftune.common.process import release_memory
from aftune.common.progress import progress_bar
from aftune.evaluation.statistics import paired_difference
from aftune.pipeline import processes
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.registry import policies
from aftune.pipeline.stages.held_out import held_out_groups
from aftune.pipeline.stages.measure import measure_policy
from aftune.pipeline.warning_signs import of_labelling, of_results
from aftune.pipeline.workers import executor, jobs_for
from aftune.recipe.names import model_names
from aftune.records import Group, JudgedResponse
from aftune.records.appended import forget_all_checksums
from aftune.records.large_files import RecordFile


def evaluate(context: Context) -> Summary:
    """Writes the files of labelling (see `label`), for each model what `measure_policy` writes, and `metrics.json`."""
    folder = context.folder("evaluate")
    groups, counts = held_out_groups(context, folder)
    results = _measure_all(context, groups)
    verdicts = {name: RecordFile(folder / name / "verdicts.jsonl", JudgedResponse) for name in results}
    metrics: dict[str, Any] = {
        "seed": context.recipe.seed,
        "task": context.recipe.task_title,
        "results": results,
        "comparisons": {
            f"aligned_vs_{other}": _compare(verdicts["aligned"], verdicts[other]) for other in verdicts if other != "aligned"
        },
    }
    write_json(folder / "metrics.json", metrics)
    forget_all_checksums(folder)
    warnings = of_labelling(counts, context.recipe, "evaluate") + of_results(results, context.recipe)
    return {**{f"accuracy_{name}": result["accuracy"] for name, result in results.items()}, "warnings": warnings}


def _measure_all(context: Context, groups: Sequence[Group]) -> dict[str, Any]:
    """Metrics of each model by its name; small models are measured in parallel."""
    named = policies(context.recipe)
    alone = processes.number() > 1 or context.recipe.evaluate.engine.kind != "transformers"  # others share the machine themselves
    jobs = 1 if alone else jobs_for(context.recipe, len(named), len(groups))
    if jobs == 1:
        return {name: _measure(context, name, stage) for name, stage in named.items()}
    results: dict[str, Any] = {}
    with executor(jobs) as workers, progress_bar("evaluate", len(named), "models") as update:
        waiting = {name: workers.submit(_measure, context, name, stage) for name, stage in named.items()}
        for name, future in waiting.items():
            results[name] = future.result()
            update(len(results))
    return results


def _measure(context: Context, name: str, stage: str) -> dict[str, Any]:
    folder = context.folder("evaluate")
    groups = RecordFile(folder / "groups.jsonl", Group)
    [label] = model_names([name], context.recipe)
    metrics = measure_policy(context, folder / name, stage, groups, f"evaluate: {label.label}")
    release_memory()
    return metrics


def _compare(ours: Sequence[JudgedResponse], theirs: Sequence[JudgedResponse]) -> dict[str, Any]:
    paired = paired_difference([verdict.right for verdict in ours], [verdict.right for verdict in theirs])
    return {"difference": paired.difference, "ci95": paired.interval, "p_value": paired.p_value}
