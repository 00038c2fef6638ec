"""Estimates before a run, held against what the tensors really take."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import small_run
from aftune.models.precision import ProductRates
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.estimate import speed
from aftune.pipeline.estimate.cost import Decoding, StageCost, estimate, kept_bytes, training_memory, unfinished
from aftune.pipeline.estimate.speed import Speed, duration
from aftune.pipeline.plans import plan
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import Recipe
from aftune.scoring import make_pass, response_logprobs


def recipe(tmp_path: Path, **sections: Any) -> Recipe:
    return Recipe.model_validate({"run_dir": str(tmp_path), **sections})


def bytes_kept(model: Any, group: EncodedGroup, half: bool) -> int:
    """Of all tensors that the forward pass saves, weights left out."""
    saved: dict[int, tuple[int, Any]] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    cast = torch.autocast("cpu", torch.bfloat16) if half else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor), cast:
        logprobs = response_logprobs(model, make_pass([group]))
    assert logprobs.sums_P_G.requires_grad
    return sum(size for address, (size, _) in saved.items() if address not in weights)


def sampled_tokens(of: Recipe) -> float:
    return next(row.num_tokens for row in estimate(of) if row.stage == "sample")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("prompt", "k", "response"), [(60, 9, 70), (20, 3, 200)])
def test_kept_bytes_are_within_a_third(make_llama: Callable[..., Any], half: bool, prompt: int, k: int, response: int) -> None:
    model = make_llama(hidden_size=128, intermediate_size=352, num_attention_heads=4, max_position_embeddings=512)
    group = EncodedGroup("p", [5] * prompt, [[6] * response] * k, [True] * k, [0.0] * k)
    estimated = kept_bytes(model.config, prompt + k * response, prompt + response, half=half)
    assert estimated == pytest.approx(bytes_kept(model, group, half), rel=1 / 3)


def test_a_prompt_counts_once_in_training(tmp_path: Path) -> None:
    """From 3 to 6 candidates, align costs 3 more responses a group: as much as 3 references, not 3 prompts more."""
    tokens = {k: {row.stage: row.num_tokens for row in estimate(recipe(tmp_path, sample={"num_candidates": k}))} for k in (3, 6, 9)}
    assert tokens[9]["align"] - tokens[6]["align"] == pytest.approx(tokens[6]["align"] - tokens[3]["align"])
    assert tokens[6]["align"] - tokens[3]["align"] < 3 * tokens[3]["control"]
    assert tokens[9]["sample"] - tokens[6]["sample"] == pytest.approx(tokens[6]["sample"] - tokens[3]["sample"])
    assert tokens[6]["sample"] < 2 * tokens[3]["sample"]


def tokens_by_stage(of: Recipe) -> dict[str, float]:
    tokens: dict[str, float] = defaultdict(float)
    for row in estimate(of):
        tokens[row.stage] += row.num_tokens
    return tokens


def test_every_round_samples_and_aligns(tmp_path: Path) -> None:
    """Three rounds sample and align three times and are controlled for as many steps; imported candidates stand for one round."""
    once, thrice = (tokens_by_stage(recipe(tmp_path, rounds=n)) for n in (1, 3))
    assert [thrice[stage] / once[stage] for stage in ("sft", "sample", "align", "control")] == pytest.approx([1, 3, 3, 3])
    given = {"format": "gsm8k_solutions", "path": "x.jsonl"}
    assert [sampled_tokens(recipe(tmp_path, rounds=n, candidates=given)) > 0 for n in (1, 3)] == [False, True]


def test_each_model_of_a_run_is_measured(tmp_path: Path) -> None:
    """base, VFT, control and one aligned model a round: 4 with one round, 6 with three; what they share counts once."""
    evaluate = {n: [row for row in estimate(recipe(tmp_path, rounds=n)) if row.stage == "evaluate"] for n in (1, 3)}
    shared, measured = zip(*evaluate.values(), strict=True)
    assert shared[0] == shared[1]
    assert measured[1].num_tokens / measured[0].num_tokens == pytest.approx(6 / 4)


def test_votes_and_the_reference_cost_too(tmp_path: Path) -> None:
    """Two votes are two responses more a model, and their scores."""
    plain = tokens_by_stage(recipe(tmp_path))
    more = tokens_by_stage(recipe(tmp_path, evaluate={"num_votes": 2}, align={"beta": "auto"}))
    assert "reference" not in plain
    assert more["reference"] == pytest.approx(plain["align"] / recipe(tmp_path).align.num_epochs)
    assert more["evaluate"] > 1.3 * plain["evaluate"]


def test_work_of_a_stage() -> None:
    """6 operations a parameter for each of 100 trained tokens, 2 for 50 scored and 4 x 10 sampled ones: 600 + 180 = 780."""
    work = StageCost("x", "", trained=100, scored=50, decoding=Decoding(4, 2, 10, 12))
    assert work.num_tokens == pytest.approx(190e-6)
    assert work.teraflops(1e12) == pytest.approx(780)
    assert work.decoding is not None
    assert work.decoding.num_steps == 2 * 10 + 2  # two batches, and the longest row of the last one
    assert work.at_most().decoding == Decoding(4, 2, 12.0, 12)
    assert work.at_most().num_tokens == pytest.approx(198e-6)


def test_what_is_finished_does_not_count(tmp_path: Path) -> None:
    small = small_run.recipe(tmp_path)
    runner.run_stages(small, only="prepare", report=lambda line: None)
    waiting = unfinished(plan(small, RunDirectory(tmp_path)))
    assert waiting == {"sft", "sample", "label", "align", "control", "evaluate", "report"}
    assert {row.stage for row in estimate(small, waiting - {"sft", "align"})} == {"sample", "control", "evaluate"}


SPEED = Speed(trained=3.0, scored=1.0, optimizer_step=10.0, decoding_step=4.0, decoding_row=0.5)


def test_seconds_are_the_work_times_what_it_takes() -> None:
    """100 x 3 + 2 x 10 + 50 x 1 + (22 steps x 4 + 40 tokens x 0.5) = 478; all at their limit 12: 370 + 24 x 4 + 48 x 0.5 = 490."""
    work = StageCost("x", "", trained=100, num_steps=2, scored=50, decoding=Decoding(4, 2, 10, 12))
    assert SPEED.seconds(work) == pytest.approx(478)
    taken = duration([work, work], Recipe.model_validate({"run_dir": "x"}), SPEED)
    assert taken is not None
    assert (taken.low, taken.high) == (pytest.approx(2 * 478 / 1.25), pytest.approx(2 * 490 * 1.25))


def test_more_layers_take_what_more_layers_took() -> None:
    """One layer takes 3, four take 9: each layer 2, ten layers 3 + 9 x 2 = 21."""
    four = Speed(9.0, 1.0, 10.0, 4.0, 0.5)
    assert SPEED.extended(four, 9 / 3) == Speed(21.0, 1.0, 10.0, 4.0, 0.5)


@pytest.mark.parametrize("layers", [2, 7])
def test_the_trial_is_of_the_model_s_shape(tmp_path: Path, make_llama: Callable[..., Any], layers: int, monkeypatch: Any) -> None:
    """Large models are tried with one layer and with four; every kind of work takes time, and the random numbers stay."""
    monkeypatch.setattr(speed, "_SMALL", 0)
    tried = []
    trial = speed._Trial
    monkeypatch.setattr(speed, "_Trial", lambda recipe, config: tried.append(config.num_hidden_layers) or trial(recipe, config))
    monkeypatch.setattr(speed, "_TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(speed, "load_config", lambda *args, **kwargs: make_llama(num_hidden_layers=layers).config)
    before = torch.get_rng_state()
    make_llama(num_hidden_layers=layers)
    torch.set_rng_state(before)
    measured = speed.measured_speed(recipe(tmp_path, model={"precision": "float32"}))
    assert measured is not None
    assert tried == [1, min(4, layers)]
    assert min(measured.trained, measured.scored, measured.optimizer_step) > 0
    assert measured.trained > measured.scored


def test_unknown_models_have_a_range_from_a_matrix_product(tmp_path: Path) -> None:
    """1 million tokens x 1e9 operations, at a tenth to a half of 1e12 a second: 2,000 to 10,000 s."""
    of = recipe(tmp_path, model={"name": "nobody/nothing-500M", "precision": "float32", "device": "cpu"})
    assert speed.measured_speed(of) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "product_rates", lambda device: ProductRates(1.0, 0.01))
        taken = duration([StageCost("x", "", scored=1e6)], of, None)
    assert taken is not None
    assert (taken.low, taken.high) == (pytest.approx(2000), pytest.approx(10000))
    assert "not here" in taken.why
    assert duration([], recipe(tmp_path, model={"name": "nobody/nothing", "precision": "float32"}), None) is None


def test_memory_of_a_pass_stays_with_more_candidates(tmp_path: Path) -> None:
    """Groups beyond the token budget are taken in parts, each with its prompt, so 64 candidates need what 8 need."""
    few, many = (training_memory(recipe(tmp_path, sample={"num_candidates": k}, align={"token_budget": 600})) for k in (8, 64))
    assert few is not None
    assert many is not None
    assert (few.num_rows, many.num_rows > 7) == (2, True)
    assert many.num_tokens > 6 * few.num_tokens
    assert many.pass_ == few.pass_
    assert few.state == many.state == 16 * 1_363_360


def test_no_estimate_without_the_model(tmp_path: Path) -> None:
    assert training_memory(recipe(tmp_path, model={"name": "nobody/nothing-7B"})) is None
