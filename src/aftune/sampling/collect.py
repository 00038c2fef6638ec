"""Candidates for many problems, written to disk block by block, and continued where a killed run stopped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune.common.errors import UnansweredError
from aftune.common.progress import progress_bar
from aftune.common.seeds import derive_seed
from aftune.prompts.formats import Messages
from aftune.records import Candidate, Problem, iter_records, read_records, with_unique_ids, write_records
from aftune.records.appended import append_records, check_appended, cut, forget_checksums, take_as_it_is
from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings

ROUNDS = 4  # a block is this many times what an engine works on at once: only at the end of a block do slots stay empty


@dataclass(frozen=True)
class Draw:
    """How many candidates per problem, how they are sampled, and the seed that determines all their random streams."""

    settings: SamplingSettings
    num_candidates: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """How problems are asked: a prompt's ids, and what it is before it is tokenised, which some engines take."""

    ids: Callable[[Problem], list[int]]
    conversation: Callable[[Problem], str | Messages] = lambda problem: ""


def collect_candidates(
    engine: Engine,
    problems: Sequence[Problem],
    asked: Asked,
    draw: Draw,
    path: Path,
    title: str,
) -> list[Candidate]:
    """`draw.num_candidates` for each problem, in the order of the problems; those with the longest prompts are sampled first.

    Raises RepeatedIdError for two problems with one id, UnansweredError where a server did not answer some requests.

    Work is done in blocks of whole problems, in the order above, and each candidate is written once. An engine with separate
    completions writes each of them when it is there. Otherwise a block is written when it is finished: what is computed together
    in a batch affects the last bits of its numbers, so only whole blocks are sure to come out the same. Blocks are the same however
    often the run is interrupted: a file that ends within one is cut back to its start. Another batch size means other blocks,
    and those of them that are whole are kept.
    """
    prompts = {problem.id: asked.ids(problem) for problem in with_unique_ids(problems, title)}
    by_id = {problem.id: problem for problem in problems}
    by_length = sorted(problems, key=lambda problem: -len(prompts[problem.id]))
    jobs = [(problem.id, index) for problem in by_length for index in range(draw.num_candidates)]
    block_size = math.ceil(ROUNDS * engine.batch_size / draw.num_candidates) * draw.num_candidates
    done = _kept(path, jobs, 1 if engine.separate else block_size)
    left = [job for job in jobs if job not in done]
    unanswered: list[UnansweredError] = []

    def requests_of(block: Sequence[tuple[str, int]]) -> list[Request]:
        seeds = [derive_seed(draw.seed, name, index) for name, index in block]
        return [
            Request(prompts[name], seed, name, asked.conversation(by_id[name]))
            for (name, _), seed in zip(block, seeds, strict=True)
        ]

    with progress_bar(title, len(jobs), "candidates", len(done)) as update:
        num_done = len(done)
        for start in range(0, len(left), block_size):
            block = left[start : start + block_size]
            requests = requests_of(block)
            found: dict[int, Candidate] = {}
            try:
                for position, completion in engine.complete(requests, draw.settings):
                    candidate = _candidate(block[position], requests[position].seed, draw.settings, completion, engine.origin)
                    if engine.separate:
                        append_records(path, [candidate])
                    else:
                        found[position] = candidate
                    num_done += 1
                    update(num_done)
            except UnansweredError as error:
                unanswered.append(error)
            append_records(path, (found[position] for position in sorted(found)))
    if unanswered:
        raise UnansweredError("; ".join(dict.fromkeys(map(str, unanswered))))
    order = {problem.id: position for position, problem in enumerate(problems)}
    candidates = sorted(read_records(path, Candidate), key=lambda candidate: (order[candidate.problem_id], candidate.index))
    forget_checksums(path)
    if engine.separate and left:
        write_records(path, candidates)  # they came in any order
    return candidates


def _candidate(
    job: tuple[str, int], seed: int, settings: SamplingSettings, completion: Completion, origin: dict[str, Any]
) -> Candidate:
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
            **origin,
            **completion.told,
        },
    )


def _kept(path: Path, jobs: Sequence[tuple[str, int]], block_size: int) -> set[tuple[str, int]]:
    """The jobs whose candidates are on disk; a partial block is cut off."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        forget_checksums(path)
        path.touch()
        return set()
    check_appended(path)
    lines = path.read_bytes().splitlines(keepends=True)
    number = len(lines) if len(lines) >= len(jobs) else len(lines) // block_size * block_size
    cut(path, sum(map(len, lines[:number])))
    take_as_it_is(path)
    return {(candidate.problem_id, candidate.index) for candidate in iter_records(path, Candidate)} if number else set()
