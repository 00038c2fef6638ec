"""Scores of groups that no stage has scored, those of training problems, under the models of their run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look.reading import MODELS, Reading, Shown
from aftune.pipeline.registry import policies
from aftune.pipeline.stages.measure import held_out_scores


def scored(reading: Reading, path: Path) -> Reading:
    """With the scores that are missing, computed as `evaluate` computes them, by the base model and those that are finished."""
    context = Context(reading.recipe, RunDirectory(path))
    stages = {key: stage for key, stage in policies(reading.recipe).items() if key in MODELS}
    ready = {key: stage for key, stage in stages.items() if context.has_model(stage)}
    return replace(reading, problems=[_scored(one, context, ready) for one in reading.problems])


def _scored(one: Shown, context: Context, stages: Mapping[str, str]) -> Shown:
    if one.group is None or one.scores:
        return one
    groups = [one.group]
    scores: dict[str, Sequence[float]] = {}
    for key, stage in stages.items():
        [found] = held_out_scores(context, stage, groups, f"{key}: scores", with_references=False)
        scores[key] = found.scores
    return replace(one, scores=scores)
