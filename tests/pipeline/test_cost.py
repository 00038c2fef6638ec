"""Estimates before a run, held against what the tensors really take."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from aftune.encoding import EncodedGroup
from aftune.pipeline.cost import estimate, kept_bytes, training_memory
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
    assert tokens[6]["sample"] == pytest.approx(2 * tokens[3]["sample"])


def test_every_round_samples_and_aligns(tmp_path: Path) -> None:
    """Three rounds sample and align three times and are controlled for as many steps; imported candidates stand for one round."""
    once, thrice = ({row.stage: row.num_tokens for row in estimate(recipe(tmp_path, rounds=n))} for n in (1, 3))
    assert {stage: thrice[stage] / once[stage] for stage in once if stage != "sft"} == {
        "sample": pytest.approx(3),
        "align": pytest.approx(3),
        "control": pytest.approx(3),
        "evaluate": 1,
    }
    given = {"format": "gsm8k_solutions", "path": "x.jsonl"}
    assert [sampled_tokens(recipe(tmp_path, rounds=n, candidates=given)) > 0 for n in (1, 3)] == [False, True]


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
