"""Stage `evaluate`: the same held-out problems and the same held-out candidates for every model of the run."""

import gc
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aftune.encoding import encode_group
from aftune.evaluation.assessment import assessment_accuracy
from aftune.evaluation.statistics import mean_interval, paired_difference, proportion_interval
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.label import judge
from aftune.pipeline.sample import vft_candidates
from aftune.progress import progress_bar
from aftune.record_files import RecordFile
from aftune.records import Candidate, Group, GroupScores, Problem, Record, write_json, write_records
from aftune.sampling import TransformersEngine
from aftune.sampling.collect import collect_candidates
from aftune.scoring import score_groups

# The models of a run, by the name of their result, and the stage that made each.
POLICIES = {"base": "base", "vft": "sft", "vft_same_steps": "control", "aligned": "align"}


class Verdict(Record):
    """A greedy response to a held-out problem and what became of it."""

    problem_id: str
    text: str
    answer: str | None = None
    right: bool
    reason: str
    finish_reason: Literal["stop", "length"]


def policies(context: Context) -> dict[str, str]:
    return {name: stage for name, stage in POLICIES.items() if stage != "control" or context.recipe.control.enabled}


def evaluate(context: Context) -> Summary:
    """Writes the files of labelling (see `label`), for each model `<name>/verdicts.jsonl` and `<name>/scores.jsonl`, and
    `metrics.json`."""
    folder = context.folder("evaluate")
    problems = context.problems("test")
    groups = _held_out_groups(context, folder, problems)
    results: dict[str, Any] = {}
    verdicts: dict[str, Sequence[Verdict]] = {}
    for name, stage in policies(context).items():
        verdicts[name] = _verdicts(context, folder / name, name, stage, problems)
        scores = _scores(context, folder / name, name, stage, groups)
        results[name] = accuracy_metrics(problems, verdicts[name]) | assessment_metrics(groups, scores)
        gc.collect()
    metrics: dict[str, Any] = {
        "seed": context.recipe.seed,
        "task": context.recipe.task.name,
        "results": results,
        "comparisons": {
            f"aligned_vs_{other}": _compare(verdicts["aligned"], verdicts[other]) for other in verdicts if other != "aligned"
        },
    }
    write_json(folder / "metrics.json", metrics)
    return {f"accuracy_{name}": result["accuracy"] for name, result in results.items()}


def _held_out_groups(context: Context, folder: Path, problems: Sequence[Problem]) -> Sequence[Group]:
    """Candidates of a fixed policy (VFT) for held-out problems, labelled; made once."""
    candidates = folder / "candidates.jsonl"
    vft_candidates(context, problems, context.recipe.evaluate, candidates, "evaluate")
    judge(context, problems, candidates, folder)
    return RecordFile(folder / "groups.jsonl", Group)


def _verdicts(context: Context, folder: Path, name: str, stage: str, problems: Sequence[Problem]) -> Sequence[Verdict]:
    path = folder / "verdicts.jsonl"
    if path.exists():
        return RecordFile(path, Verdict)
    responses = collect_candidates(
        TransformersEngine(context.load_policy(stage), context.tokenizer, context.recipe.evaluate.batch_size),
        problems,
        context.task.prompt,
        context.settings(context.recipe.evaluate, greedy=True),
        num_candidates=1,
        seed=0,
        path=folder / "responses.jsonl",
        title=f"evaluate: {name}",
    )
    write_records(path, (_judge(context, problem, response) for problem, response in zip(problems, responses, strict=True)))
    (folder / "responses.jsonl").unlink()
    return RecordFile(path, Verdict)


def _judge(context: Context, problem: Problem, response: Candidate) -> Verdict:
    feedback = context.task.verdict(problem, response.text, context.recipe.label.reading)
    return Verdict(
        problem_id=problem.id,
        text=response.text,
        answer=feedback.answer,
        right=bool(feedback.quality),
        reason=feedback.reason,
        finish_reason=response.finish_reason,
    )


def _scores(context: Context, folder: Path, name: str, stage: str, groups: Sequence[Group]) -> Sequence[GroupScores]:
    path = folder / "scores.jsonl"
    if path.exists():
        return RecordFile(path, GroupScores)
    encoded = (encode_group(context.tokenizer, group, context.task.prompt(group.problem), reference=None) for group in groups)
    with progress_bar(f"evaluate: scores of {name}", len(groups), "groups") as update:
        scores = score_groups(context.load_policy(stage, float32=True), encoded, on_progress=update)
        write_records(path, (GroupScores(problem_id=group.problem.id, scores=s) for group, s in zip(groups, scores, strict=True)))
    return RecordFile(path, GroupScores)


def accuracy_metrics(problems: Sequence[Problem], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Task accuracy with Wilson's interval, the reasons, and accuracy by number of operations where that is known."""
    num_right = sum(verdict.right for verdict in verdicts)
    metrics: dict[str, Any] = {
        "accuracy": num_right / len(verdicts),
        "accuracy_ci95": proportion_interval(num_right, len(verdicts)),
        "num_problems": len(verdicts),
        "reasons": dict(sorted(Counter(verdict.reason for verdict in verdicts).items())),
        "num_truncated": sum(verdict.finish_reason == "length" for verdict in verdicts),
    }
    by_operations: dict[str, list[bool]] = defaultdict(list)
    for problem, verdict in zip(problems, verdicts, strict=True):
        if "num_operations" in problem.metadata:
            by_operations[str(problem.metadata["num_operations"])].append(verdict.right)
    if by_operations:
        metrics["accuracy_by_num_operations"] = {key: float(np.mean(value)) for key, value in sorted(by_operations.items())}
    return metrics


def assessment_metrics(groups: Sequence[Group], scores: Sequence[GroupScores]) -> dict[str, Any]:
    """Assessment accuracy with a bootstrap interval, and mean scores of right and wrong candidates of the mixed groups."""
    shares, better, worse = array("d"), array("d"), array("d")
    for group, row in zip(groups, scores, strict=True):
        share = assessment_accuracy(row.scores, group.qualities)
        if share is not None:
            shares.append(share)
            top = max(group.qualities)
            better.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality == top)
            worse.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality < top)
    return {
        "assessment_accuracy": float(np.mean(shares)) if shares else None,
        "assessment_accuracy_ci95": mean_interval(shares) if shares else None,
        "num_assessed_problems": len(shares),
        "score_positive": float(np.mean(better)) if better else None,
        "score_negative": float(np.mean(worse)) if worse else None,
    }


def _compare(ours: Sequence[Verdict], theirs: Sequence[Verdict]) -> dict[str, Any]:
    paired = paired_difference([verdict.right for verdict in ours], [verdict.right for verdict in theirs])
    return {"difference": paired.difference, "ci95": paired.interval, "p_value": paired.p_value}
