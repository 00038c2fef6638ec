"""Candidates on disk: the same file however often the work is broken off."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import RepeatedIdError
from aftune.common.seeds import derive_seed
from aftune.prompts.encoding import encode_prompt
from aftune.records import Candidate, Problem, read_records
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.sampling.collect import Asked, Draw, collect_candidates

PROBLEMS = [
    Problem(id=f"p{n}", task="t", question=question, gold_answer="1")
    for n, question in enumerate(
        [
            "How many?",
            "Tom has 3 apples and 4 pears. How many é?",
            "2+2",
            "A b c d",
            "Zoe finds 12 shells.",
            "5-1?",
            "Ann buys 7 pens and 9 cups.",
            "What?",
        ]
    )
]
NUM_CANDIDATES = 3
BATCH_SIZE = 2  # blocks of eight, rounded up to whole problems: 9, 9 and 6 of the 24 candidates
SETTINGS = SamplingSettings(max_new_tokens=10, temperature=0.9)


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def engine(make_llama: Callable[..., Any], tokenizer: Any) -> TransformersEngine:
    return TransformersEngine(make_llama(seed=5), tokenizer, BATCH_SIZE)


def collect(engine: TransformersEngine, path: Path, problems: list[Problem] = PROBLEMS, seed: int = 7) -> list[Candidate]:
    return collect_candidates(
        engine,
        problems,
        Asked(lambda problem: encode_prompt(engine.tokenizer, f"Question: {problem.question}\n")),
        Draw(SETTINGS, NUM_CANDIDATES, seed),
        path,
        "test",
    )


@pytest.fixture(scope="module")
def unbroken(engine: TransformersEngine, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Candidate]]:
    path = tmp_path_factory.mktemp("unbroken") / "candidates.jsonl"
    candidates = collect(engine, path)
    return path.read_bytes(), candidates


def test_candidates_come_in_the_order_of_the_problems(unbroken: tuple[bytes, list[Candidate]]) -> None:
    _, candidates = unbroken
    assert [(c.problem_id, c.index) for c in candidates] == [(f"p{n}", index) for n in range(8) for index in range(3)]
    assert [c.seed for c in candidates] == [derive_seed(7, f"p{n}", index) for n in range(8) for index in range(3)]
    assert len({tuple(c.token_ids or ()) for c in candidates}) > 18
    assert candidates[0].settings == {"temperature": 0.9, "top_p": 1.0, "top_k": 0}


def test_two_problems_of_one_id_are_an_error(engine: TransformersEngine, tmp_path: Path) -> None:
    """Candidates and verdicts find their problem by its id: with a, b, a, c one would be judged on another's response."""
    problems = [PROBLEMS[0], PROBLEMS[1], PROBLEMS[2].model_copy(update={"id": "p0"}), PROBLEMS[3]]
    with pytest.raises(RepeatedIdError, match="test: problems 1 and 3 have the same id 'p0'; give each an id of its own"):
        collect(engine, tmp_path / "c.jsonl", problems)
    assert not (tmp_path / "c.jsonl").exists()


def test_a_candidate_is_what_the_engine_makes_of_its_prompt_and_seed(
    engine: TransformersEngine, tokenizer: Any, unbroken: tuple[bytes, list[Candidate]]
) -> None:
    _, candidates = unbroken
    for candidate in candidates[::4]:
        question = next(p.question for p in PROBLEMS if p.id == candidate.problem_id)
        prompt = tokenizer(f"Question: {question}\n")["input_ids"]
        ((_, completion),) = engine.complete([Request(prompt, candidate.seed)], SETTINGS)
        assert (candidate.token_ids, candidate.text, candidate.finish_reason) == (
            completion.token_ids,
            completion.text,
            completion.finish_reason,
        )


def test_file_cut_at_any_byte_is_completed_to_the_same_bytes(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]]
) -> None:
    content, candidates = unbroken
    ends = [position + 1 for position, byte in enumerate(content) if byte == ord("\n")]
    assert len(ends) == 24
    positions = {0, 1, 100, len(content) - 1, len(content), *ends[::4], ends[8] - 1, ends[8] + 1, ends[17] + 5}
    path = tmp_path / "candidates.jsonl"
    for position in sorted(positions | set(range(37, len(content), len(content) // 7))):
        path.write_bytes(content[:position])
        assert collect(engine, path) == candidates
        assert path.read_bytes() == content, f"cut at byte {position}"


def test_killed_between_blocks_keeps_what_was_done(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, candidates = unbroken
    path = tmp_path / "candidates.jsonl"
    complete, calls = engine.complete, []

    def dies_at_third(requests: Any, settings: SamplingSettings):
        calls.append(len(requests))
        if len(calls) == 3:
            raise KilledError
        return complete(requests, settings)

    monkeypatch.setattr(engine, "complete", dies_at_third)
    with pytest.raises(KilledError):
        collect(engine, path)
    assert len(read_records(path, Candidate)) == 18
    assert content.startswith(path.read_bytes())
    assert collect(engine, path) == candidates
    assert path.read_bytes() == content
    assert calls == [9, 9, 6, 6]  # the third block once more, the first two never again


def test_killed_within_a_block_keeps_the_blocks_before(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, candidates = unbroken
    path = tmp_path / "candidates.jsonl"
    complete = engine.complete
    num_finished = 0

    def dies_at_twelfth(requests: Any, settings: SamplingSettings):
        nonlocal num_finished
        for finished in complete(requests, settings):
            num_finished += 1
            if num_finished == 12:
                raise KilledError
            yield finished

    monkeypatch.setattr(engine, "complete", dies_at_twelfth)
    with pytest.raises(KilledError):
        collect(engine, path)
    assert path.read_bytes() == b"".join(content.splitlines(keepends=True)[:9])
    assert collect(engine, path) == candidates
    assert path.read_bytes() == content


def test_work_goes_on_at_the_start_of_a_block(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks stay the same, and with them the last bits of every sum: eleven finished candidates are one block of nine."""
    content, _ = unbroken
    path = tmp_path / "candidates.jsonl"
    path.write_bytes(b"".join(content.splitlines(keepends=True)[:11]))
    complete, sizes = engine.complete, []

    def counted(requests: Any, settings: SamplingSettings) -> Any:
        sizes.append(len(requests))
        return complete(requests, settings)

    monkeypatch.setattr(engine, "complete", counted)
    collect(engine, path)
    assert sizes == [9, 6]
    assert path.read_bytes() == content


@pytest.mark.parametrize(("batch_size", "num_kept"), [(1, 18), (20, 0), (2, 18)])
def test_with_another_batch_size_it_goes_on_with_what_is_left(
    make_llama: Callable[..., Any],
    tokenizer: Any,
    tmp_path: Path,
    unbroken: tuple[bytes, list[Candidate]],
    batch_size: int,
    num_kept: int,
) -> None:
    """Blocks of 6, 81 and 9 of the 24: what is whole in the new blocks stays as it is, and every candidate is there once, from its
    own random stream; another batch touches no more than the last bits of the logits."""
    content, candidates = unbroken
    path = tmp_path / "candidates.jsonl"
    kept = content.splitlines(keepends=True)[:20]
    path.write_bytes(b"".join(kept))
    engine = TransformersEngine(make_llama(seed=5), tokenizer, batch_size)
    found = collect(engine, path)
    assert path.read_bytes().startswith(b"".join(kept[:num_kept]))
    assert [(c.problem_id, c.index, c.seed) for c in found] == [(c.problem_id, c.index, c.seed) for c in candidates]
    assert len(read_records(path, Candidate)) == 24
    assert sum(a.token_ids == b.token_ids for a, b in zip(found, candidates, strict=True)) > 20


def test_candidates_of_a_problem_stand_next_to_each_other(tmp_path: Path, unbroken: tuple[bytes, list[Candidate]]) -> None:
    """In the file too, whichever finishes first: who reads it as a stream meets whole problems."""
    path = tmp_path / "candidates.jsonl"
    path.write_bytes(unbroken[0])
    records = read_records(path, Candidate)
    assert [candidate.index for candidate in records] == [0, 1, 2] * 8
    assert all(len({candidate.problem_id for candidate in records[i : i + 3]}) == 1 for i in range(0, 24, 3))


def test_longest_prompts_come_first(tmp_path: Path, tokenizer: Any, unbroken: tuple[bytes, list[Candidate]]) -> None:
    """So that memory runs out in the first block or never."""
    path = tmp_path / "candidates.jsonl"
    path.write_bytes(unbroken[0])
    lengths = {problem.id: len(tokenizer(f"Question: {problem.question}\n")["input_ids"]) for problem in PROBLEMS}
    order = [lengths[candidate.problem_id] for candidate in read_records(path, Candidate)]
    assert order == sorted(order, reverse=True)
    assert order[0] > order[-1]


def test_finished_file_is_not_touched(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, candidates = unbroken
    path = tmp_path / "candidates.jsonl"
    path.write_bytes(content)

    def never(*args):
        raise AssertionError("nothing is left to complete")

    monkeypatch.setattr(engine, "complete", never)
    assert collect(engine, path) == candidates
    assert path.read_bytes() == content


def test_another_seed_gives_other_candidates(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]]
) -> None:
    _, candidates = unbroken
    others = collect(engine, tmp_path / "candidates.jsonl", seed=8)
    assert sum(a.token_ids != b.token_ids for a, b in zip(candidates, others, strict=True)) > 18


def test_a_candidate_does_not_depend_on_the_other_problems(
    engine: TransformersEngine, tmp_path: Path, unbroken: tuple[bytes, list[Candidate]]
) -> None:
    _, candidates = unbroken
    alone = collect(engine, tmp_path / "candidates.jsonl", problems=PROBLEMS[1:2])
    assert alone == candidates[3:6]
