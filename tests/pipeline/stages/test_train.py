"""What the training stages leave, and that they do not end as done when training has diverged."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftune.common.errors import DataError, TrainingError
from aftune.models.loading import resolve
from aftune.pipeline.runner import run_stages
from aftune.recipe import BUNDLED
from small_run import recipe


def base(folder: Path, **changes: Any) -> Path:
    """A copy of the bundled model."""
    source = resolve(BUNDLED)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=changes.get("dtype", torch.float32))
    if "damage" in changes:
        model.model.layers[2].self_attn.k_proj.weight.data[0, 0] = changes["damage"]
    model.config.use_cache = changes.get("use_cache", True)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def train(run_dir: Path, **sections: Any) -> None:
    task = {"train": "train[:8]", "validation": "validation[:1]", "test": "test[:1]"}
    wanted = recipe(run_dir, **{"task": task, "sft": {"num_epochs": 1, "batch_size": 2}, **sections})
    for stage in ("prepare", "sft"):
        run_stages(wanted, only=stage, report=lambda line: None)


@pytest.mark.parametrize(
    ("dtype", "save_dtype", "expected"),
    [
        (torch.float32, "auto", torch.float32),
        (torch.bfloat16, "auto", torch.bfloat16),
        (torch.bfloat16, "float32", torch.float32),
        (torch.float32, "float16", torch.float16),
    ],
)
def test_a_saved_model_is_like_its_base(tmp_path: Path, dtype: torch.dtype, save_dtype: str, expected: torch.dtype) -> None:
    """In the type of its weights, and with it in size, and in the settings of its configuration."""
    use_cache = dtype == torch.bfloat16
    folder = base(tmp_path / "base", dtype=dtype, use_cache=use_cache)
    train(tmp_path / "run", model={"name": str(folder), "device": "cpu", "save_dtype": save_dtype})
    saved = tmp_path / "run" / "sft" / "model"
    weights, before = load_file(saved / "model.safetensors"), load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {expected}
    config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    assert (config["dtype"], config["use_cache"]) == (str(expected).removeprefix("torch."), use_cache)
    moved = sum(int((weights[name].float() != before[name].float()).sum()) for name in weights)
    assert moved / sum(weight.numel() for weight in before.values()) > 0.5


@pytest.mark.parametrize("rate", [1e12, 1e25])
def test_a_stage_that_diverges_is_not_done(tmp_path: Path, rate: float) -> None:
    """It says at which step, and the groups of that step are in its folder."""
    with pytest.raises(
        TrainingError, match=r"^in step [1-3]: the (loss|norm of the gradients) is nan.* lower learning_rate"
    ) as raised:
        train(tmp_path, sft={"learning_rate": rate, "num_epochs": 1, "batch_size": 2})
    assert json.loads((tmp_path / "manifest.json").read_text())["stages"]["sft"]["status"] != "finished"
    assert not (tmp_path / "sft" / "model").exists()
    (kept,) = (tmp_path / "sft").rglob("not-finite-step-*.jsonl")
    assert str(kept) in str(raised.value)
    problems = [json.loads(line)["id"] for line in (tmp_path / "prepare" / "train.jsonl").read_text().splitlines()]
    groups = [json.loads(line)["problem_id"] for line in kept.read_text(encoding="utf-8").splitlines()]
    assert len(groups) == 2
    assert set(groups) < set(problems)


@pytest.mark.parametrize("damage", [math.nan, -math.inf])
def test_a_damaged_base_is_told_so(tmp_path: Path, damage: float) -> None:
    folder = base(tmp_path / "base", damage=damage)
    weight = r"model\.layers\.2\.self_attn\.k_proj\.weight holds 1 of 25600 values that are not finite"
    with pytest.raises(DataError, match=rf"base is damaged: its weight {weight}; use an undamaged copy") as raised:
        train(tmp_path / "run", model={"name": str(folder), "device": "cpu"})
    assert "learning_rate" not in str(raised.value)


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_the_type_that_weights_are_trained_in(tmp_path: Path, weights: str) -> None:
    """Those of bfloat16 training are all values of bfloat16, of float32 training few; and steps of 1e-5, which are far below what
    bfloat16 resolves, move some of them."""
    model = {"device": "cpu", "precision": "bfloat16", "weights": weights, "save_dtype": "float32"}
    train(tmp_path, model=model, sft={"num_epochs": 1, "batch_size": 2, "learning_rate": 1e-5})
    before = load_file(Path(resolve(BUNDLED)) / "model.safetensors")
    after = load_file(tmp_path / "sft" / "model" / "model.safetensors")
    pairs = [(before[name].float(), weight) for name, weight in after.items() if weight.ndim > 1]
    size = sum(weight.numel() for _, weight in pairs)
    short = sum(int((weight == weight.bfloat16().float()).sum()) for _, weight in pairs) / size
    moved = sum(int((weight != old).sum()) for old, weight in pairs) / size
    if weights == "bfloat16":
        assert short == 1
        assert 0.05 < moved < 0.5
    else:
        assert short < 0.3
        assert moved > 0.7
