"""Candidates for many problems, written to disk block by block, and continued where a killed run stopped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aftune.common.progress import progress_bar
from aftune.common.seeds import derive_seed
from aftune.common.text_files import drop_partial_line
from aftune.records import Candidate, Problem, append_records, read_records, with_unique_ids
from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings

ROUNDS = 4  # a block is this many times what an engine works on at once: only at the end of a block do slots stay empty


@dataclass(frozen=True)
class Draw:
    """How many candidates per problem, how they are sampled, and the seed that determines all their random streams."""

    settings: SamplingSettings
    num_candidates: int = 1
    seed: int = 0


def collect_candidates(
    engine: Engine,
    problems: Sequence[Problem],
    prompter: Callable[[Problem], list[int]],
    draw: Draw,
    path: Path,
    title: str,
) -> list[Candidate]:
    """`draw.num_candidates` for each problem, in the order of the problems; those with the longest prompts are sampled first.

    prompter: the ids of a problem's prompt. Raises RepeatedIdError for two problems with one id.

    Work is done in blocks of whole problems, each written when it is finished, in the order above. Blocks are the same however
    often the run is interrupted: a file that ends within one is cut back to its start. What is computed together in a batch
    affects the last bits of its numbers, so only whole blocks are sure to come out the same. Another batch size means other
    blocks, and those of them that are whole are kept.
    """
    prompts = {problem.id: prompter(problem) for problem in with_unique_ids(problems, title)}
    by_length = sorted(problems, key=lambda problem: -len(prompts[problem.id]))
    jobs = [(problem.id, index) for problem in by_length for index in range(draw.num_candidates)]
    block_size = math.ceil(ROUNDS * engine.batch_size / draw.num_candidates) * draw.num_candidates
    num_done = _cut_to_whole_blocks(path, block_size, len(jobs))
    with progress_bar(title, len(jobs), "candidates", num_done) as update:
        for start in range(num_done, len(jobs), block_size):
            block = jobs[start : start + block_size]
            requests = [Request(prompts[name], derive_seed(draw.seed, name, index), name) for name, index in block]
            completions: dict[int, Completion] = {}
            for position, completion in engine.complete(requests, draw.settings):
                completions[position] = completion
                update(start + len(completions))
            append_records(
                path,
                (_candidate(block[i], requests[i].seed, draw.settings, completions[i]) for i in range(len(block))),
            )
    order = {problem.id: position for position, problem in enumerate(problems)}
    return sorted(read_records(path, Candidate), key=lambda candidate: (order[candidate.problem_id], candidate.index))


def _candidate(job: tuple[str, int], seed: int, settings: SamplingSettings, completion: Completion) -> Candidate:
    return Candidate(
        problem_id=job[0],
        index=job[1],
        text=completion.text,
        token_ids=completion.token_ids,
        finish_reason=completion.finish_reason,
        seed=seed,
        settings={
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "top_k": settings.top_k,
            **({"stop": list(settings.stop)} if settings.stop else {}),
        },
    )


def _cut_to_whole_blocks(path: Path, block_size: int, num_jobs: int) -> int:
    """Number of candidates on disk that are kept; a partial block is cut off."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return 0
    drop_partial_line(path)
    lines = path.read_bytes().splitlines(keepends=True)
    kept = len(lines) if len(lines) >= num_jobs else len(lines) // block_size * block_size
    if kept < len(lines):
        with open(path, "r+b") as file:
            file.truncate(sum(map(len, lines[:kept])))
    return kept
