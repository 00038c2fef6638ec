"""Numbers of weights and their bytes, counted by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune.pipeline.estimate.weights import count_weights, model_config, state_bytes
from aftune.recipe import AdapterSection, Recipe


def test_weights_of_a_small_llama(make_llama: Callable[..., Any]) -> None:
    """Width 32, inner 64, 4 heads of 8 numbers, 2 of them for keys and values; 100 words, and a head of its own. Linear layers:
    queries and output 32 x 32, keys and values 32 x 16, three of 32 x 64: 9,216 a layer. Two norms of 32 a layer, and one at the
    end."""
    config = make_llama(vocab_size=100, tie_word_embeddings=False).config
    weights = count_weights(config, AdapterSection())
    linear = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    assert weights.linear == linear
    assert weights.total == linear + 2 * 100 * 32 + 5 * 32
    assert weights.products == weights.total - 100 * 32  # the embedding is only looked up
    assert (weights.largest, weights.num_layers, weights.adapted) == (32 * 64, 2, 0)
    assert weights.layer == (linear + 5 * 32) / 2
    assert weights.cached == 2 * 2 * 2 * 8  # keys and values, layers, heads, numbers
    assert weights.size("bfloat16") == 2 * weights.total
    assert weights.size("float32", four_bit=True) == pytest.approx(0.51587 * linear + 4 * (weights.total - linear), rel=1e-5)


def test_a_shared_head_is_one_matrix(make_llama: Callable[..., Any]) -> None:
    weights = count_weights(make_llama(vocab_size=100, tie_word_embeddings=True).config, AdapterSection())
    assert weights.products == weights.total == weights.linear + 100 * 32 + 5 * 32
    assert weights.layer == (weights.linear + 5 * 32) / 2


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_weights_of_an_adapter(make_llama: Callable[..., Any], kind: str) -> None:
    """Rank 2 on every linear layer: 2 x (inputs + outputs) each."""
    pytest.importorskip("peft")
    section = AdapterSection(rank=2, targets="all-linear").model_copy(update={"kind": kind})
    adapted = count_weights(make_llama().config, section).adapted
    assert adapted == 2 * 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adamw", 8),
        ("adamw_torch_fused", 8),
        ("paged_adamw_8bit", 2),
        ("adamw_torch_4bit", 1),
        ("lion_32bit", 4),
        ("adafactor", 0),
        ("galore_adamw", 8),
    ],
)
def test_bytes_of_optimizer_state(name: str, expected: float) -> None:
    assert state_bytes(name) == expected


@pytest.mark.parametrize(("name", "layers", "billions"), [("x/y-7b", 33, 7.0), ("x/y-13B", 40, 13.0), ("x/y-65b", 69, 65.0)])
def test_a_llama_stands_in_for_a_model_that_is_not_here(tmp_path: Path, name: str, layers: int, billions: float) -> None:
    """12 x (128 x layers)^2 x layers weights, and the embeddings: LLaMA itself has 32, 40 and 80 layers."""
    found = model_config(Recipe.model_validate({"run_dir": str(tmp_path), "model": {"name": name}}))
    assert found is not None
    config, own = found
    assert not own
    assert config.num_hidden_layers == layers
    assert count_weights(config, AdapterSection()).total == pytest.approx(billions * 1e9, rel=0.05)
    assert model_config(Recipe.model_validate({"run_dir": str(tmp_path), "model": {"name": "x/unsized"}})) is None
