"""Scores and their gradients against a loop that runs the model on one sequence at a time and reads its full logits."""

import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from aftune.models.abilities import abilities
from aftune.prompts.encoding import EncodedGroup
from aftune.scoring import make_pass, response_logprobs, score_groups
from judge import GROUPS, assert_scores, brute_force, expected_scores, group, tiny

# Rows: everything in one, a few responses in each, one response in each; the prompt for each response again.
WAYS: dict[str, dict[str, Any]] = {
    "packed": {},
    "tight": {"token_budget": 12},
    "single": {"token_budget": 1},
    "padded": {"shared_prefix": False},
}

FAMILIES = ["llama", "gpt2", "gpt_neox", "qwen2", "qwen3", "gemma", "gemma2", "mistral"]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny(request.param)


def weighted(scores_P_G: Tensor) -> Tensor:
    """A sum in which no two responses count alike."""
    weights = [[0.5, -1.0, 2.0], [1.5, -0.7], [0.3], [1.0, -2.0, 0.9, 0.4]]
    return torch.stack([scores_P_G[p, g] * w for p, row in enumerate(weights) for g, w in enumerate(row)]).sum()


def gradients(model: Any, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_scores_and_gradients_of_single_sequences(model: Any, way: str) -> None:
    """The judge computes in float64, ours in float32."""
    judge = deepcopy(model).double()
    width = max(len(g.response_ids) for g in GROUPS)
    rows = [torch.stack([brute_force(judge, g.prompt_ids, r) for r in g.response_ids]) for g in GROUPS]
    expected = torch.stack([torch.nn.functional.pad(row, (0, width - len(row))) for row in rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gemma 2 changes its logits after the head
        logprobs = response_logprobs(model, make_pass(GROUPS, **WAYS[way]))
    assert logprobs.lengths_P_G.tolist() == [[4, 2, 12, 0], [5, 1, 0, 0], [4, 0, 0, 0], [1, 2, 3, 5]]
    assert (logprobs.scores_P_G - expected).abs().max().item() < 1e-5
    assert len({round(score, 3) for row in rows for score in row.tolist()}) == 10  # the scores are told apart
    ours, theirs = gradients(model, weighted(logprobs.scores_P_G)), gradients(judge, weighted(expected))
    for mine, exact in zip(ours, theirs, strict=True):
        if exact is None:
            assert mine is None
            continue
        torch.testing.assert_close(mine.double(), exact, rtol=1e-4, atol=2e-5)
    assert max(exact.abs().max().item() for exact in theirs if exact is not None) > 0.1


def test_float64_models_are_computed_in_float64(model: Any) -> None:
    """Then the ways agree far below float32's rounding, so that no way is a different formula."""
    judge = deepcopy(model).double()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # transformers' own attention gives NaN for padding in float64 where a sliding window hides everything.
        ways = [way for name, way in WAYS.items() if name != "padded" or "sliding_window" not in model.config.to_diff_dict()]
        scores = [response_logprobs(judge, make_pass(GROUPS, **way)).sums_P_G for way in ways]
    for other in scores[1:]:
        torch.testing.assert_close(other, scores[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("way", WAYS)
def test_bfloat16_scores_are_as_close_as_single_sequences_are(make_llama: Callable[..., Any], way: str) -> None:
    """Rounding alone moves a single sequence's score by up to `own`; no way may add more than as much again."""
    model = make_llama().bfloat16()
    judge = expected_scores(deepcopy(model).double(), GROUPS)
    single = expected_scores(model, GROUPS)
    own = max(abs(a - b) for row, exact in zip(single, judge, strict=True) for a, b in zip(row, exact, strict=True))
    with torch.no_grad():
        logprobs = response_logprobs(model, make_pass(GROUPS, **WAYS[way]))
    assert logprobs.sums_P_G.dtype == torch.float32
    assert 1e-4 < own < 0.1
    for p, exact in enumerate(judge):
        assert logprobs.scores_P_G[p, : len(exact)].tolist() == pytest.approx(exact, abs=2 * own)


def test_rows_without_gradient_have_the_same_scores_and_carry_none(llama: Any) -> None:
    groups = [
        EncodedGroup(g.problem_id, g.prompt_ids, g.response_ids, g.in_sft, [0.0, *[1.0] * 3][: len(g.in_sft)]) for g in GROUPS
    ]
    made = make_pass(groups, needs=lambda q, mask: (mask, mask & (q == 1)))
    assert [row["needs_gradient"] for row in made["rows"]] == [True, False]
    scores = response_logprobs(llama, made).scores_P_G
    everything = response_logprobs(llama, make_pass(groups)).scores_P_G
    torch.testing.assert_close(scores, everything, rtol=0, atol=5e-6)
    for graph in torch.autograd.grad(scores[:, 0].sum(), list(llama.parameters()), allow_unused=True):
        assert graph is None or not graph.any()


def test_several_rows_are_kept_one_at_a_time(llama: Any) -> None:
    """The backward pass computes each row again: twice as many forward passes as rows, the rows of one response each."""
    made = make_pass(GROUPS[:1], token_budget=1)
    seen: list[int] = []
    handle = llama.register_forward_hook(
        lambda module, args, kwargs, output: seen.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    try:
        abilities(llama)
        seen.clear()
        response_logprobs(llama, made).sums_P_G.sum().backward()
    finally:
        handle.remove()
        llama.zero_grad()
    assert sorted(seen) == sorted([8, 6, 16] * 2)


def test_scores_of_many_groups(llama: Any) -> None:
    for budget in (1, 12, 30, 4096):
        assert_scores(list(score_groups(llama, GROUPS, token_budget=budget)), expected_scores(llama, GROUPS), 1e-5)


def test_order_of_groups_and_responses_does_not_matter(llama: Any) -> None:
    scores = list(score_groups(llama, GROUPS))
    turned = [group(g.prompt_ids, *reversed(g.response_ids)) for g in reversed(GROUPS)]
    assert_scores([row[::-1] for row in reversed(list(score_groups(llama, turned)))], scores, 1e-5)


def test_other_responses_and_groups_do_not_matter(llama: Any) -> None:
    (alone,) = score_groups(llama, [group(GROUPS[0].prompt_ids, GROUPS[0].response_ids[1])])
    company = group(GROUPS[0].prompt_ids, GROUPS[0].response_ids[1], list(range(100, 180)))
    beside = next(score_groups(llama, [company, group([1, *range(200, 260)], [5, 6, 7])]))
    assert beside[0] == pytest.approx(alone[0], abs=1e-5)


def test_responses_of_one_token(llama: Any) -> None:
    groups = [group([1, 5, 6], [7]), group([1, 5], [8], [9])]
    with torch.no_grad():
        first = llama(input_ids=torch.tensor([[1, 5, 6]])).logits[0, -1].log_softmax(-1)[7].item()
        second = llama(input_ids=torch.tensor([[1, 5]])).logits[0, -1].log_softmax(-1)[[8, 9]].tolist()
    assert_scores(list(score_groups(llama, groups)), [[first], second], 1e-5)


def test_groups_without_responses_get_no_scores(llama: Any) -> None:
    seen: list[int] = []
    groups = [group([1, 5]), GROUPS[1], group([1])]
    scores = list(score_groups(llama, groups, token_budget=1, on_progress=seen.append))
    assert_scores(scores, [[], *expected_scores(llama, GROUPS[1:2]), []], 1e-5)
    assert seen == [1, 2, 3]


def test_groups_are_read_as_they_are_needed(llama: Any) -> None:
    """The scores of the first row come before the fourth group is asked for."""
    asked: list[int] = []

    def groups() -> Any:
        for n, item in enumerate(GROUPS):
            asked.append(n)
            yield item

    scores = score_groups(llama, groups(), token_budget=40)
    assert len(next(scores)) == 3
    assert asked == [0, 1, 2]
