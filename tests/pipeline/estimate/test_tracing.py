"""What a pass holds, without numbers, against the same pass with numbers, and by hand."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, MixtralConfig

from aftune.models.adapters import add_adapter
from aftune.models.kernels import chunked_head
from aftune.pipeline.estimate import tracing
from aftune.pipeline.estimate.tracing import PassMemory, RowShape, pass_memory
from aftune.recipe import AdapterSection
from aftune.scoring import make_pass, response_logprobs, rows_of_segments

SHAPE = RowShape(num_tokens=200, prompt=30, response=40, k=3, gradients=0)
LORA = AdapterSection(kind="lora", rank=4, targets="all-linear")


def really_held(model: Any, shape: RowShape, half: bool, kept_bytes: float) -> float:
    """The most bytes of tensors that are alive during the pass, weights left out, with a model that has numbers."""
    batch = make_pass(shape.groups())
    response_logprobs(model, batch)  # tries what the model can do
    count = tracing._Count(model.config.vocab_size, model.parameters(), [])
    with count, rows_of_segments(model):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            sums_P_G = response_logprobs(model, batch, kept_bytes).sums_P_G
        sums_P_G.sum().backward()
    return count.peaks[0].total


def memory(config: Any, adapter: AdapterSection | None = None, shape: RowShape = SHAPE, **options: Any) -> PassMemory:
    settings = {"half": False, "checkpointing": False, "gpu": False} | options
    found = pass_memory(config, adapter, shape, torch.float32, **settings)
    assert found is not None
    return found


@pytest.mark.parametrize(("half", "adapter", "kept_bytes"), [*itertools.product([False, True], [None, LORA], [0, 10**7])])
def test_a_pass_holds_what_it_holds_with_numbers(
    make_llama: Callable[..., Any], half: bool, adapter: AdapterSection | None, kept_bytes: int
) -> None:
    """Of five layers, from what one and two of them hold; with logits that are kept or computed again."""
    model = make_llama(num_hidden_layers=5)
    if adapter is not None:
        pytest.importorskip("peft")
        model = add_adapter(model, adapter)
    expected = really_held(model.train(), SHAPE, half, kept_bytes)
    assert memory(model.config, adapter, half=half, kept_bytes=kept_bytes).total == pytest.approx(expected, rel=0.03)


def test_a_row_whose_logits_are_just_kept_may_be_the_fullest(
    make_llama: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """50,000 words: a row of 200 tokens has 140 of responses, 28 million bytes of logits, in chunks of 16 tokens. Up to 20 million
    are kept: those of a row of 142 tokens, which then takes more than the whole row, whose logits are computed again."""
    monkeypatch.setattr(chunked_head, "CHUNK_ELEMENTS", 16 * 50_000)
    config = make_llama(vocab_size=50_000, num_hidden_layers=2).config
    again, kept, between = (memory(config, kept_bytes=number).total for number in (0, 30 * 10**6, 20 * 10**6))
    assert again < between < kept
    assert memory(config, LORA, kept_bytes=20 * 10**6) == memory(config, LORA)


def test_gradients_that_are_there_before(make_llama: Callable[..., Any]) -> None:
    """Each set is 4 bytes a weight. Without one, gradients grow while activations go."""
    config = make_llama(num_hidden_layers=3).config
    size = 4 * sum(weight.numel() for weight in make_llama(num_hidden_layers=3).parameters())
    none, one, two = (memory(config, shape=RowShape(200, 30, 40, 3, gradients=number)) for number in (0, 1, 2))
    assert none.gradients < size
    assert one.gradients == pytest.approx(size, rel=0.01)
    assert two.gradients == pytest.approx(2 * size, rel=0.01)
    assert two.activations == pytest.approx(one.activations, rel=0.05)


def test_checkpoints_keep_a_layer_at_a_time(make_llama: Callable[..., Any]) -> None:
    """Of each layer its input alone is kept, 32 numbers for each of 200 tokens, beside one layer's activations."""
    config = [make_llama(num_hidden_layers=number).config for number in (8, 9)]
    few, many = (memory(one, LORA, checkpointing=True) for one in config)
    kept = 4 * 200 * 32
    adapter = 4 * 4 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))  # gradients of the layer's adapter
    assert kept <= many.total - few.total <= kept + adapter
    plain = [memory(one, LORA) for one in config]
    assert plain[1].total - plain[0].total > 8 * kept


def test_logits_are_chunks_unless_the_model_changes_them(make_llama: Callable[..., Any]) -> None:
    """4 bytes for each of the words and response tokens, logits and log-probabilities: 30 + 3 x 40 and 30 + 20 fill a row of 200,
    140 are of responses. Gemma 2 caps its logits, so they are there for all 200 tokens, several times over."""
    words = 50_000
    logits = 2 * 4 * words * 140
    assert memory(make_llama(vocab_size=words).config, LORA).logits == pytest.approx(logits, rel=0.01)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    assert memory(Gemma2Config(vocab_size=words, num_hidden_layers=2, **small), LORA).logits > 3 * 4 * words * 200


def test_a_row_is_full(make_llama: Callable[..., Any]) -> None:
    """Prompts of 30 with up to three responses of 40; the last one is longer where no other prompt has room."""
    assert [[len(ids) for ids in group.response_ids] for group in SHAPE.groups()] == [[40, 40, 40], [20]]
    longer = RowShape(175, 30, 40, 3, 0).groups()
    assert [[len(ids) for ids in group.response_ids] for group in longer] == [[40, 40, 65]]
    for size in (31, 60, 150, 151, 180, 181, 500):
        assert sum(group.num_tokens for group in RowShape(size, 30, 40, 3, 0).groups()) == size


def test_a_gpu_keeps_no_attention_weights(make_llama: Callable[..., Any]) -> None:
    config = make_llama(num_hidden_layers=4).config
    assert memory(config, gpu=True).activations < memory(config, gpu=False).activations


def test_a_model_whose_way_depends_on_numbers_is_not_counted() -> None:
    config = MixtralConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    assert pass_memory(config, None, SHAPE, torch.float32, half=False, checkpointing=False, gpu=False) is None
