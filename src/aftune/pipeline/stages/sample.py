"""Stage `sample`: k candidates for each training problem, from the latest model or from a file made elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path

from aftune.common.seeds import derive_seed
from aftune.common.text_files import text_lines, write_lines
from aftune.interchange.importers import import_candidates
from aftune.pipeline.context import Context, Summary
from aftune.recipe import SamplingSection
from aftune.records import Candidate, Problem, write_records
from aftune.sampling.collect import Draw, collect_candidates

NOT_IMPORTED = "not_imported.jsonl"


def sample(context: Context) -> Summary:
    """Writes `candidates.jsonl`, block by block; for an import also `not_imported.jsonl`, what was left out of it."""
    path = context.folder("sample") / "candidates.jsonl"
    purpose = context.folder("sample").name
    candidates = candidates_of(context, context.latest, context.problems("train"), context.recipe.sample, path, purpose)
    truncated = sum(candidate.finish_reason == "length" for candidate in candidates)
    summary = {"candidates": len(candidates), "truncated": truncated}
    not_imported = path.parent / NOT_IMPORTED
    if not_imported.exists():
        summary["not_imported"] = sum(1 for _ in text_lines(not_imported))
    return summary


def candidates_of(
    context: Context, stage: str, problems: Sequence[Problem], section: SamplingSection, path: Path, purpose: str
) -> list[Candidate]:
    """Candidates for problems, written to a file: sampled from a stage's model, or imported if the recipe has some in place of
    those of the VFT model.

    Different purposes have independent random streams.
    """
    recipe = context.recipe
    if recipe.candidates is not None and stage == "sft":
        imported = import_candidates(recipe.candidates, recipe.data, problems)
        write_lines(path.parent / NOT_IMPORTED, (json.dumps(row, ensure_ascii=False) for row in imported.left_out))
        write_records(path, imported.candidates)
        return imported.candidates
    draw = Draw(context.settings(section, problems), section.num_candidates, derive_seed(recipe.seed, purpose))
    engine = context.engine(stage, section)
    return collect_candidates(engine, problems, context.prompter, draw, path, f"{purpose}: candidates")
