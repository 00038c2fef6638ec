"""Stage `sample`: k candidates for each training problem, from the latest model or from a file made elsewhere."""

from collections.abc import Sequence
from pathlib import Path

from aftune.importers import import_candidates
from aftune.pipeline.context import Context, Summary
from aftune.recipe import SamplingSection
from aftune.records import Candidate, Problem, write_records
from aftune.sampling import TransformersEngine
from aftune.sampling.collect import collect_candidates
from aftune.seeds import derive_seed


def sample(context: Context) -> Summary:
    """Writes `candidates.jsonl`, appended block by block."""
    path = context.folder("sample") / "candidates.jsonl"
    purpose = context.folder("sample").name
    candidates = candidates_of(context, context.latest, context.problems("train"), context.recipe.sample, path, purpose)
    truncated = sum(candidate.finish_reason == "length" for candidate in candidates)
    return {"candidates": len(candidates), "truncated": truncated}


def candidates_of(
    context: Context, stage: str, problems: Sequence[Problem], section: SamplingSection, path: Path, purpose: str
) -> list[Candidate]:
    """Candidates for problems, in a file: sampled from a stage's model, or imported where the recipe has some for the VFT model.

    Different purposes have independent random streams.
    """
    recipe = context.recipe
    if recipe.candidates is not None and stage == "sft":
        candidates = import_candidates(recipe.candidates, recipe.data, problems)
        write_records(path, candidates)
        return candidates
    return collect_candidates(
        TransformersEngine(context.load_policy(stage), context.tokenizer, section.batch_size),
        problems,
        context.prompter,
        context.settings(section),
        num_candidates=section.num_candidates,
        seed=derive_seed(recipe.seed, purpose),
        path=path,
        title=f"{purpose}: candidates",
    )
