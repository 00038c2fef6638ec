"""Stage `evaluate`, and its parts for comparisons: the same held-out problems and candidates for every model."""

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aftune.common.json_text import write_json
from aftune.common.progress import progress_bar
from aftune.evaluation.statistics import paired_difference
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.registry import in_round
from aftune.pipeline.stages.label import judge
from aftune.pipeline.stages.measure import Verdict, measure_policy
from aftune.pipeline.stages.sample import candidates_of
from aftune.pipeline.warning_signs import of_labelling, of_results
from aftune.pipeline.workers import executor, jobs_for
from aftune.recipe.names import CONTROLS
from aftune.records import Group
from aftune.records.large_files import RecordFile


def policies(context: Context) -> dict[str, str]:
    """The models of a run, by the name of their result, and the stage that made each; `aligned` is that of the last round."""
    last = context.recipe.rounds
    named = {"base": "base", "vft": "sft"}
    if context.recipe.control.enabled:
        named[CONTROLS[context.recipe.control.match].key] = "control"
    named |= {f"aligned_round_{number}": in_round("align", number) for number in range(1, last)}
    return named | {"aligned": in_round("align", last)}


def evaluate(context: Context) -> Summary:
    """Writes the files of labelling (see `label`), for each model what `measure_policy` writes, and `metrics.json`."""
    folder = context.folder("evaluate")
    groups, counts = held_out_groups(context, folder)
    results = _measure_all(context, groups)
    verdicts = {name: RecordFile(folder / name / "verdicts.jsonl", Verdict) for name in results}
    metrics: dict[str, Any] = {
        "seed": context.recipe.seed,
        "task": context.recipe.task.title,
        "results": results,
        "comparisons": {
            f"aligned_vs_{other}": _compare(verdicts["aligned"], verdicts[other]) for other in verdicts if other != "aligned"
        },
    }
    write_json(folder / "metrics.json", metrics)
    warnings = of_labelling(counts, context.recipe, "evaluate") + of_results(results, context.recipe)
    return {**{f"accuracy_{name}": result["accuracy"] for name, result in results.items()}, "warnings": warnings}


def _measure_all(context: Context, groups: Sequence[Group]) -> dict[str, Any]:
    """Metrics of each model by its name; small models beside each other."""
    named = policies(context)
    jobs = jobs_for(context.recipe, len(named), len(groups))
    if jobs == 1:
        return {name: _measure(context, name, stage) for name, stage in named.items()}
    results: dict[str, Any] = {}
    with executor(jobs) as workers, progress_bar("evaluate", len(named), "models") as update:
        # Without what the context has loaded: each process loads its own.
        waiting = {name: workers.submit(_measure, replace(context), name, stage) for name, stage in named.items()}
        for name, future in waiting.items():
            results[name] = future.result()
            update(len(results))
    return results


def _measure(context: Context, name: str, stage: str) -> dict[str, Any]:
    folder = context.folder("evaluate")
    groups = RecordFile(folder / "groups.jsonl", Group)
    metrics = measure_policy(context, folder / name, stage, groups, f"evaluate: {name}")
    gc.collect()
    return metrics


def held_out(context: Context) -> Summary:
    """Stage `held_out` of a comparison: writes the groups that all of its models are assessed on."""
    groups, counts = held_out_groups(context, context.folder("held_out"))
    mixed = sum(group.has_pairs for group in groups)
    return {"groups": len(groups), "mixed": mixed, "warnings": of_labelling(counts, context.recipe, "evaluate")}


def measure(context: Context) -> Summary:
    """Stage `measure` of a comparison: writes `metrics.json` of the model that a method trained, else of the VFT model."""
    folder = context.folder("measure")
    last = in_round("align", context.recipe.rounds)
    trained = next((stage for stage in (last, "control") if context.run.folder(stage).exists()), "sft")
    groups = RecordFile(context.folder("held_out") / "groups.jsonl", Group)
    metrics = measure_policy(context, folder, trained, groups, f"measure {context.run.path.name}")
    write_json(folder / "metrics.json", metrics)
    key = {"sft": "vft", "control": CONTROLS[context.recipe.control.match].key}.get(trained, "aligned")
    summary = {name: metrics[name] for name in ("accuracy", "assessment_accuracy")}
    return summary | {"warnings": of_results({key: metrics}, context.recipe)}


def held_out_groups(context: Context, folder: Path) -> tuple[Sequence[Group], Summary]:
    """Candidates of a fixed policy (VFT) for held-out problems, labelled, with what labelling counted; made once."""
    problems, candidates = context.problems("test"), folder / "candidates.jsonl"
    candidates_of(context, "sft", problems, context.recipe.evaluate, candidates, "evaluate")
    counts = judge(context, problems, candidates, folder)
    return RecordFile(folder / "groups.jsonl", Group), counts


def _compare(ours: Sequence[Verdict], theirs: Sequence[Verdict]) -> dict[str, Any]:
    paired = paired_difference([verdict.right for verdict in ours], [verdict.right for verdict in theirs])
    return {"difference": paired.difference, "ci95": paired.interval, "p_value": paired.p_value}
