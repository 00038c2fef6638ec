"""The judge of scores: a loop that runs a model on one sequence at a time and reads its full logits. And tiny models."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from aftune.prompts.encoding import EncodedGroup


def group(prompt: list[int], *responses: list[int]) -> EncodedGroup:
    return EncodedGroup("p", prompt, list(responses), [False] * len(responses), [0.0] * len(responses))


# Prompts of 1 to 9 tokens, 1 to 4 responses, responses of 1 to 12 tokens.
GROUPS = [
    group([1, 40, 41, 42], [50, 51, 52, 2], [60, 2], [53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 2]),
    group([1], [70, 71, 72, 73, 74], [2]),
    group([1, 30, 31, 32, 33, 34, 35, 36, 37], [44, 45, 46, 2]),
    group([1, 99, 98], [10], [11, 2], [11, 12, 2], [11, 12, 13, 14, 2]),
]


def brute_force(model: Any, prompt: list[int], response: list[int]) -> Tensor:
    """Mean log-probability of a response, from the logits of the one unpadded sequence, token by token."""
    logits_T_V = model(input_ids=torch.tensor([prompt + response])).logits[0]
    total = torch.zeros((), dtype=logits_T_V.dtype)
    for position, token in enumerate(response, len(prompt)):
        total = total + logits_T_V[position - 1].log_softmax(-1)[token]
    return total / len(response)


def expected_scores(model: Any, groups: list[EncodedGroup]) -> list[list[float]]:
    with torch.no_grad():
        return [[brute_force(model, g.prompt_ids, r).item() for r in g.response_ids] for g in groups]


def assert_scores(ours: Iterable[list[float]], theirs: list[list[float]], tolerance: float) -> None:
    ours = list(ours)
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    for row, expected in zip(ours, theirs, strict=True):
        assert row == pytest.approx(expected, abs=tolerance, rel=0)


def tiny(name: str) -> Any:
    """A random two-layer model of another family."""
    import transformers as tf

    common = {
        "vocab_size": 128,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    grouped = {**common, "num_key_value_heads": 2, "head_dim": 8}
    gemma2 = {**grouped, "sliding_window": 4, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
    builders: dict[str, Callable[[], Any]] = {
        "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**{**common, "num_key_value_heads": 2})),
        "gpt2": lambda: tf.GPT2LMHeadModel(
            tf.GPT2Config(
                vocab_size=128,
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=64,
                initializer_range=0.2,
                bos_token_id=1,
                eos_token_id=2,
            )
        ),
        "gpt_neox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**common)),
        "qwen2": lambda: tf.Qwen2ForCausalLM(tf.Qwen2Config(**{**common, "num_key_value_heads": 2})),
        "qwen3": lambda: tf.Qwen3ForCausalLM(tf.Qwen3Config(**grouped)),
        "gemma": lambda: tf.GemmaForCausalLM(tf.GemmaConfig(**grouped)),
        "gemma2": lambda: tf.Gemma2ForCausalLM(tf.Gemma2Config(**gemma2)),
        "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**grouped, sliding_window=4)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return builders[name]().eval()
