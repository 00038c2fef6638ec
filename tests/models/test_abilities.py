"""What a model cannot do is found out, warned of once, and its scores are right all the same."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from aftune.models.abilities import Abilities, abilities
from aftune.models.kernels import shared_prefix
from aftune.models.probe import ordinary_probe
from aftune.scoring import score_groups
from judge import GROUPS, assert_scores, expected_scores, tiny


def mamba() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = tf.MambaConfig(vocab_size=128, hidden_size=16, num_hidden_layers=2, state_size=4, initializer_range=0.3)
        return tf.MambaForCausalLM(config).eval()


def bloom() -> Any:
    """Positions are distances in the padded row, and attention is its own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tf.BloomForCausalLM(
            tf.BloomConfig(vocab_size=128, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.3)
        ).eval()


def test_ordinary_models_have_both(llama: Any, recwarn: pytest.WarningsRecorder) -> None:
    assert abilities(llama) == Abilities(shared_prefix=True, chunked_head=True)
    assert not recwarn.list


@pytest.mark.parametrize("build", [mamba, bloom])
def test_models_that_cannot_share_a_prompt_are_scored_with_padding(build: Callable[[], Any]) -> None:
    model = build()
    with pytest.warns(UserWarning, match=r"ForCausalLM cannot share a prompt between responses"):
        assert not abilities(model).shared_prefix
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        assert_scores(score_groups(model, GROUPS), expected_scores(model, GROUPS), 1e-5)


def test_logits_that_change_after_the_head_are_held(recwarn: pytest.WarningsRecorder) -> None:
    model = tiny("gemma2")
    assert abilities(model) == Abilities(shared_prefix=True, chunked_head=False)
    assert [str(w.message) for w in recwarn.list] == [
        "Gemma2ForCausalLM changes its logits after the head: they are held for all tokens at once"
    ]


def test_an_adapter_on_the_head_is_not_left_out(make_llama: Callable[..., Any]) -> None:
    class Adapter(torch.nn.Module):
        def __init__(self, head: Any) -> None:
            super().__init__()
            self.head, self.weight = head, head.weight

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return self.head(hidden) + hidden.sum(-1, keepdim=True) * torch.arange(self.weight.shape[0]) / 100

    model = make_llama()
    model.lm_head = Adapter(model.lm_head)
    with pytest.warns(UserWarning, match="held for all tokens"):
        assert abilities(model) == Abilities(shared_prefix=True, chunked_head=False)
    assert_scores(score_groups(model, GROUPS), expected_scores(model, GROUPS), 1e-5)


def test_a_model_in_training_stays_in_training(make_llama: Callable[..., Any]) -> None:
    """And dropout does not hide an ability."""
    model = make_llama(attention_dropout=0.5).train()
    assert abilities(model) == Abilities(shared_prefix=True, chunked_head=True)
    assert model.training


def large_logits(make_llama: Callable[..., Any]) -> Any:
    """As those of real models: rounding to bfloat16 changes them by more than a tenth."""
    model = make_llama(num_hidden_layers=6).to(torch.bfloat16)
    model.lm_head.weight.data *= 20
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_weights_lose_no_ability(
    make_llama: Callable[..., Any], recwarn: pytest.WarningsRecorder, dtype: torch.dtype
) -> None:
    """Their error is as large without the shortcut; and the weights are what they were."""
    model = large_logits(make_llama).to(dtype)
    before = [weight.clone() for weight in model.parameters()]
    assert abilities(model) == Abilities(shared_prefix=True, chunked_head=True)
    assert not recwarn.list
    assert all(torch.equal(old, new) and new.dtype == dtype for old, new in zip(before, model.parameters(), strict=True))


def test_short_weights_do_not_hide_a_fault(make_llama: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bloom's positions are wrong by less than bfloat16 could tell; and an attention that is wrong in bfloat16 only."""
    with pytest.warns(UserWarning, match=r"BloomForCausalLM cannot share a prompt between responses \("):
        assert not abilities(bloom().to(torch.bfloat16)).shared_prefix
    attend = shared_prefix._attend

    def wrong(query: torch.Tensor, *others: Any) -> torch.Tensor:
        return attend(query, *others) * (1.3 if query.dtype == torch.bfloat16 else 1)

    monkeypatch.setattr(shared_prefix, "_attend", wrong)
    with pytest.warns(UserWarning, match=r"\(in torch.bfloat16 its logits are off by \d+.\d%, without sharing by \d.\d%\)"):
        assert not abilities(make_llama().to(torch.bfloat16)).shared_prefix


@pytest.mark.parametrize("size", [49152, 262144, 576, 12, 2])
def test_the_probe_is_of_ordinary_words(size: int) -> None:
    """From the middle of the vocabulary, no special ones, none twice where there are enough."""
    config = tf.LlamaConfig(vocab_size=size, bos_token_id=1, eos_token_id=[2, size // 2], pad_token_id=0)
    probe = ordinary_probe(config)
    ids = probe.prompt + [token for response in probe.responses for token in response]
    assert len(ids) == 12
    if size > 500:
        assert len(set(ids)) == 12
        assert size // 4 <= min(ids) < max(ids) < size - size // 4
        assert size // 2 not in ids
        assert min(abs(a - b) for a, b in pairwise(ids)) > size / 40
    assert all(0 <= token < size for token in ids)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "gemma3-270m"])
def test_real_models_have_both(model_dir: Path, name: str, dtype: torch.dtype, recwarn: pytest.WarningsRecorder) -> None:
    model = tf.AutoModelForCausalLM.from_pretrained(model_dir / name, dtype=dtype)
    assert abilities(model) == Abilities(shared_prefix=True, chunked_head=True)
    assert [str(warning.message) for warning in recwarn.list if "ForCausalLM" in str(warning.message)] == []
