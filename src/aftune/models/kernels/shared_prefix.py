"""Attention over rows in which responses share their prompt.

A row holds groups one after another: a prompt, then its responses. Every response sees the prompt and itself, at the
positions that it would have alone, so a prompt's keys and values are computed once for all its responses. This works in any
transformers model that takes its attention from the `AttentionInterface`, and costs what the visible pairs cost: there
is no mask over the whole row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from aftune.models.precision import compute_dtype

_NAME = "aftune_shared_prefix"
# Below this many query-key pairs a CPU is faster with plain products than with torch's fused attention (docs/speed.md).
_small_pairs = 2**18


@dataclass(frozen=True)
class Segment:
    """A group in a row: its prompt starts at `start`, and its responses follow in order."""

    start: int
    prompt_length: int
    response_lengths: tuple[int, ...]


@contextmanager
def shared_prefix_attention(model: Any) -> Iterator[None]:
    """Within the block, the model takes rows of segments. A backward pass that computes forward passes again (gradient
    checkpointing) must run within it too."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def row_arguments(segments: list[Segment], device: torch.device, config: Any = None) -> dict[str, Any]:
    """What a model's forward takes for a row, besides its ids.

    Transformers passes a four-dimensional mask on unchanged. This one fits no attention but ours: a forward pass outside
    `shared_prefix_attention` fails instead of mixing up the responses. A model whose `config` turns on load balancing of its
    experts would take the mask for the tokens to count, and gets none.
    """
    mask = None if getattr(config, "output_router_logits", False) else torch.empty((1, 1, 0, 0), dtype=torch.bool, device=device)
    return {"attention_mask": mask, "segments": segments}


@contextmanager
def fused_attention() -> Iterator[None]:
    """Within the block, small products too are left to torch's fused attention, as on a GPU."""
    global _small_pairs
    before, _small_pairs = _small_pairs, 0
    try:
        yield
    finally:
        _small_pairs = before


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,
) -> tuple[Tensor, None]:
    """query [1, H, T, D], key and value [1, H_kv, T, D]; returns [1, T, H, D], as transformers wants it. options: the segments, and
    what transformers passes to every attention function."""
    segments: list[Segment] | None = options.get("segments")
    if segments is None or options.get("s_aux") is not None:
        raise NotImplementedError(f"{type(module).__name__} does not pass on segments, or has attention sinks")
    num_repeats = query.shape[1] // key.shape[1]
    if num_repeats > 1:
        key, value = key.repeat_interleave(num_repeats, 1), value.repeat_interleave(num_repeats, 1)
    scaling = options.get("scaling")
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    device, dtype = query.device.type, compute_dtype(query)
    longest = max(segment.prompt_length + max(segment.response_lengths, default=0) for segment in segments)
    bias_T_T = _causal_bias(longest, options.get("sliding_window"), dtype, query.device)

    def attend(query: Tensor, key: Tensor, value: Tensor, before: Tensor | None = None) -> Tensor:
        """[H, T, D] each; the queries are at the last positions of the keys. before: the queries of the positions before them."""
        num_keys, num_before = key.shape[1], key.shape[1] - query.shape[1]
        dropout, softcap = options.get("dropout", 0.0), options.get("softcap")
        plain = softcap is None and options.get("sliding_window") is None and not _is_small(query, key)
        if plain and num_before <= query.shape[1]:
            # Without a mask the fused attention computes only the visible half, and has more kernels on a GPU.
            whole = query if before is None or not num_before else torch.cat([before, query], 1)
            return scaled_dot_product_attention(whole[None], key[None], value[None], None, dropout, True, scale=1.0)[
                0, :, num_before:
            ]
        return _attend(query, key, value, bias_T_T[num_before:num_keys, :num_keys], dropout, softcap)

    outputs = []
    # One split makes all pieces: with many slices, the backward pass would add to the whole row once for each.
    lengths = [length for segment in segments for length in _piece_lengths(segment)]
    with torch.autocast(device, enabled=False):  # one cast for all pieces
        pieces = zip(*(torch.split(tensor[0].to(dtype), lengths, 1) for tensor in (query, key, value)), strict=True)
        for segment in segments:
            prompt_query, prompt_key, prompt_value = next(pieces)
            outputs.append(attend(prompt_query, prompt_key, prompt_value))
            for _ in _piece_lengths(segment)[1:]:
                own_query, own_key, own_value = next(pieces)
                keys, values = torch.cat([prompt_key, own_key], 1), torch.cat([prompt_value, own_value], 1)
                outputs.append(attend(own_query, keys, values, prompt_query))
    return torch.cat(outputs, 1).transpose(0, 1)[None], None


def _piece_lengths(segment: Segment) -> list[int]:
    """Lengths of what attends together: the prompt, and each response; a prompt with a single response is one text."""
    if len(segment.response_lengths) == 1:
        return [segment.prompt_length + segment.response_lengths[0]]
    return [segment.prompt_length, *segment.response_lengths]


def _causal_bias(length: int, window: int | None, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[T, T]: 0 where a position sees another, -inf where it does not; a window includes the position itself."""
    position_T = torch.arange(length, device=device)
    distance_T_T = position_T[:, None] - position_T
    hidden_T_T = distance_T_T < 0
    if window is not None:
        hidden_T_T |= distance_T_T >= window
    return torch.zeros((length, length), dtype=dtype, device=device).masked_fill(hidden_T_T, -torch.inf)


def _is_small(query: Tensor, key: Tensor) -> bool:
    return query.device.type == "cpu" and query.shape[1] * key.shape[1] <= _small_pairs


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dropout: float, softcap: float | None) -> Tensor:
    if not _is_small(query, key) and softcap is None:
        return scaled_dot_product_attention(query[None], key[None], value[None], bias, dropout, scale=1.0)[0]
    if softcap is None:
        weights = torch.baddbmm(bias, query, key.transpose(1, 2))
    else:
        weights = softcap * torch.tanh(query @ key.transpose(1, 2) / softcap) + bias
    weights = weights.softmax(-1)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)
    return weights @ value


AttentionInterface.register(_NAME, _attention)
