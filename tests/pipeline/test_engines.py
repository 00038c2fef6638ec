"""Engines in a run: a server that does what it should, other models beside the one that is trained, and what is refused first."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.common.errors import DataError, UsageError
from aftune.errors import UnansweredError
from aftune.pipeline.benchmark import benchmark
from aftune.pipeline.context import context_of
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.sample import used
from aftune.recipe import Recipe, SampleSection, recipe_from
from aftune.records import Candidate, Feedback, Group, Problem, read_records
from aftune.scoring import score_groups
from aftune.tasks import build

pytest.importorskip("openai", reason="openai is not installed: pip install 'aftune[openai]'")

from aftune.models.loading import load_tokenizer
from aftune.prompts.encoding import encode_group, encode_prompt, encode_response
from faulty_server import FaultyServer, running

SAMPLED = ["prepare", "sft", "sample", "label"]


class Solver(FaultyServer):
    """Knows the arithmetic task: answers with the reference for even seeds, and with a wrong number for the others."""

    def __init__(self, split: str, options: dict[str, Any] | None = None) -> None:
        task, tokenizer = build("arithmetic", options=options), load_tokenizer("bundled")
        self.references = {p.question: str(task.reference_response(p)) for p in task.load(split)}
        super().__init__(self.solve, lambda prompt: len(encode_prompt(tokenizer, prompt) if isinstance(prompt, str) else prompt))
        self.tokenizer, self.always_right = tokenizer, False

    def solve(self, body: dict[str, Any]) -> str:
        prompt = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        text = prompt if isinstance(prompt, str) else self.tokenizer.decode(prompt)
        reference = next((own for question, own in self.references.items() if question in text), "no idea")
        right = self.always_right or body["seed"] % 2 == 0
        return reference if right else f"{reference.rpartition('####')[0]}seed {body['seed']}\n#### {body['seed']}"


@pytest.fixture
def server() -> Iterator[Solver]:
    task = small_run.SETTINGS["task"]
    with running(Solver(task["train"], task["options"])) as server:
        yield server


def with_server(server: FaultyServer, **settings: Any) -> dict[str, Any]:
    return {"kind": "openai", "base_url": server.base_url, "concurrency": 4, "timeout": 5.0, "attempts": 3} | settings


def run(recipe: Recipe, stages: list[str] = SAMPLED) -> None:
    for stage in stages:
        run_stages(recipe, stage)


def test_a_run_samples_from_a_server_that_has_its_tokens(server: Solver, tmp_path: Path) -> None:
    engine = with_server(server, prompt_price=1.0, completion_price=10.0)
    recipe = small_run.recipe(tmp_path / "run", sample={"engine": engine})
    run(recipe)
    context = context_of(tmp_path / "run")
    candidates = read_records(tmp_path / "run" / "sample" / "candidates.jsonl", Candidate)
    assert [(c.problem_id, c.index) for c in candidates] == [(p.id, k) for p in context.problems("train") for k in range(3)]
    prompts = {p.id: context.prompter(p) for p in context.problems("train")}
    assert sorted(body["prompt"] for body in server.asked[3:]) == sorted(ids for ids in prompts.values() for _ in range(3))
    groups = read_records(tmp_path / "run" / "label" / "groups.jsonl", Group)
    judged = [(c, f) for group in groups for c, f in zip(group.candidates, group.feedback, strict=True)]
    assert all(bool(feedback.quality) == ((candidate.seed or 0) % 2 == 0) for candidate, feedback in judged)
    summary = context.run.entry("sample")["summary"]
    tokens = sum(len(ids) for ids in prompts.values()) * 3
    assert (summary["prompt_tokens"], summary["completion_tokens"]) == (tokens, 36 * 3)
    assert summary["cost"] == pytest.approx((tokens + 10 * 108) / 1e6)
    # Its address may change: nothing is done again.
    server.asked.clear()
    moved = small_run.recipe(tmp_path / "run", sample={"engine": engine | {"base_url": "http://127.0.0.1:9/v1"}})
    run(moved)
    assert not server.asked


def test_the_drift_of_an_engine_is_the_difference_from_our_scores(server: Solver, tmp_path: Path) -> None:
    """A server that has -1 nat for every token: the difference is that of our scores from -1."""
    server.logprobs = lambda text: [-1.0] * len(encode_response(server.tokenizer, text))
    sample = {"engine": with_server(server, logprobs=True), "num_candidates": 6}
    run(small_run.recipe(tmp_path / "run", sample=sample), SAMPLED[:3])
    context = context_of(tmp_path / "run")
    candidates = read_records(tmp_path / "run" / "sample" / "candidates.jsonl", Candidate)[:64]
    problems = {problem.id: problem for problem in context.problems("train")}
    encoded = [
        encode_group(context.tokenizer, group, context.prompter(group.problem), reference=None, end_id=context.end_id)
        for c in candidates
        for group in [Group(problem=problems[c.problem_id], candidates=[c], feedback=[Feedback(quality=1.0, reason="matched")])]
    ]
    scores = [scores[0] for scores in score_groups(context.load_policy("sft", float32=True), encoded)]
    summary = context.run.entry("sample")["summary"]
    assert (summary["drift_candidates"], summary["drift_not_comparable"]) == (64, 0)
    apart = [abs(score + 1.0) for score in scores]
    assert summary["drift_mean"] == pytest.approx(sum(apart) / 64, abs=1e-5)
    assert summary["drift_largest"] == pytest.approx(max(apart), abs=1e-5)


def test_a_server_that_ignores_seeds_cannot_have_worked(server: Solver, tmp_path: Path) -> None:
    server.always_right = True
    recipe = small_run.recipe(tmp_path / "run", sample={"engine": with_server(server)})
    with pytest.raises(DataError, match="all candidates of each of 12 problems are the same, so the server seems to ignore temp"):
        run(recipe)


def test_candidates_of_other_models_are_in_the_same_groups(server: Solver, tmp_path: Path) -> None:
    """Two of the trained model, two of a second one in this process and two of a server, without repetitions over all."""
    sources = [
        {"name": "base", "model": "bundled", "num_candidates": 2},
        {"name": "served", "num_candidates": 2, "engine": with_server(server, same_tokenizer=False)},
    ]
    run(small_run.recipe(tmp_path / "run", sample={"num_candidates": 2, "sources": sources}))
    folder = tmp_path / "run" / "sample"
    candidates = read_records(folder / "candidates.jsonl", Candidate)
    problems = read_records(tmp_path / "run" / "prepare" / "train.jsonl", Problem)
    order = [(p.id, k, s) for p in problems for k, s in enumerate([None, None, "base", "base", "served", "served"])]
    assert [(c.problem_id, c.index, c.source) for c in candidates] == order
    assert all((c.token_ids is None) == (c.source is not None) for c in candidates)
    assert all(isinstance(body["prompt"], str) for body in server.asked)
    assert len(read_records(folder / "from-base.jsonl", Candidate)) == len(read_records(folder / "own.jsonl", Candidate)) == 24
    groups = read_records(tmp_path / "run" / "label" / "groups.jsonl", Group)
    summary = context_of(tmp_path / "run").run.entry("label")["summary"]
    for name in ("base", "served"):
        kept = [(c, f) for g in groups for c, f in zip(g.candidates, g.feedback, strict=True) if c.source == name]
        assert (summary[f"from_{name}"], summary[f"right_from_{name}"]) == (len(kept), sum(bool(f.quality) for _, f in kept))
    for group in groups:
        texts = [" ".join(c.text.split()) for c in group.candidates]
        assert len(set(texts)) == len(texts)
    assert summary["right_from_served"] > 5


def test_benchmark_of_a_served_model(tmp_path: Path) -> None:
    """The even seeds of the greedy requests are right; texts go out as they are, or as messages."""
    with running(Solver("test[:12]")) as server:
        metrics = benchmark(server.base_url, "arithmetic", tmp_path / "b", [], split="test[:12]")
        rows = [json.loads(line) for line in (tmp_path / "b" / "verdicts.jsonl").read_text().splitlines()]
        assert metrics["num_problems"] == 12
        assert metrics["accuracy"] == sum("seed" not in row["text"] for row in rows) / 12
        assert {body["temperature"] for body in server.asked} == {0.0}
        assert server.asked[-1]["prompt"].startswith("Question: ")
        server.always_right = True
        chat = benchmark(server.base_url, "arithmetic", tmp_path / "c", ["prompt.style=chat"], split="test[:4]")
        assert chat["accuracy"] == 1.0
        assert [message["role"] for message in server.asked[-1]["messages"]] == ["user"]
        with pytest.raises(UsageError, match=r"--letters: the answers of task arithmetic are not letters"):
            benchmark(server.base_url, "arithmetic", tmp_path / "d", [], letters=True)


def test_answers_of_a_benchmark_that_fails_are_kept(tmp_path: Path) -> None:
    """One of 6 questions gets no text; the next run asks for that one alone. Where nothing was answered, nothing is left."""
    with running(Solver("test[:6]")) as server:
        silent, own = list(server.references)[2], server.answer
        server.answer = lambda body: None if silent in str(body["prompt"]) else own(body)
        settings = ["evaluate.engine.attempts=1"]
        with pytest.raises(UnansweredError, match="1 request has no answer"):
            benchmark(server.base_url, "arithmetic", tmp_path / "b", settings, split="test[:6]")
        server.asked.clear()
        server.answer = own
        metrics = benchmark(server.base_url, "arithmetic", tmp_path / "b", settings, split="test[:6]")
        assert metrics["num_problems"] == 6
        assert [silent in body["prompt"] for body in server.asked if body["max_tokens"] > 1] == [True]
        server.answer = lambda body: None
        with pytest.raises(DataError, match="does not answer the first request"):
            benchmark(server.base_url, "arithmetic", tmp_path / "c" / "d", settings, split="test[:6]")
    assert not (tmp_path / "c").exists()


def test_costs_are_those_of_all_servers_also_of_one_before_another_without_prices() -> None:
    """10 + 20 prompt tokens; 10 of them at 1e6 for a million cost 10, and the free server takes nothing away."""
    engine = {"kind": "openai", "base_url": "http://h/v1"}
    section = SampleSection.model_validate(
        {"engine": engine | {"prompt_price": 1e6}, "sources": [{"name": "free", "engine": engine}]}
    )
    candidates = [
        Candidate(problem_id="p", index=n, text="t", source=source, settings={"prompt_tokens": number, "completion_tokens": 1})
        for n, (source, number) in enumerate([(None, 10), ("free", 20)])
    ]
    assert used(candidates, section) == {"prompt_tokens": 30, "completion_tokens": 2, "cost": 10.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sample.engine=openai"], "sample.engine.base_url: kind openai needs it"),
        (["sample.engine.base_url=http://h/v1"], "the others have none"),
        (["sample.engine.kind=openai", "sample.engine.base_url=http://me:word@h/v1"], "without a name or password"),
        (["sample.num_candidates=0"], "is 0 and there are no sources"),
        (["sample.sources=[{name: a}]"], "sample.sources.0.model: a folder or a name on the Hub"),
        (["sample.sources=[{name: a, model: x}, {name: a, model: y}]"], r"two have the same name \(a, a\)"),
    ],
)
def test_engines_that_cannot_be_meant(settings: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message) if "(" not in message else message):
        recipe_from({"run_dir": str(tmp_path)}, settings, "test")


def test_what_is_not_installed_and_servers_for_several_models_are_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small_run.recipe(tmp_path / "run", evaluate={"engine": {"kind": "openai", "base_url": "http://h/v1"}})
    with pytest.raises(UsageError, match="a server has one model, and a run measures several"):
        run(recipe)
    monkeypatch.setattr("aftune.common.extras.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"sample.engine: vllm needs vllm, not installed here; pip install 'aftune\[vllm\]'"):
        run(small_run.recipe(tmp_path / "run", sample={"engine": "vllm"}))
    assert not (tmp_path / "run").exists()
