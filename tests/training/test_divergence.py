"""Training that is not finite stops where it happens, says why, and keeps what it happened with."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import DataError, TrainingError
from aftune.prompts.encoding import EncodedGroup
from aftune.scoring import score_groups

GROUPS = [EncodedGroup(f"p{n}", [1, 5 + n], [[6, 7, 2], [8, 2]], [True, False], [1.0, 0.0]) for n in range(4)]


def trainer(model: Any, tokenizer: Any, folder: Path, **settings: Any) -> AlignmentTrainer:
    defaults = {"use_cpu": True, "disable_tqdm": True, "logging_steps": 1, "max_steps": 6, "per_device_train_batch_size": 1}
    return AlignmentTrainer(model, AlignmentConfig(output_dir=str(folder), **{**defaults, **settings}), GROUPS, tokenizer)


def test_a_learning_rate_that_is_far_too_high(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """Nothing is logged of the step that failed, no weight becomes NaN, and the batch is that of the step."""
    run = trainer(make_llama(), tokenizer, tmp_path, learning_rate=1e12, warmup_fraction=0.03)
    with pytest.raises(TrainingError, match=r"^in step \d: the loss is nan.*: lower learning_rate \(it is 1e\+12\)") as raised:
        run.train()
    step = run.state.global_step + 1
    assert step <= 3
    assert f"in step {step}: " in str(raised.value)
    kept = tmp_path / f"not-finite-step-{step}.jsonl"
    assert str(raised.value).endswith(f"The groups of the batch are in {kept}")
    order = list(run._get_train_sampler())  # type: ignore[call-overload]
    (line,) = kept.read_text(encoding="utf-8").splitlines()
    group = GROUPS[order[step - 1]]
    assert json.loads(line) == {
        "schema_version": 1,
        "problem_id": group.problem_id,
        "prompt": tokenizer.decode(group.prompt_ids),
        "responses": [tokenizer.decode(ids) for ids in group.response_ids],
        "qualities": [1.0, 0.0],
        "in_sft": [True, False],
    }
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert len(losses) == step - 1
    assert all(map(math.isfinite, losses))
    assert all(torch.isfinite(weight).all() for weight in run.model.parameters())


def test_the_last_step_counts_too(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    run = trainer(make_llama(), tokenizer, tmp_path, learning_rate=1e25, max_steps=1)
    with pytest.raises(TrainingError, match=r"^after step 1: the loss is nan; .* lower learning_rate"):
        run.train()
    assert (tmp_path / "not-finite-step-1.jsonl").exists()


def test_all_batches_of_a_step_are_kept(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    run = trainer(make_llama(), tokenizer, tmp_path, learning_rate=1e25, gradient_accumulation_steps=2)
    with pytest.raises(TrainingError):
        run.train()
    lines = (tmp_path / "not-finite-step-2.jsonl").read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["problem_id"] for line in lines}) == 2


def test_gradients_that_are_not_finite(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    """Though the loss is."""
    model = make_llama()
    model.model.norm.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match=r"^in step 1: the norm of the gradients is inf; no weight has changed yet"):
        trainer(model, tokenizer, tmp_path).train()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_damaged_model_is_told_so(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, value: float) -> None:
    """The tensor is named, and no learning rate is blamed; in scoring as in training."""
    model = make_llama()
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = value
    damage = r"model\.layers\.1\.mlp\.up_proj\.weight holds 1 of 2048 values that are not finite"
    with pytest.raises(DataError, match=damage) as raised:
        trainer(model, tokenizer, tmp_path)
    assert "learning_rate" not in str(raised.value)
    with pytest.raises(DataError, match=f"p0: .*not finite: .*{damage}"):
        list(score_groups(model, GROUPS))


def test_scores_of_a_model_whose_numbers_are_too_large(make_llama: Callable[..., Any]) -> None:
    model = make_llama()
    for layer in model.model.layers:
        layer.mlp.gate_proj.weight.data *= 1e25
        layer.mlp.up_proj.weight.data *= 1e25
    with pytest.raises(DataError, match=r"p0: .* its weights are finite, but too large for torch\.float32"):
        list(score_groups(model, GROUPS))
