"""Log-probabilities of responses given their prompts, for any causal language model."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate.utils import extract_model_from_parallel
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aftune.common.process import give_back_freed_memory
from aftune.models.abilities import abilities
from aftune.models.kernels.chunked_head import chunked_logprobs, computed_again, replaced_head
from aftune.models.kernels.shared_prefix import row_arguments, shared_prefix_attention
from aftune.models.precision import score_dtype
from aftune.scoring.batches import Pass, Row


@dataclass(frozen=True)
class ResponseLogprobs:
    """Summed log-probabilities (nats) and lengths (tokens, the end-of-sequence token included) of responses, [P, G].

    router_loss: the sum, over rows with gradients, of the experts' load-balancing loss times the row's tokens; None for a model
    that returns none.
    """

    sums_P_G: Tensor
    lengths_P_G: Tensor
    router_loss: Tensor | None = None

    @property
    def scores_P_G(self) -> Tensor:
        """s(c) = (1/|c|) sum_j log P(c_j | c_<j, q), nats per token (AFT, section 4.2); 0 where there is no response."""
        return self.sums_P_G / self.lengths_P_G.clamp(min=1)


def response_logprobs(model: Any, batch: Pass, kept_bytes: float = 0) -> ResponseLogprobs:
    """Log-probabilities of all responses of a pass; sums are float32 and carry gradients where a row needs them.

    kept_bytes: the logits of a row that take no more are kept for its backward pass, instead of computed again in it.

    `model` is a `transformers` causal LM, or a wrapper of one. If several rows have gradients, none is kept for the backward
    pass: each is computed again when its turn comes, so that memory is that of one row. This is exact: the loss's gradient
    with respect to a score does not depend on how the score was computed.
    """
    lengths_P_G = batch["response_lengths"]
    several = sum(row["needs_gradient"] for row in batch["rows"]) > 1
    sums_PG = torch.zeros(lengths_P_G.numel(), device=lengths_P_G.device)
    router_losses: list[Tensor] = []
    for row in batch["rows"]:
        if not row["needs_gradient"]:
            with torch.no_grad():
                sums_N, _ = _row_sums(model, row, 0)
        else:
            if several and torch.is_grad_enabled():
                sums_N, router_loss = checkpoint(
                    partial(_one_of_several, model, row, kept_bytes),
                    use_reentrant=False,
                    context_fn=lambda: (computed_again(), nullcontext()),
                )
            else:
                sums_N, router_loss = _row_sums(model, row, kept_bytes)
            if router_loss is not None:
                router_losses.append(router_loss * row["num_tokens"])
        sums_PG = sums_PG.to(sums_N.dtype).index_copy(0, row["responses_N"], sums_N)
    router_loss = torch.stack(router_losses).sum() if router_losses else None
    return ResponseLogprobs(sums_PG.view_as(lengths_P_G), lengths_P_G, router_loss)


@contextmanager
def rows_of_segments(model: Any) -> Iterator[None]:
    """A backward pass with gradient checkpointing must run within this block; no effect on a model without shared prefixes."""
    inner = extract_model_from_parallel(model)
    if abilities(inner).shared_prefix:
        with shared_prefix_attention(inner):
            yield
    else:
        yield


def _one_of_several(model: Any, row: Row, kept_bytes: float) -> tuple[Tensor, Tensor | None]:
    """As `_row_sums`, for a row that should need no memory on top of another's."""
    if row["input_ids"].device.type == "cpu":
        give_back_freed_memory()
    return _row_sums(model, row, kept_bytes)


def _row_sums(model: Any, row: Row, kept_bytes: float) -> tuple[Tensor, Tensor | None]:
    """[N], summed log-probabilities of a row's responses; and the load-balancing loss of the model's experts on it."""
    inner = extract_model_from_parallel(model)
    arguments: dict[str, Any] = {"attention_mask": row["attention_mask"]}
    if row["segments"] is not None:
        arguments = row_arguments(row["segments"], row["input_ids"].device, inner.config)
    forward = partial(model, input_ids=row["input_ids"], position_ids=row["position_ids"], use_cache=False, **arguments)

    def logprobs(hidden: Tensor, head: torch.nn.Linear) -> Tensor:
        hidden_M_D = hidden.flatten(0, 1)[row["predictors_M"]]
        return chunked_logprobs(hidden_M_D, head.weight, head.bias, row["targets_M"], kept_bytes)

    with rows_of_segments(model) if row["segments"] is not None else nullcontext():
        if abilities(inner).chunked_head:
            with replaced_head(inner, logprobs):
                outputs = forward()
            logprobs_M = outputs.logits
        else:
            outputs = forward()
            logits_M_V = outputs.logits.flatten(0, 1)[row["predictors_M"]]
            logits_M_V = logits_M_V.to(score_dtype(logits_M_V.dtype))
            logprobs_M = -torch.nn.functional.cross_entropy(logits_M_V, row["targets_M"], reduction="none")
    # A sum in the same order everywhere, with operations that every device has (Apple's GPUs lack torch.segment_reduce).
    sums_N = torch.nn.functional.pad(logprobs_M, (0, 1))[row["places_N_L"]].sum(1)
    return sums_N, getattr(outputs, "aux_loss", None)
