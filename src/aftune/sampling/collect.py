"""Candidates for many problems, written to disk as they come, and picked up where a killed run stopped."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aftune.encoding import encode_prompt
from aftune.progress import progress_bar
from aftune.records import Candidate, Problem, append_records, drop_partial_line, read_records
from aftune.sampling.interface import Engine, SamplingSettings
from aftune.sampling.transformers_engine import TransformersEngine
from aftune.seeds import derive_seed


def collect_candidates(
    engine: TransformersEngine,
    problems: Sequence[Problem],
    prompt: Callable[[Problem], str],
    settings: SamplingSettings,
    *,
    num_candidates: int,
    batch_size: int,
    seed: int,
    path: Path,
    title: str,
) -> list[Candidate]:
    """`num_candidates` for each problem, `batch_size` sequences at a time, longest prompts first.

    Batches are the same however often the run is broken off: a file that ends within a batch is cut back to its start.
    """
    prompts = {problem.id: encode_prompt(engine.tokenizer, prompt(problem)) for problem in problems}
    by_length = sorted(problems, key=lambda problem: -len(prompts[problem.id]))
    jobs = [(problem.id, index) for problem in by_length for index in range(num_candidates)]
    num_done = _cut_to_whole_batches(path, batch_size, len(jobs))
    with progress_bar(title, len(jobs), "candidates", num_done) as update:
        for start in range(num_done, len(jobs), batch_size):
            batch = jobs[start : start + batch_size]
            seeds = [derive_seed(seed, problem_id, index) for problem_id, index in batch]
            append_records(path, _complete(engine, batch, prompts, seeds, settings))
            update(start + len(batch))
    order = {problem.id: position for position, problem in enumerate(problems)}
    return sorted(read_records(path, Candidate), key=lambda candidate: (order[candidate.problem_id], candidate.index))


def _complete(
    engine: Engine,
    batch: Sequence[tuple[str, int]],
    prompts: dict[str, list[int]],
    seeds: Sequence[int],
    settings: SamplingSettings,
) -> list[Candidate]:
    completions = engine.complete([prompts[problem_id] for problem_id, _ in batch], seeds, settings)
    used = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
    return [
        Candidate(
            problem_id=problem_id,
            index=index,
            text=completion.text,
            token_ids=completion.token_ids,
            finish_reason=completion.finish_reason,
            seed=seed,
            settings=used,
        )
        for (problem_id, index), seed, completion in zip(batch, seeds, completions, strict=True)
    ]


def _cut_to_whole_batches(path: Path, batch_size: int, num_jobs: int) -> int:
    """Number of candidates that are on disk for good."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return 0
    drop_partial_line(path)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = len(lines) if len(lines) >= num_jobs else len(lines) // batch_size * batch_size
    if kept < len(lines):
        with open(path, "r+b") as file:
            file.truncate(sum(map(len, lines[:kept])))
    return kept
