"""Log-probabilities of tokens from hidden states, without ever holding [tokens, vocabulary] at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from aftune.models.precision import compute_dtype, score_dtype

CHUNK_ELEMENTS = 2**24  # logits held at once: 64 MiB in float32


class _ChunkedLogprobs(torch.autograd.Function):
    """Computes the logits of one chunk of tokens after another, and again in the backward pass.

    d logprob_m / d logits_m = onehot(target_m) - softmax(logits_m).
    """

    @staticmethod
    def forward(ctx: Any, hidden_M_D: Tensor, weight_V_D: Tensor, bias_V: Tensor | None, targets_M: Tensor) -> Tensor:
        ctx.dtype = compute_dtype(hidden_M_D)
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        normaliser_M = hidden_M_D.new_empty(len(hidden_M_D), dtype=score_dtype(ctx.dtype))
        logprobs_M = torch.empty_like(normaliser_M)
        for chunk in _chunks(len(hidden_M_D), len(weight)):
            logits = torch.nn.functional.linear(hidden_M_D[chunk].to(ctx.dtype), weight, bias).to(normaliser_M.dtype)
            normaliser_M[chunk] = logits.logsumexp(-1)
            logprobs_M[chunk] = logits.gather(1, targets_M[chunk, None])[:, 0] - normaliser_M[chunk]
        ctx.save_for_backward(hidden_M_D, weight_V_D, bias_V, targets_M, normaliser_M)
        return logprobs_M

    @staticmethod
    def backward(ctx: Any, gradient_M: Tensor) -> tuple[Tensor | None, ...]:
        hidden_M_D, weight_V_D, bias_V, targets_M, normaliser_M = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        weight, bias = weight_V_D.to(ctx.dtype), None if bias_V is None else bias_V.to(ctx.dtype)
        hidden_gradient = torch.empty_like(hidden_M_D) if needs_hidden else None
        weight_gradient = torch.zeros_like(weight_V_D, dtype=normaliser_M.dtype) if needs_weight else None
        bias_gradient = torch.zeros_like(bias_V, dtype=normaliser_M.dtype) if needs_bias else None
        for chunk in _chunks(len(hidden_M_D), len(weight)):
            hidden = hidden_M_D[chunk].to(ctx.dtype)
            logits = torch.nn.functional.linear(hidden, weight, bias).to(normaliser_M.dtype)
            gradient = gradient_M[chunk, None]
            logits.sub_(normaliser_M[chunk, None]).exp_().mul_(-gradient).scatter_add_(1, targets_M[chunk, None], gradient)
            logits_gradient = logits.to(ctx.dtype)
            if hidden_gradient is not None:
                hidden_gradient[chunk] = logits_gradient @ weight
            if weight_gradient is not None:
                if weight_gradient.dtype == ctx.dtype:
                    weight_gradient.addmm_(logits_gradient.T, hidden)
                else:
                    weight_gradient += logits_gradient.T @ hidden
            if bias_gradient is not None:
                bias_gradient += logits.sum(0)
        return (
            hidden_gradient,
            None if weight_gradient is None else weight_gradient.to(weight_V_D.dtype),
            None if bias_gradient is None else bias_gradient.to(bias_V.dtype),
            None,
        )


def chunked_logprobs(hidden_M_D: Tensor, weight_V_D: Tensor, bias_V: Tensor | None, targets_M: Tensor) -> Tensor:
    """log softmax(hidden @ weight.T + bias)[target] of each token: [M], nats, float32 (float64 for float64 inputs).

    Products are computed in the type of the hidden states, or that of autocast where it is on; sums in float32.
    """
    logprobs: Tensor = _ChunkedLogprobs.apply(hidden_M_D, weight_V_D, bias_V, targets_M)  # type: ignore[no-untyped-call]
    return logprobs


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
