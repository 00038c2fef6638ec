"""The load-balancing loss of experts is that of transformers, however a step is split."""

import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.models.abilities import abilities
from aftune.models.checkpointing import SETTING
from aftune.prompts.encoding import EncodedGroup

WEIGHT = 0.3
GROUPS = [
    EncodedGroup("a", [1, 50, 61, 72], [[83, 94, 2]], [True], [None]),
    EncodedGroup("b", [1, 55], [[66, 77, 88, 99, 100, 101, 2]], [True], [None]),
]
PAIRS = [EncodedGroup("c", [1, 50, 61], [[72, 83, 2], [94, 2], [105, 2]], [True, False, False], [1.0, 0.0, 0.0])]


def mixture(kind: str = "mixtral", **settings: Any) -> Any:
    common: dict[str, Any] = {
        "vocab_size": 128,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
        "router_aux_loss_coef": WEIGHT,
        "output_router_logits": True,
        "num_experts_per_tok": 2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **settings,
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        if kind == "mixtral":
            return tf.MixtralForCausalLM(tf.MixtralConfig(num_local_experts=4, **common)).eval()
        qwen = tf.Qwen3MoeConfig(num_experts=4, moe_intermediate_size=24, head_dim=8, **common)
        return tf.Qwen3MoeForCausalLM(qwen).eval()


def trained(model: Any, tokenizer: Any, folder: Path, groups: list[EncodedGroup] = GROUPS, **settings: Any) -> Any:
    defaults = {"max_steps": 1, "per_device_train_batch_size": 2, "learning_rate": 0.0, "logging_steps": 1}
    args = AlignmentConfig(output_dir=str(folder), use_cpu=True, disable_tqdm=True, **{**defaults, **settings})
    trainer = AlignmentTrainer(deepcopy(model), args, groups, tokenizer)
    trainer.train()
    return trainer


def of_transformers(model: Any, group: EncodedGroup) -> Any:
    ids = group.prompt_ids + group.response_ids[0]
    labels = [-100] * len(group.prompt_ids) + group.response_ids[0]
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))


@pytest.mark.parametrize("kind", ["mixtral", "qwen3"])
def test_loss_of_one_text_is_that_of_transformers(tokenizer: Any, tmp_path: Path, kind: str) -> None:
    model = mixture(kind)
    run = trained(model, tokenizer, tmp_path, GROUPS[:1], alignment_weight=0.0)
    expected = of_transformers(model, GROUPS[0])
    assert abilities(run.model).shared_prefix
    logged = run.state.log_history[0]
    assert logged["loss"] == pytest.approx(expected.loss.item(), rel=1e-5)
    assert logged["router_loss"] == pytest.approx(expected.aux_loss.item(), rel=1e-5)
    assert logged["loss"] - logged["sft_loss"] == pytest.approx(WEIGHT * expected.aux_loss.item(), rel=1e-3)


@pytest.mark.parametrize(
    "settings",
    [
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2},
        {"token_budget": 1},
        {"token_budget": 1, SETTING: True},
    ],
)
def test_passes_count_by_their_tokens(tokenizer: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    """Texts of 7 and 9 tokens, each a pass of its own; and the gradient is that of the weighted mean."""
    model = mixture()
    run = trained(model, tokenizer, tmp_path, alignment_weight=0.0, learning_rate=0.1, optim="sgd", max_grad_norm=0.0, **settings)
    first, second = (of_transformers(model, group).aux_loss.item() for group in GROUPS)
    assert run.state.log_history[0]["router_loss"] == pytest.approx((7 * first + 9 * second) / 16, rel=1e-5)
    by_hand = deepcopy(model).train()
    loss = torch.zeros(())
    for group in GROUPS:
        ids = torch.tensor([group.prompt_ids + group.response_ids[0]])
        outputs = by_hand(input_ids=ids, labels=torch.tensor([[-100] * len(group.prompt_ids) + group.response_ids[0]]))
        loss = loss + (outputs.loss - WEIGHT * outputs.aux_loss) * len(group.response_ids[0]) / 10
        loss = loss + WEIGHT * outputs.aux_loss * ids.numel() / 16
    loss.backward()
    for weight, theirs, old in zip(run.model.parameters(), by_hand.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(weight, old - 0.1 * theirs.grad, rtol=0, atol=2e-6)


def test_texts_computed_at_once_are_balanced_together(tokenizer: Any, tmp_path: Path) -> None:
    """As transformers does with a batch; the same in one row and in padded ones."""
    model = mixture()
    texts = [group.prompt_ids + group.response_ids[0] for group in GROUPS]
    ids = torch.tensor([text + [0] * (9 - len(text)) for text in texts])
    mask = torch.tensor([[1] * len(text) + [0] * (9 - len(text)) for text in texts])
    expected = model(input_ids=ids, attention_mask=mask).aux_loss.item()
    packed = trained(model, tokenizer, tmp_path)
    model._supports_attention_backend = False
    with pytest.warns(UserWarning, match="cannot share a prompt"):
        padded = trained(model, tokenizer, tmp_path)
    for run in (packed, padded):
        assert run.state.log_history[0]["router_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("budget", [4096, 1])
def test_groups_in_one_row_and_in_several(tokenizer: Any, tmp_path: Path, budget: int) -> None:
    """Training brings the load into balance: alone, the loss falls to that of equal shares, 2 of 4 experts."""
    model = mixture()
    run = trained(
        model,
        tokenizer,
        tmp_path,
        PAIRS,
        max_steps=60,
        learning_rate=1e-2,
        sft_weight=0.0,
        alignment_weight=1e-9,
        token_budget=budget,
    )
    losses = [entry["router_loss"] for entry in run.state.log_history if "router_loss" in entry]
    assert losses[0] > 2.1
    assert losses[-1] < losses[0] - 0.05


def test_what_is_left_out_is_said(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and only of a model that has experts."""
    with caplog.at_level(logging.WARNING):
        run = trained(mixture(output_router_logits=False), tokenizer, tmp_path)
        trained(make_llama(), tokenizer, tmp_path)
    assert "router_loss" not in run.state.log_history[0]
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("aftune")]
    assert messages == [
        "MixtralForCausalLM: the load-balancing loss of its experts (weight 0.3) is left out, as in transformers, because its "
        "config's output_router_logits is off; set model.config.output_router_logits = True to train with it"
    ]
