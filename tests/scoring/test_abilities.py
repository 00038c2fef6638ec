"""What a model cannot do is found out, warned of once, and its scores are right all the same."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as tf

from aftune.scoring import Abilities, abilities, score_groups
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
