"""Attention over segments against one dense mask over the whole row."""

from typing import Any

import pytest
import torch
from torch import Tensor

from aftune.models.kernels import shared_prefix
from aftune.models.kernels.shared_prefix import Segment, row_arguments, shared_prefix_attention

# Prompts of 3, 1 and 4 tokens; 2, 1 and 3 responses of 1 to 5 tokens.
SEGMENTS = [Segment(0, 3, (2, 5)), Segment(10, 1, (4,)), Segment(15, 4, (1, 3, 1))]
LENGTH = 24


def visible() -> Tensor:
    """[T, T], token by token: the same prompt before it, or the same response before it."""
    owner: list[tuple[int, int]] = []  # group and response, -1 for the prompt
    for p, segment in enumerate(SEGMENTS):
        owner += [(p, -1)] * segment.prompt_length
        for n, length in enumerate(segment.response_lengths):
            owner += [(p, n)] * length
    return torch.tensor(
        [[j <= i and owner[i][0] == owner[j][0] and owner[j][1] in (-1, owner[i][1]) for j in range(LENGTH)] for i in range(LENGTH)]
    )


def positions() -> Tensor:
    numbers: list[int] = []
    for segment in SEGMENTS:
        numbers += range(segment.prompt_length)
        for length in segment.response_lengths:
            numbers += range(segment.prompt_length, segment.prompt_length + length)
    return torch.tensor(numbers)


@pytest.fixture(params=["products", "fused"])
def _form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_prefix, "_small_pairs", 2**18 if request.param == "products" else 0)


@pytest.mark.usefixtures("_form")
@pytest.mark.parametrize("num_key_heads", [4, 2, 1])
@pytest.mark.parametrize("options", [{}, {"sliding_window": 3}, {"scaling": 0.3}, {"softcap": 2.0}])
def test_equals_a_dense_mask(num_key_heads: int, options: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, heads, LENGTH, 6, generator=generator, dtype=torch.float64, requires_grad=True)
        for heads in (4, num_key_heads, num_key_heads)
    )
    ours, _ = shared_prefix._attention(torch.nn.Identity(), query, key, value, None, segments=SEGMENTS, **options)
    seen = visible()
    if "sliding_window" in options:
        seen &= positions()[:, None] - positions() < options["sliding_window"]
    weights = query @ key.repeat_interleave(4 // num_key_heads, 1).transpose(2, 3) * options.get("scaling", 6**-0.5)
    if "softcap" in options:
        weights = 2.0 * torch.tanh(weights / 2.0)
    theirs = weights.masked_fill(~seen, -torch.inf).softmax(-1) @ value.repeat_interleave(4 // num_key_heads, 1)
    torch.testing.assert_close(ours.transpose(1, 2), theirs, rtol=1e-10, atol=1e-12)
    probe = torch.randn(theirs.shape, generator=generator, dtype=torch.float64)
    gradients = (torch.autograd.grad((out * probe).sum(), (query, key, value)) for out in (ours.transpose(1, 2), theirs))
    for mine, judge in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, judge, rtol=1e-9, atol=1e-11)


def test_a_row_outside_of_the_context_fails(llama: Any) -> None:
    """The model's own attention cannot take the mask, so that it never sees all responses as one text."""
    ids, segments = torch.tensor([[1, 5, 6, 7]]), [Segment(0, 2, (1, 1))]
    arguments = {"position_ids": torch.tensor([[0, 1, 2, 2]]), **row_arguments(segments, ids.device)}
    implementation = llama.config._attn_implementation
    with shared_prefix_attention(llama):
        assert torch.isfinite(llama(input_ids=ids, **arguments).logits).all()
    assert llama.config._attn_implementation == implementation
    with pytest.raises(RuntimeError):
        llama(input_ids=ids, **arguments)
