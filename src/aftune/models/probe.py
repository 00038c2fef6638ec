"""A few tokens to try a model on, and a way to run its forward pass in float32."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aftune.models.loading import token_ids
from aftune.models.precision import SHORT

_PROMPT, _RESPONSES = 5, (4, 3)


@dataclass(frozen=True)
class Probe:
    """A prompt and two responses, token ids."""

    prompt: list[int]
    responses: tuple[list[int], ...]


def ordinary_probe(config: Any) -> Probe:
    """Tokens from the middle half of the vocabulary, far apart in it.

    Special tokens and bytes are at either end of a vocabulary; many of them never occurred in training, and their activations
    are larger than all others, as are their rounding errors.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    special = {i for key in ("bos", "eos", "pad") for i in token_ids(getattr(text, f"{key}_token_id", None), text.name_or_path)}
    number, size = _PROMPT + sum(_RESPONSES), int(text.vocab_size)
    middle = [i for i in range(size // 4, size - size // 4) if i not in special] or [0]
    ids = [middle[i * len(middle) // number] for i in range(number)]
    ids = ids[::5] + ids[1::5] + ids[2::5] + ids[3::5] + ids[4::5]  # neighbours in the vocabulary are not neighbours in the text
    first = _PROMPT + _RESPONSES[0]
    return Probe(ids[:_PROMPT], (ids[_PROMPT:first], ids[first:]))


@contextmanager
def float32_weights(model: Any) -> Iterator[None]:
    """Within the block, the model computes in float32 with its own weights. Each module's weights are float32 only while it
    runs, so no second copy of the model is needed; layers in 4 bits stay so, and compute in float32 from them."""
    short: dict[Any, list[tuple[Any, Tensor]]] = {}

    def lengthen(module: Any, args: Any) -> None:
        for weight in module.parameters(recurse=False):
            if weight.dtype in SHORT:
                short.setdefault(module, []).append((weight, weight.data))
                weight.data = weight.data.float()

    def restore(module: Any, args: Any, output: Any) -> None:
        for weight, data in short.pop(module, []):
            weight.data = data

    modules = [module for module in model.modules() if any(w.dtype in SHORT for w in module.parameters(recurse=False))]
    hooks = [module.register_forward_pre_hook(lengthen, prepend=True) for module in modules]
    hooks += [module.register_forward_hook(restore, always_call=True) for module in modules]
    computing = [(module, dtype) for module in model.modules() if (dtype := getattr(module, "compute_dtype", None)) in SHORT]
    for module, _ in computing:
        module.compute_dtype = torch.float32
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        for hook in hooks:
            hook.remove()
        for module, dtype in computing:
            module.compute_dtype = dtype
        for module in list(short):  # a forward pass that was interrupted
            restore(module, None, None)


def distance(ours: Tensor, truth: Tensor) -> float:
    """|ours - truth| / |truth| over the finite entries; infinite where the finite entries differ, or there are none (in some
    models the logits of unused words are minus infinity)."""
    finite = torch.isfinite(truth)
    if not finite.any() or not torch.equal(finite, torch.isfinite(ours)):
        return math.inf
    ours, truth = ours[finite].float(), truth[finite].float()
    return float(torch.linalg.vector_norm(ours - truth) / torch.linalg.vector_norm(truth))
