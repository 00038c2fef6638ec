"""Stage `sample`: k candidates for each training problem, from the latest model or from a file made elsewhere."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aftune.common.seeds import derive_seed
from aftune.common.text_files import text_lines, write_lines
from aftune.interchange.importers import import_candidates
from aftune.pipeline import processes
from aftune.pipeline.context import Context, Summary
from aftune.recipe import SamplingSection
from aftune.records import Candidate, Problem, iter_records, write_records
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
    return sampled(context, Sampling(stage, problems, section, draw, path, f"{purpose}: candidates"))


@dataclass(frozen=True)
class Sampling:
    """Candidates that are wanted: from a stage's model for problems, in a file; title: for the progress bar."""

    stage: str
    problems: Sequence[Problem]
    section: SamplingSection
    draw: Draw
    path: Path
    title: str


def sampled(context: Context, wanted: Sampling) -> list[Candidate]:
    """The candidates in the order of the problems, and in the file; several processes sample for every n-th problem each."""
    if processes.number() == 1 or wanted.path.exists():  # a file that one process began is finished by one
        return _collect(context, wanted, wanted.problems, wanted.path)
    processes.everywhere(_collect_own, context, wanted)
    found: dict[str, list[Candidate]] = defaultdict(list)
    with processes.parts(wanted.path) as parts:
        for path in filter(Path.exists, parts):
            for candidate in iter_records(path, Candidate):
                found[candidate.problem_id].append(candidate)
        candidates = [c for problem in wanted.problems for c in sorted(found[problem.id], key=lambda c: c.index)]
        write_records(wanted.path, candidates)
    return candidates


def _collect_own(context: Context, wanted: Sampling) -> None:
    problems = processes.own(wanted.problems)
    if problems:
        _collect(context, wanted, problems, processes.own_part(wanted.path))


def _collect(context: Context, wanted: Sampling, problems: Sequence[Problem], path: Path) -> list[Candidate]:
    engine = context.engine(wanted.stage, wanted.section)
    return collect_candidates(engine, problems, context.prompter, wanted.draw, path, wanted.title)
