"""Log-probabilities of tokens from hidden states, without ever holding [tokens, vocabulary] at once, but where that is small."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from aftune.models.precision import compute_dtype, score_dtype

CHUNK_ELEMENTS = 2**24  # logits computed at once: 64 MiB in float32

_comes_again: ContextVar[bool] = ContextVar("_comes_again", default=False)


class _ChunkedLogprobs(torch.autograd.Function):
    """Computes the logits of one chunk of tokens after another.

    d logprob_m / d logits_m = onehot(target_m) - softmax(logits_m). If the head gets no gradient (it is frozen beside an adapter),
    that times its weights is all that the backward pass needs, [M, D], and is computed at once. Otherwise the backward pass needs
    the logits, [M, V]: it gets them if they are kept, or else computes them again.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_M_D: Tensor, weight_V_D: Tensor, bias_V: Tensor | None, targets_M: Tensor, keep: bool, final: bool
    ) -> Tensor:
        ctx.dtype = compute_dtype(hidden_M_D)
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        normaliser_M = hidden_M_D.new_empty(len(hidden_M_D), dtype=score_dtype(ctx.dtype))
        logprobs_M = torch.empty_like(normaliser_M)
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        ctx.frozen = needs_hidden and not (needs_weight or needs_bias)
        made: Tensor | None = None  # for the backward pass
        if ctx.frozen:
            made = _empty(hidden_M_D, hidden_M_D.shape, normaliser_M.dtype, real=final)
        elif keep and (needs_weight or needs_bias):
            made = _empty(hidden_M_D, torch.Size((len(hidden_M_D), len(weight))), ctx.dtype, real=final)
        for chunk in _chunks(len(hidden_M_D), len(weight)):
            products = torch.nn.functional.linear(hidden_M_D[chunk].to(ctx.dtype), weight, bias)
            logits = products.to(normaliser_M.dtype)
            normaliser_M[chunk] = logits.logsumexp(-1)
            logprobs_M[chunk] = logits.gather(1, targets_M[chunk, None])[:, 0] - normaliser_M[chunk]
            if made is not None and final:
                if ctx.frozen:
                    products = _derivative_(logits, normaliser_M[chunk], targets_M[chunk]).to(ctx.dtype) @ weight
                made[chunk] = products
        ctx.save_for_backward(hidden_M_D, weight_V_D, bias_V, targets_M, normaliser_M, made)
        return logprobs_M

    @staticmethod
    def backward(ctx: Any, gradient_M: Tensor) -> tuple[Tensor | None, ...]:
        hidden_M_D, weight_V_D, bias_V, targets_M, normaliser_M, made = ctx.saved_tensors
        if ctx.frozen:
            return (made * gradient_M[:, None]).to(hidden_M_D.dtype), None, None, None, None, None
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        hidden_gradient = torch.empty_like(hidden_M_D) if needs_hidden else None
        weight_gradient = torch.zeros_like(weight_V_D, dtype=normaliser_M.dtype) if needs_weight else None
        bias_gradient = torch.zeros_like(bias_V, dtype=normaliser_M.dtype) if needs_bias else None
        for chunk in _chunks(len(hidden_M_D), len(weight)):
            hidden = hidden_M_D[chunk].to(ctx.dtype)
            products = torch.nn.functional.linear(hidden, weight, bias) if made is None else made[chunk].clone()
            derivative = _derivative_(products.to(normaliser_M.dtype), normaliser_M[chunk], targets_M[chunk])
            derivative *= gradient_M[chunk, None]
            logits_gradient = derivative.to(ctx.dtype)
            if hidden_gradient is not None:
                hidden_gradient[chunk] = logits_gradient @ weight
            if weight_gradient is not None:
                if weight_gradient.dtype == ctx.dtype:
                    weight_gradient.addmm_(logits_gradient.T, hidden)
                else:
                    weight_gradient += logits_gradient.T @ hidden
            if bias_gradient is not None:
                bias_gradient += derivative.sum(0)
        return (
            hidden_gradient,
            None if weight_gradient is None else weight_gradient.to(weight_V_D.dtype),
            None if bias_gradient is None else bias_gradient.to(bias_V.dtype),
            None,
            None,
            None,
        )


def _derivative_(logits_M_V: Tensor, normaliser_M: Tensor, targets_M: Tensor) -> Tensor:
    """d logprob / d logits of each token, [M, V], in place of the logits."""
    derivative = logits_M_V.sub_(normaliser_M[:, None]).exp_().neg_()
    return derivative.scatter_add_(1, targets_M[:, None], torch.ones_like(normaliser_M[:, None]))


def _empty(like: Tensor, shape: torch.Size, dtype: torch.dtype, *, real: bool) -> Tensor:
    """A tensor to fill; if not real, one that only says its shape, in a forward pass that comes again before the backward pass."""
    return like.new_empty(shape, dtype=dtype) if real else like.new_empty((), dtype=dtype).expand(shape)


def chunked_logprobs(
    hidden_M_D: Tensor, weight_V_D: Tensor, bias_V: Tensor | None, targets_M: Tensor, kept_bytes: float = 0
) -> Tensor:
    """log softmax(hidden @ weight.T + bias)[target] of each token: [M], nats, float32 (float64 for float64 inputs).

    Products are computed in the type of the hidden states, or that of autocast where it is on; sums in float32.
    kept_bytes: logits that take no more are kept for the backward pass, if it needs them; others are computed again in it.
    """
    size = len(targets_M) * len(weight_V_D) * compute_dtype(hidden_M_D).itemsize
    logprobs: Tensor = _ChunkedLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden_M_D, weight_V_D, bias_V, targets_M, size <= kept_bytes, torch.is_grad_enabled() and not _comes_again.get()
    )
    return logprobs


@contextmanager
def computed_again() -> Iterator[None]:
    """What is computed within the block is computed again before its backward pass (`torch.utils.checkpoint`), so nothing is
    computed for that."""
    token = _comes_again.set(True)
    try:
        yield
    finally:
        _comes_again.reset(token)


@contextmanager
def replaced_head(model: Any, function: Callable[[Tensor, torch.nn.Linear], Tensor]) -> Iterator[None]:
    """Within the block, the model's head returns `function(hidden states, head)`, and the model returns that instead of logits.

    The head is replaced rather than left out because wrappers (DDP, FSDP) want the whole forward pass to go through them.
    """
    head = model.get_output_embeddings()
    replaced = vars(head).get("forward")  # accelerate puts one there
    head.forward = lambda hidden, *args, **kwargs: function(hidden, head)
    try:
        yield
    finally:
        del head.forward
        if replaced is not None:
            head.forward = replaced


def _chunks(num_tokens: int, num_words: int) -> Iterator[slice]:
    size = max(16, CHUNK_ELEMENTS // num_words)
    for start in range(0, num_tokens, size):
        yield slice(start, start + size)
