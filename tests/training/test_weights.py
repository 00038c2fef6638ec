"""What types weights are trained in and saved with."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.models.loading import resolve
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import BUNDLED
from aftune.training.weights import train_in_float32

GROUPS = [EncodedGroup("a", [1, 5], [[6, 7, 2], [8, 2]], [True, False], [1.0, 0.0])]


def trained(model: Any, tokenizer: Any, folder: Path, **settings: Any) -> AlignmentTrainer:
    args = AlignmentConfig(output_dir=str(folder), use_cpu=True, disable_tqdm=True, max_steps=3, **settings)
    trainer = AlignmentTrainer(model, args, GROUPS, tokenizer)
    trainer.train()
    return trainer


def share_moved(model: Any, before: Any) -> float:
    """Of the weights that had a gradient: those that are not what they were."""
    pairs = [(weight, old) for weight, old in zip(model.parameters(), before, strict=True) if weight.ndim > 1]
    return sum(int((weight != old).sum()) for weight, old in pairs) / sum(old.numel() for _, old in pairs)


def given() -> tuple[Any, list[torch.Tensor]]:
    """The bundled model as from_pretrained gives it, in the type of its file, and its weights."""
    model = AutoModelForCausalLM.from_pretrained(resolve(BUNDLED))
    assert model.dtype == torch.bfloat16
    return model, [weight.detach().clone() for weight in model.parameters()]


def test_a_bfloat16_model_is_trained_in_float32(tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Most of its weights move; of bfloat16 weights few do. And it says what it does."""
    model, before = given()
    with caplog.at_level(logging.WARNING):
        run = trained(model, tokenizer, tmp_path)
    assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}
    assert share_moved(run.model, before) > 0.75
    assert [record.getMessage() for record in caplog.records if record.name.startswith("aftune")] == [
        "LlamaForCausalLM: weights were bfloat16 and are trained in float32, as most updates are too small for bfloat16 "
        "(weights='as_given' keeps the type); products are computed in float32 (bf16=True: in bfloat16)"
    ]
    model, before = given()
    run = trained(model, tokenizer, tmp_path, weights="as_given")
    assert {weight.dtype for weight in run.model.parameters()} == {torch.bfloat16}
    assert share_moved(run.model, before) < 0.3


def test_frozen_weights_fit_the_trained_ones(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """Of a model whose trained weights are short all become float32; below float32 adapters the others stay as they are."""
    model = make_llama().to(torch.bfloat16)
    for weight in model.model.layers[0].parameters():
        weight.requires_grad = False
    run = trained(model, tokenizer, tmp_path)
    assert {weight.dtype for weight in run.model.parameters()} == {torch.float32}
    model = make_llama().to(torch.bfloat16).requires_grad_(False)
    model.model.norm.float().requires_grad_()
    train_in_float32(model, autocast=True)
    assert {weight.dtype for weight in model.model.layers.parameters()} == {torch.bfloat16}


def test_nothing_is_said_of_a_float32_model(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trained(make_llama(), tokenizer, tmp_path)
    assert [record for record in caplog.records if record.name.startswith("aftune")] == []


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_saved_model_has_the_setting_of_the_cache_that_it_came_with(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, use_cache: bool
) -> None:
    run = trained(make_llama(use_cache=use_cache), tokenizer, tmp_path, save_strategy="steps", save_steps=2)
    run.save_model(str(tmp_path / "saved"))
    for folder in ("saved", "checkpoint-2"):
        assert AutoModelForCausalLM.from_pretrained(tmp_path / folder).config.use_cache is use_cache
