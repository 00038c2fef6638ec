"""Log-probabilities of tokens from hidden states, without ever holding [tokens, vocabulary] at once, but where that is small."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from aftune.models.precision import compute_dtype, score_dtype

CHUNK_ELEMENTS = 2**24  # logits computed at once, at least: 64 MiB in float32

_comes_again: ContextVar[bool] = ContextVar("_comes_again", default=False)


class _ChunkedLogprobs(torch.autograd.Function):
    """Computes the logits of one chunk of tokens after another.

    With r_m = softmax(logits_m) - onehot(target_m), d logprob_m / d logits_m = -r_m, so the gradients are products of the
    residuals r, [M, V], with the weights and with the hidden states. If the head gets no gradient (it is frozen beside an adapter),
    r times its weights, [M, D], is all that the backward pass needs, and is computed at once. Otherwise the backward pass gets r if
    it is kept, or else computes it again. What comes from behind scales the small matrices: one pass over [M, V] less.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_M_D: Tensor, weight_V_D: Tensor, bias_V: Tensor | None, targets_M: Tensor, keep: bool, final: bool
    ) -> Tensor:
        ctx.dtype = compute_dtype(hidden_M_D)
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        logprobs_M = hidden_M_D.new_empty(len(hidden_M_D), dtype=score_dtype(ctx.dtype))
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        ctx.frozen = needs_hidden and not (needs_weight or needs_bias)
        ctx.kept = keep and (needs_weight or needs_bias)
        made: Tensor | None = None  # for the backward pass
        if ctx.frozen or ctx.kept:
            # In a forward pass that comes again before the backward pass, a tensor that only says its shape.
            rows = hidden_M_D.new_empty((len(hidden_M_D) if final else 1, weight.shape[1 if ctx.frozen else 0]), dtype=ctx.dtype)
            made = rows.expand(len(hidden_M_D), -1)
        for chunk in _chunks(len(hidden_M_D), weight):
            hidden, targets = hidden_M_D[chunk].to(ctx.dtype), targets_M[chunk]
            everything = torch.nn.functional.linear(hidden, weight, bias).log_softmax(-1, dtype=logprobs_M.dtype)
            logprobs_M[chunk] = everything.gather(1, targets[:, None])[:, 0]
            if made is not None and final:
                residual = _residual_(everything, targets)
                made[chunk] = residual.to(ctx.dtype) @ weight if ctx.frozen else residual
        ctx.save_for_backward(hidden_M_D, weight_V_D, bias_V, targets_M, made)
        return logprobs_M

    @staticmethod
    def backward(ctx: Any, gradient_M: Tensor) -> tuple[Tensor | None, ...]:
        hidden_M_D, weight_V_D, bias_V, targets_M, made = ctx.saved_tensors
        scale_M1 = -gradient_M[:, None]
        if ctx.frozen:
            return (made * scale_M1).to(hidden_M_D.dtype), None, None, None, None, None
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        hidden_gradient = torch.empty_like(hidden_M_D) if needs_hidden else None
        weight_gradient: Tensor | None = None
        bias_gradient = torch.zeros_like(bias_V, dtype=gradient_M.dtype) if needs_bias else None
        # Kept residuals are one chunk: each chunk more is a pass over the gradient of the weights.
        for chunk in [slice(None)] if ctx.kept else _chunks(len(hidden_M_D), weight):
            hidden, scale = hidden_M_D[chunk].to(ctx.dtype), scale_M1[chunk]
            if ctx.kept:
                residual = made
            else:
                everything = torch.nn.functional.linear(hidden, weight, bias).log_softmax(-1, dtype=gradient_M.dtype)
                residual = _residual_(everything, targets_M[chunk]).to(ctx.dtype)
            if hidden_gradient is not None:
                hidden_gradient[chunk] = (residual @ weight) * scale
            if needs_weight:
                scaled = (hidden * scale).to(ctx.dtype)
                if weight_gradient is None:
                    weight_gradient = (residual.T @ scaled).to(gradient_M.dtype)
                elif weight_gradient.dtype == ctx.dtype:
                    weight_gradient.addmm_(residual.T, scaled)
                else:
                    weight_gradient += residual.T @ scaled
            if bias_gradient is not None:
                bias_gradient += (residual.T @ scale.to(ctx.dtype))[:, 0]
        return (
            hidden_gradient,
            None if weight_gradient is None else weight_gradient.to(weight_V_D.dtype),
            None if bias_gradient is None else bias_gradient.to(bias_V.dtype),
            None,
            None,
            None,
        )


def _residual_(logprobs_M_V: Tensor, targets_M: Tensor) -> Tensor:
    """softmax - onehot of each token, [M, V], in place of the log-probabilities of all words."""
    minus_one = torch.full_like(targets_M[:, None], -1, dtype=logprobs_M_V.dtype)
    return logprobs_M_V.exp_().scatter_add_(1, targets_M[:, None], minus_one)


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


def chunk_tokens(num_words: int, width: int) -> int:
    """Of how many tokens the logits are computed at once: as CHUNK_ELEMENTS says, or as many numbers as a fourth of the head's
    weights where that is more, since each chunk is a pass over the gradient of those."""
    return max(16, CHUNK_ELEMENTS // num_words, width // 4)


def _chunks(num_tokens: int, weight_V_D: Tensor) -> Iterator[slice]:
    size = chunk_tokens(*weight_V_D.shape)
    for start in range(0, num_tokens, size):
        yield slice(start, start + size)
