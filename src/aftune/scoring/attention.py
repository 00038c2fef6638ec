"""Attention over rows in which responses share their prompt.

A row holds groups one after the other: a prompt, then its responses. Every response sees the prompt and itself, at the
positions that it would have alone, so a prompt's keys and values are computed once for all its responses. It runs in any
transformers model that takes its attention from the `AttentionInterface`, and costs what the visible pairs cost: there
is no mask over the whole row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

_NAME = "aftune_shared_prefix"
# Below this many query-key pairs a CPU is faster with plain products than with torch's fused attention (docs/speed.md).
_SMALL_PAIRS = 2**18


@dataclass(frozen=True)
class Segment:
    """A group in a row: its prompt starts at `start`, its responses follow it in order."""

    start: int
    prompt_length: int
    response_lengths: tuple[int, ...]


@contextmanager
def shared_prefix_attention(model: Any) -> Iterator[None]:
    """Within it the model takes rows of segments. A backward pass that computes forward passes again (gradient
    checkpointing) has to run within it too."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def row_arguments(segments: list[Segment], device: torch.device) -> dict[str, Any]:
    """What a model's forward takes for a row beside its ids.

    Transformers hands a mask of four dimensions on as it is. This one fits no attention but ours: a forward pass outside of
    `shared_prefix_attention` fails instead of mixing up the responses.
    """
    return {"attention_mask": torch.empty((1, 1, 0, 0), dtype=torch.bool, device=device), "segments": segments}


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    segments: list[Segment] | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """query [1, H, T, D], key and value [1, H_kv, T, D]; returns [1, T, H, D], as transformers wants it."""
    if segments is None or s_aux is not None:
        raise NotImplementedError(f"{type(module).__name__} passes no segments on, or has attention sinks")
    num_repeats = query.shape[1] // key.shape[1]
    if num_repeats > 1:
        key, value = key.repeat_interleave(num_repeats, 1), value.repeat_interleave(num_repeats, 1)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    longest = max(segment.prompt_length + max(segment.response_lengths, default=0) for segment in segments)
    bias_T_T = _causal_bias(longest, sliding_window, query)

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The queries are the last ones of the keys."""
        num_keys = key.shape[2]
        bias = bias_T_T[num_keys - query.shape[2] : num_keys, :num_keys]
        return _attend(query, key, value, bias, scale, dropout, softcap)

    outputs = []
    for segment in segments:
        end = segment.start + segment.prompt_length
        if len(segment.response_lengths) == 1:
            alone = slice(segment.start, end + segment.response_lengths[0])
            outputs.append(attend(query[:, :, alone], key[:, :, alone], value[:, :, alone]))
            continue
        prompt = slice(segment.start, end)
        prompt_key, prompt_value = key[:, :, prompt], value[:, :, prompt]
        outputs.append(attend(query[:, :, prompt], prompt_key, prompt_value))
        for length in segment.response_lengths:
            own = slice(end, end + length)
            keys, values = torch.cat([prompt_key, key[:, :, own]], 2), torch.cat([prompt_value, value[:, :, own]], 2)
            outputs.append(attend(query[:, :, own], keys, values))
            end += length
    return torch.cat(outputs, 2).transpose(1, 2), None


def _causal_bias(length: int, window: int | None, like: Tensor) -> Tensor:
    """[T, T]: 0 where a position sees another, -inf where not; a window counts the position itself."""
    position_T = torch.arange(length, device=like.device)
    distance_T_T = position_T[:, None] - position_T
    hidden_T_T = distance_T_T < 0
    if window is not None:
        hidden_T_T |= distance_T_T >= window
    return torch.zeros((length, length), dtype=like.dtype, device=like.device).masked_fill(hidden_T_T, -torch.inf)


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scale: float, dropout: float, softcap: float | None) -> Tensor:
    small = query.device.type == "cpu" and query.shape[2] * key.shape[2] <= _SMALL_PAIRS
    if not small and softcap is None:
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, bias, dropout, scale=scale)
    weights = query @ key.transpose(2, 3) * scale
    if softcap is not None:
        weights = softcap * torch.tanh(weights / softcap)
    weights = (weights + bias).softmax(-1)
    return torch.nn.functional.dropout(weights, dropout) @ value


AttentionInterface.register(_NAME, _attention)
