"""The functions give what a run with the same settings gives, from folders and from loaded models."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import aftune
from aftune.errors import UsageError
from aftune.recipe import Recipe, load_recipe
from aftune.records import Candidate, Group, GroupScores, JudgedResponse, Problem, read_records

pytestmark = pytest.mark.xdist_group("look")


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few problems teach little, as aftune says
        yield


@pytest.fixture(scope="module")
def recipe(small_finished_run: Path) -> Recipe:
    return load_recipe(small_finished_run / "recipe.yaml")


@pytest.fixture(scope="module")
def vft(small_finished_run: Path) -> dict[str, Any]:
    """The model that the run samples from and `align` starts from."""
    return {"name": str(small_finished_run / "sft" / "model"), "precision": "float32"}


@pytest.fixture
def loaded(vft: dict[str, Any]) -> dict[str, Any]:
    """The same model, loaded by the caller."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(vft["name"], dtype=torch.float32)
    return {"model": model, "tokenizer": AutoTokenizer.from_pretrained(vft["name"])}


def read(run: Path, place: str, kind: Any) -> Any:
    return read_records(run / place, kind)


def keys(section: Any, *without: str) -> dict[str, Any]:
    """The settings of a run, as keyword arguments."""
    return {name: value for name, value in section.model_dump().items() if name not in without}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def place(candidate: Candidate) -> tuple[str, int]:
    return candidate.problem_id, candidate.index


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_problems_candidates_and_groups(
    small_finished_run: Path, recipe: Recipe, vft: dict[str, Any], loaded: dict[str, Any]
) -> None:
    run = small_finished_run
    problems = aftune.load_problems("arithmetic", recipe.task.train, options=recipe.task.options)
    assert problems == read(run, "prepare/train.jsonl", Problem)
    candidates = aftune.sample(vft, problems, **keys(recipe.sample))
    written = read(run, "sample/candidates.jsonl", Candidate)  # a file has the longest prompts first
    assert sorted(candidates, key=place) == sorted(written, key=place)
    assert [one.problem_id for one in candidates[:: recipe.sample.num_candidates]] == [problem.id for problem in problems]
    assert aftune.sample(**loaded, problems=problems, **keys(recipe.sample)) == candidates
    groups = aftune.label(problems, candidates)
    assert groups == read(run, "label/groups.jsonl", Group)
    manifest = json.loads((run / "manifest.json").read_text())
    assert groups.counts == {name: manifest["stages"]["label"]["summary"][name] for name in groups.counts}
    assert len(groups.left_out) == len((run / "label/left_out.jsonl").read_text().splitlines()) > 0


def test_vft(small_finished_run: Path, recipe: Recipe, tmp_path: Path) -> None:
    splits = [read(small_finished_run, f"prepare/{name}.jsonl", Problem) for name in ("train", "validation")]
    model = {"name": "bundled", "precision": "float32"}
    evaluate = keys(recipe.evaluate)
    trained = aftune.sft(model, splits[0], tmp_path / "vft", validation=splits[1], evaluate=evaluate, **keys(recipe.sft))
    assert same_weights(trained.path, small_finished_run / "sft" / "model")
    assert sorted(path.name for path in trained.path.parent.iterdir()) == ["log.json", "model"]


def test_alignment(small_finished_run: Path, recipe: Recipe, vft: dict[str, Any], loaded: dict[str, Any], tmp_path: Path) -> None:
    """A loaded model is trained in place, to the same weights."""
    groups = read(small_finished_run, "label/groups.jsonl", Group)
    settings = keys(recipe.align, "start")
    aligned = aftune.align(vft, groups, tmp_path / "aligned", **settings)
    expected = small_finished_run / "align" / "model"
    assert same_weights(aligned.path, expected)
    steps = json.loads((small_finished_run / "manifest.json").read_text())["stages"]["align"]["summary"]["optimizer_steps"]
    assert aligned.summary["optimizer_steps"] == aligned.log[-1]["step"] == steps
    in_place = aftune.align(loaded["model"], groups, tmp_path / "in-place", tokenizer=loaded["tokenizer"], **settings)
    state = loaded["model"].state_dict()
    assert loaded["model"].dtype == torch.float32
    assert all(torch.equal(state[name], tensor) for name, tensor in weights(in_place.path).items())
    assert all(torch.equal(state[name].to(tensor.dtype), tensor) for name, tensor in weights(expected).items())
    assert len(json.loads((tmp_path / "aligned" / "log.json").read_text())) == len(aligned.log)


def test_metrics(small_finished_run: Path, recipe: Recipe, vft: dict[str, Any], loaded: dict[str, Any]) -> None:
    """Of the VFT model, on its own held-out candidates, which the functions make as well."""
    run = small_finished_run
    problems = read(run, "prepare/test.jsonl", Problem)
    sampling = keys(recipe.evaluate, "num_votes")
    candidates = aftune.sample(vft, problems, purpose="evaluate", **sampling)
    groups = aftune.label(problems, candidates)
    assert groups == read(run, "evaluate/groups.jsonl", Group)
    settings = keys(recipe.evaluate, "num_candidates")
    metrics = aftune.evaluate(vft, problems, groups=groups, **settings)
    assert json.loads(json.dumps(metrics)) == json.loads((run / "evaluate" / "metrics.json").read_text())["results"]["vft"]
    assert metrics.responses == read(run, "evaluate/vft/verdicts.jsonl", JudgedResponse)
    assert metrics.scores == read(run, "evaluate/vft/scores.jsonl", GroupScores)
    assert aftune.evaluate(**loaded, problems=problems, groups=groups, **settings) == metrics
    without = aftune.evaluate(vft, problems, **settings)
    assert without.items() <= metrics.items()
    assert "assessment_accuracy" in metrics.keys() - without.keys()


def test_a_loss_with_a_reference_and_an_automatic_beta(small_finished_run: Path, vft: dict[str, Any], tmp_path: Path) -> None:
    groups = read(small_finished_run, "label/groups.jsonl", Group)
    settings: dict[str, Any] = {"loss": "dpo", "beta": "auto", "num_epochs": 1, "batch_size": 8}
    aligned = aftune.align(vft, groups, tmp_path / "dpo", **settings)
    assert aligned.summary["beta"] > 0
    with pytest.raises(UsageError, match=r"^align: output_dir: .*dpo is not empty; choose a new folder, or set overwrite=True$"):
        aftune.align(vft, groups, tmp_path / "dpo", **settings)
    again = aftune.align(vft, groups, tmp_path / "dpo", overwrite=True, **settings)
    assert again.summary == aligned.summary
