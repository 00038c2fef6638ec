"""Stage `sample`: k candidates for each training problem, from the latest model or from a file made elsewhere."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune.common.errors import DataError
from aftune.common.seeds import derive_seed
from aftune.common.text_files import text_lines, write_lines
from aftune.interchange.importers import import_candidates
from aftune.interchange.importers.responses import CUT, NO_PROBLEM
from aftune.pipeline import processes
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.engines import engine_of
from aftune.pipeline.recipe_task import SPLITS
from aftune.pipeline.registry import in_round
from aftune.pipeline.stages.drift import drift
from aftune.recipe import EngineSection, SampleSection, SamplingSection
from aftune.records import Candidate, Problem, iter_records, write_records
from aftune.records.questions import normalised
from aftune.sampling.collect import Asked, Draw, collect_candidates

NOT_IMPORTED = "not_imported.jsonl"
ANOTHER_SPLIT = "a problem of another split"
_MANY = 8  # problems whose candidates are all alike: no chance any more


def sample(context: Context) -> Summary:
    """Writes `candidates.jsonl`, block by block; for an import also `not_imported.jsonl`, what was left out of it."""
    path = context.folder("sample") / "candidates.jsonl"
    purpose = in_round("sample", context.round)
    problems, section = context.problems("train"), context.recipe.sample
    candidates = drawn(context, problems, path, purpose)
    truncated = sum(candidate.finish_reason == "length" for candidate in candidates)
    summary = {"candidates": len(candidates), "truncated": truncated} | used(candidates, section)
    if section.engine.logprobs:
        summary |= drift(context, context.latest, problems, [candidate for candidate in candidates if candidate.source is None])
    not_imported = path.parent / NOT_IMPORTED
    if not_imported.exists():
        reasons = [json.loads(line)["reason"] for _, _, line in text_lines(not_imported)]
        elsewhere = sum(reason.startswith(ANOTHER_SPLIT) for reason in reasons)
        summary |= {"not_imported": len(reasons) - elsewhere} | ({"of_other_splits": elsewhere} if elsewhere else {})
    return summary


def drawn(context: Context, problems: Sequence[Problem], path: Path, purpose: str) -> list[Candidate]:
    """The candidates for problems that section `sample` asks for, from the latest model and all other sources, also in a file."""
    section = context.recipe.sample
    if section.sources and context.recipe.candidates is None:
        return with_sources(context, problems, path, purpose)
    return candidates_of(context, context.latest, problems, section, path, purpose)


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
        left_out = _with_splits(context, problems, imported.left_out)
        write_lines(path.parent / NOT_IMPORTED, (json.dumps(row, ensure_ascii=False) for row in left_out))
        write_records(path, imported.candidates)
        return imported.candidates
    draw = Draw(context.settings(section, problems), section.num_candidates, derive_seed(recipe.seed, purpose))
    return sampled(context, Sampling(stage, problems, section, draw, path, f"{purpose}: candidates"))


def _with_splits(context: Context, problems: Sequence[Problem], left_out: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What was not imported; of candidates for problems of another split that is said, since nothing is wrong with them."""
    ours = {problem.id for problem in problems}
    splits: dict[str | None, str] = {}
    for split in SPLITS:
        for problem in context.problems(split):
            if problem.id not in ours:
                splits |= {problem.id: split, normalised(problem.question[:CUT]): split}
    for row in left_out:
        found = splits.get(row.get("problem_id")) or splits.get(normalised(row.get("question", "")))
        yield row | {"reason": f"{ANOTHER_SPLIT} ({found})"} if row["reason"] == NO_PROBLEM and found else row


def with_sources(context: Context, problems: Sequence[Problem], path: Path, purpose: str) -> list[Candidate]:
    """The candidates of the model that is trained and those of other models, each in a file of its own and all in one, where those
    of a problem are numbered through. Others have other tokens, so only their texts count."""
    section, folder = context.recipe.sample, path.parent
    found: dict[str, list[Candidate]] = defaultdict(list)
    if section.num_candidates:
        for candidate in candidates_of(context, context.latest, problems, section, folder / "own.jsonl", purpose):
            found[candidate.problem_id].append(candidate)
    for source in section.sources:
        other = context.with_model(source.model) if source.model else context
        own = section.model_copy(update={"engine": source.engine, "num_candidates": source.num_candidates, "sources": []})
        draw = Draw(other.settings(own, problems), source.num_candidates, derive_seed(context.recipe.seed, purpose, source.name))
        title = f"{purpose}: candidates of {source.name}"
        for candidate in sampled(other, Sampling("base", problems, own, draw, folder / f"from-{source.name}.jsonl", title)):
            changes = {"index": len(found[candidate.problem_id]), "source": source.name, "token_ids": None}
            found[candidate.problem_id].append(candidate.model_copy(update=changes))
    candidates = [candidate for problem in problems for candidate in found[problem.id]]
    write_records(path, candidates)
    return candidates


def used(candidates: Sequence[Candidate], section: SampleSection) -> Summary:
    """What servers counted and what it costs. Raises DataError for a server whose candidates are all alike."""
    summary: Summary = {}
    engines = {None: section.engine} | {source.name: source.engine for source in section.sources}
    for name, engine in engines.items():
        if engine.kind == "openai":
            own = [candidate for candidate in candidates if candidate.source == name]
            check_unlike(own)
            summary |= {key: round(value + summary.get(key, 0), 6) for key, value in usage(own, engine).items()}
    return summary


def usage(candidates: Iterable[Candidate], engine: EngineSection) -> Summary:
    """Tokens that a server counted, and their cost in the currency of the recipe's prices, where it has some."""
    kinds = ("prompt_tokens", "completion_tokens")
    counted = {kind: sum(candidate.settings.get(kind, 0) for candidate in candidates) for kind in kinds}
    cost = (counted["prompt_tokens"] * engine.prompt_price + counted["completion_tokens"] * engine.completion_price) / 1e6
    return counted | ({"cost": cost} if cost else {})


def check_unlike(candidates: Iterable[Candidate]) -> None:
    """Raises DataError where all candidates of every problem are alike: the server ignores temperature and seed."""
    texts: dict[str, list[str]] = defaultdict(list)
    for candidate in candidates:
        texts[candidate.problem_id].append(candidate.text)
    several = [own for own in texts.values() if len(own) > 1]
    if len(several) >= _MANY and all(len(set(own)) == 1 for own in several):
        raise DataError(
            f"sample: all candidates of each of {len(several)} problems are the same, so the server seems to ignore temperature "
            "and seed: nothing can be learned from them; use another server, or set the temperature where it takes it"
        )


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
    conversation = context.prompter.conversation
    with engine_of(context, wanted.stage, wanted.section, wanted.draw.num_candidates) as engine:
        # Without ids, something as long: the longest prompts come first.
        ids = context.prompter if engine.needs_ids else lambda problem: list(str(conversation(problem)).encode())
        asked = Asked(ids, conversation)
        return collect_candidates(engine, problems, asked, wanted.draw, path, wanted.title)
