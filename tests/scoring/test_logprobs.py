"""Scores against a loop that runs the model on one sequence at a time and reads its full logits."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from aftune.encoding import EncodedGroup
from aftune.scoring import collate, response_logprobs, score_groups


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


def assert_scores(ours: list[list[float]], theirs: list[list[float]], tolerance: float) -> None:
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    for row, expected in zip(ours, theirs, strict=True):
        assert row == pytest.approx(expected, abs=tolerance, rel=0)


def test_scores_equal_one_sequence_at_a_time(llama: Any) -> None:
    assert_scores(score_groups(llama, GROUPS), expected_scores(llama, GROUPS), 1e-5)


def test_double_precision_model_is_the_judge(llama: Any) -> None:
    judge = expected_scores(deepcopy(llama).double(), GROUPS)
    assert_scores(score_groups(llama, GROUPS), judge, 1e-5)
    assert len({round(score, 3) for row in judge for score in row}) == 10  # the scores are told apart


def test_sums_and_lengths_belong_to_the_scores(llama: Any) -> None:
    with torch.no_grad():
        logprobs = response_logprobs(llama, collate(GROUPS))
    assert logprobs.lengths_P_G.tolist() == [[4, 2, 12, 0], [5, 1, 0, 0], [4, 0, 0, 0], [1, 2, 3, 5]]
    sums = [
        [score * len(r) for score, r in zip(row, g.response_ids, strict=True)]
        for g, row in zip(GROUPS, expected_scores(llama, GROUPS), strict=True)
    ]
    for p, row in enumerate(sums):
        assert logprobs.sums_P_G[p, : len(row)].tolist() == pytest.approx(row, abs=1e-4)
        assert not logprobs.sums_P_G[p, len(row) :].any()
        assert not logprobs.scores_P_G[p, len(row) :].any()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_batch_size_does_not_matter(llama: Any, batch_size: int) -> None:
    assert_scores(score_groups(llama, GROUPS, batch_size=batch_size), expected_scores(llama, GROUPS), 1e-5)


def test_order_of_groups_and_responses_does_not_matter(llama: Any) -> None:
    scores = score_groups(llama, GROUPS)
    turned = [group(g.prompt_ids, *reversed(g.response_ids)) for g in reversed(GROUPS)]
    assert_scores([row[::-1] for row in reversed(score_groups(llama, turned))], scores, 1e-5)


def test_other_responses_and_groups_do_not_matter(llama: Any) -> None:
    alone = score_groups(llama, [group(GROUPS[0].prompt_ids, GROUPS[0].response_ids[1])])[0][0]
    company = group(GROUPS[0].prompt_ids, GROUPS[0].response_ids[1], list(range(100, 180)))
    beside = score_groups(llama, [company, group([1, *range(200, 260)], [5, 6, 7])])[0][0]
    assert beside == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("pad", [0, 2, 77])
def test_padding_token_does_not_matter(llama: Any, pad: int) -> None:
    with torch.no_grad():
        scores = response_logprobs(llama, collate(GROUPS, pad_token_id=pad)).scores_P_G
    for p, row in enumerate(expected_scores(llama, GROUPS)):
        assert scores[p, : len(row)].tolist() == pytest.approx(row, abs=1e-5)


def test_more_padding_on_the_right_does_not_matter(llama: Any) -> None:
    batch = collate(GROUPS)
    wider = batch | {"input_ids": torch.cat([batch["input_ids"], torch.full((4, 4, 20), 9)], dim=2)}
    with torch.no_grad():
        assert torch.equal(response_logprobs(llama, wider).sums_P_G, response_logprobs(llama, batch).sums_P_G)


def test_responses_of_one_token(llama: Any) -> None:
    groups = [group([1, 5, 6], [7]), group([1, 5], [8], [9])]
    with torch.no_grad():
        first = llama(input_ids=torch.tensor([[1, 5, 6]])).logits[0, -1].log_softmax(-1)[7].item()
        second = llama(input_ids=torch.tensor([[1, 5]])).logits[0, -1].log_softmax(-1)[[8, 9]].tolist()
    assert_scores(score_groups(llama, groups), [[first], second], 1e-5)


def test_groups_without_responses_get_no_scores(llama: Any) -> None:
    seen: list[int] = []
    groups = [group([1, 5]), GROUPS[1], group([1])]
    scores = score_groups(llama, groups, batch_size=1, on_progress=seen.append)
    assert_scores(scores, [[], *expected_scores(llama, GROUPS[1:2]), []], 1e-5)
    assert seen == [1, 2, 3]


def test_half_precision_model_gives_float32_sums(make_llama: Callable[..., Any]) -> None:
    model = make_llama().bfloat16()
    with torch.no_grad():
        sums = response_logprobs(model, collate(GROUPS)).sums_P_G
    assert sums.dtype == torch.float32
    judge = expected_scores(deepcopy(model).double(), GROUPS)  # of the same rounded weights
    assert (sums[0, 2] / 12).item() == pytest.approx(judge[0][2], abs=0.1)


def _gradients(model: Any, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def test_gradients_of_a_batch_equal_those_of_single_sequences(make_llama: Callable[..., Any]) -> None:
    """Of a weighted sum of all scores, so that no two responses count alike."""
    model = make_llama(seed=3)
    weights = [[0.5, -1.0, 2.0], [1.5, -0.7], [0.3], [1.0, -2.0, 0.9, 0.4]]
    scores_P_G = response_logprobs(model, collate(GROUPS)).scores_P_G
    together = sum(scores_P_G[p, g] * w for p, row in enumerate(weights) for g, w in enumerate(row))
    apart = sum(
        brute_force(model, GROUPS[p].prompt_ids, GROUPS[p].response_ids[g]) * w
        for p, row in enumerate(weights)
        for g, w in enumerate(row)
    )
    for ours, theirs in zip(_gradients(model, together), _gradients(model, apart), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)
        assert theirs.abs().max() > 1e-3


def _tiny(name: str) -> Any:
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
    builders: dict[str, Callable[[], Any]] = {
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
        "mistral": lambda: tf.MistralForCausalLM(tf.MistralConfig(**grouped, sliding_window=4)),
    }
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return builders[name]().eval()


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "mistral"])
def test_other_families(name: str) -> None:
    model = _tiny(name)
    expected = expected_scores(model, GROUPS)
    assert_scores(score_groups(model, GROUPS), expected, 2e-5)
    assert len({round(score, 3) for row in expected for score in row}) == 10
