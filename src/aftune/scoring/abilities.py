"""What a model can do, found out by trying it on a few tokens."""

import warnings
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from aftune.scoring.attention import Segment, row_arguments, shared_prefix_attention
from aftune.scoring.head import chunked_logprobs, replaced_head

_PROMPT, _RESPONSES = [3, 4, 5], ([6, 7, 8], [9, 6])
_SUPPORTED_LAYERS = {"full_attention", "sliding_attention"}


@dataclass(frozen=True)
class Abilities:
    """shared_prefix: takes rows in which responses share their prompt. chunked_head: its logits are a linear function of
    its last hidden states, so that they can be computed in chunks."""

    shared_prefix: bool
    chunked_head: bool


_known: WeakKeyDictionary[Any, Abilities] = WeakKeyDictionary()


def abilities(model: Any) -> Abilities:
    """Compares both short cuts with the model's own logits, once a model; warns of what is missing and slower for it."""
    if model not in _known:
        training = model.training
        model.eval()
        with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            found = Abilities(_shared_prefix(model), _chunked_head(model))
        model.train(training)
        name = type(model).__name__
        if not found.shared_prefix:
            warnings.warn(f"{name} cannot share a prompt between responses: each is computed with its own prompt", stacklevel=2)
        if not found.chunked_head:
            warnings.warn(f"{name} changes its logits after the head: they are held for all tokens at once", stacklevel=2)
        _known[model] = found
    return _known[model]


def _shared_prefix(model: Any) -> bool:
    layers = set(getattr(model.config, "layer_types", None) or ()) - _SUPPORTED_LAYERS
    if layers or not getattr(model, "_supports_attention_backend", False):
        return False
    lengths = [len(response) for response in _RESPONSES]
    ids = torch.tensor([_PROMPT + [token for response in _RESPONSES for token in response]], device=model.device)
    positions = torch.tensor([[t for n in (0, *lengths) for t in _positions(n)]], device=model.device)
    segments = [Segment(0, len(_PROMPT), tuple(lengths))]
    try:
        with shared_prefix_attention(model):
            logits_T_V = model(
                input_ids=ids, position_ids=positions, use_cache=False, **row_arguments(segments, model.device)
            ).logits[0]
    except (AttributeError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return False  # it takes no segments, or no attention but its own
    starts = [len(_PROMPT), len(_PROMPT) + lengths[0]]
    return all(
        _same(logits_T_V[start : start + len(response)], _own_logits(model, response)[len(_PROMPT) :])
        for start, response in zip(starts, _RESPONSES, strict=True)
    )


def _positions(num_response: int) -> range:
    """Of the prompt for 0, else of a response of that length."""
    return range(len(_PROMPT), len(_PROMPT) + num_response) if num_response else range(len(_PROMPT))


def _chunked_head(model: Any) -> bool:
    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:  # an adapter on the head is more than its weight
        return False
    ids = torch.tensor([_PROMPT], device=model.device)
    targets = ids[0, 1:]

    def logprobs(hidden: Tensor, head: torch.nn.Linear) -> Tensor:
        return chunked_logprobs(hidden[0, :-1], head.weight, head.bias, targets)

    with replaced_head(model, logprobs):
        ours = model(input_ids=ids, use_cache=False).logits
    theirs = _own_logits(model, [])[:-1].float().log_softmax(-1).gather(1, targets[:, None])[:, 0]
    return _same(ours, theirs)


def _own_logits(model: Any, response: list[int]) -> Tensor:
    logits: Tensor = model(input_ids=torch.tensor([_PROMPT + response], device=model.device), use_cache=False).logits[0]
    return logits


def _same(ours: Tensor, theirs: Tensor) -> bool:
    tolerance = 1e-3 if theirs.dtype in (torch.float32, torch.float64) else 0.1
    return bool(torch.allclose(ours.float(), theirs.float(), rtol=tolerance, atol=tolerance))
