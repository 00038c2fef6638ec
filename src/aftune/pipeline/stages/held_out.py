"""Stage `held_out` of a comparison: candidates of the VFT model for held-out problems, on which all models are assessed."""

from collections.abc import Sequence
from pathlib import Path

from aftune.pipeline.context import Context, Summary
from aftune.pipeline.stages.label import judge
from aftune.pipeline.stages.sample import candidates_of
from aftune.pipeline.warning_signs import of_labelling
from aftune.records import Group
from aftune.records.large_files import RecordFile


def held_out(context: Context) -> Summary:
    """Stage `held_out` of a comparison: writes the groups on which all of its models are assessed."""
    groups, counts = held_out_groups(context, context.folder("held_out"))
    mixed = sum(group.has_pairs for group in groups)
    return {"groups": len(groups), "mixed": mixed, "warnings": of_labelling(counts, context.recipe, "evaluate")}


def held_out_groups(context: Context, folder: Path) -> tuple[Sequence[Group], Summary]:
    """Labelled candidates of a fixed policy (VFT) for held-out problems, and what labelling counted; made once."""
    problems, candidates = context.problems("test"), folder / "candidates.jsonl"
    candidates_of(context, "sft", problems, context.recipe.evaluate, candidates, "evaluate")
    counts = judge(context, problems, candidates, folder, context.recipe.evaluate.engine)
    return RecordFile(folder / "groups.jsonl", Group), counts
