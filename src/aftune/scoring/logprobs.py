"""Log-probabilities of responses given their prompts, for any causal language model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aftune.scoring.batches import GroupBatch


@dataclass(frozen=True)
class ResponseLogprobs:
    """Summed log-probabilities (nats) and lengths (tokens, the end-of-sequence token included) of responses, [P, G]."""

    sums_P_G: Tensor
    lengths_P_G: Tensor

    @property
    def scores_P_G(self) -> Tensor:
        """s(c) = (1/|c|) sum_j log P(c_j | c_<j, q), nats per token (AFT, section 4.2); 0 where there is no response."""
        return self.sums_P_G / self.lengths_P_G.clamp(min=1)


def response_logprobs(model: Any, batch: GroupBatch) -> ResponseLogprobs:
    """Runs the model once over all responses of a batch; sums are float32 and carry gradients where they are enabled.

    `model` is anything called like a `transformers` causal LM. Logits are asked for at response positions only.
    """
    lengths_P_G = batch["response_lengths"]
    exists_P_G = lengths_P_G > 0
    ids_N_T = batch["input_ids"][exists_P_G]
    lengths_N = lengths_P_G[exists_P_G]
    prompt_lengths_N = batch["prompt_lengths"][:, None].expand_as(lengths_P_G)[exists_P_G]
    num_tokens = int((prompt_lengths_N + lengths_N).max())
    ids_N_T = ids_N_T[:, :num_tokens]
    positions_T = torch.arange(num_tokens, device=ids_N_T.device)
    first = max(int(prompt_lengths_N.min()), 1)  # the first position that holds a response token in any row
    logits_N_T_V = model(
        input_ids=ids_N_T,
        attention_mask=(positions_T < (prompt_lengths_N + lengths_N)[:, None]).long(),
        logits_to_keep=num_tokens - first + 1,
        use_cache=False,
    ).logits[:, :-1]
    targets_N_T = ids_N_T[:, first:]
    logprobs_N_T = -torch.nn.functional.cross_entropy(logits_N_T_V.transpose(1, 2).float(), targets_N_T, reduction="none")
    in_response_N_T = (positions_T >= prompt_lengths_N[:, None]) & (positions_T < (prompt_lengths_N + lengths_N)[:, None])
    sums_N = logprobs_N_T.masked_fill(~in_response_N_T[:, first:], 0.0).sum(-1)
    sums_P_G = torch.zeros(lengths_P_G.shape, device=sums_N.device).masked_scatter(exists_P_G, sums_N)
    return ResponseLogprobs(sums_P_G, lengths_P_G)
