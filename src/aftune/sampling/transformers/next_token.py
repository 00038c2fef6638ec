"""The choice of the next token: greedy, or drawn with a random stream for each row."""

import torch
from torch import Tensor
from transformers import LogitsProcessorList, TopKLogitsWarper, TopPLogitsWarper

from aftune.sampling.interface import SamplingSettings

BLOCK = 128  # tokens that are summed up before the exact search starts
NOT_FINITE = -1  # in place of a token where the logits are not finite


class TokenChoice:
    """The next token of each row by the sampling settings."""

    def __init__(self, settings: SamplingSettings) -> None:
        self.temperature = settings.temperature
        self.warpers = LogitsProcessorList()
        if settings.top_k:
            self.warpers.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            self.warpers.append(TopPLogitsWarper(settings.top_p))

    def __call__(self, logits_N_V: Tensor, uniforms_N: Tensor) -> Tensor:
        """Token ids [N]; a row's token depends on its logits and its uniform number only. `NOT_FINITE` where logits are NaN or
        infinite, or all of them minus infinity."""
        if self.temperature == 0:
            token_N1 = logits_N_V.argmax(-1, keepdim=True)  # NaN counts as the largest
            return _where_finite(token_N1, logits_N_V.gather(1, token_N1))
        scores_N_V = logits_N_V.float()
        if self.temperature != 1:
            scores_N_V = scores_N_V / self.temperature
        # The warpers of transformers take the ids so far and do not look at them.
        scores_N_V = self.warpers(torch.empty(0, dtype=torch.long), scores_N_V)
        return draw(scores_N_V.softmax(-1), uniforms_N)


def draw(probabilities_N_V: Tensor, uniforms_N: Tensor) -> Tensor:
    """Inverts each row's cumulative distribution at its uniform number; returns token ids [N].

    Sums of whole blocks determine the block, and only that block is summed token by token: a cumulative sum over a vocabulary of
    32,000 costs more than the model's softmax. Sums over blocks are float64. Tokens of probability 0 are never drawn.
    `NOT_FINITE` where the probabilities are NaN.
    """
    num_whole = probabilities_N_V.shape[1] // BLOCK
    whole_N_B, rest_N_R = probabilities_N_V.tensor_split([num_whole * BLOCK], dim=1)
    sums_N_B = torch.cat([whole_N_B.view(len(whole_N_B), num_whole, BLOCK).sum(-1), rest_N_R.sum(-1, keepdim=True)], dim=1)
    cumulative_N_B = _cumulative(sums_N_B)
    threshold_N1 = _below(uniforms_N[:, None].to(cumulative_N_B.dtype) * cumulative_N_B[:, -1:], cumulative_N_B)
    total_N1 = cumulative_N_B[:, -1:]
    block_N1 = torch.searchsorted(cumulative_N_B, threshold_N1, right=True).clamp(max=cumulative_N_B.shape[1] - 1)  # NaN: beyond
    before_N1 = torch.where(block_N1 > 0, cumulative_N_B.gather(1, (block_N1 - 1).clamp(min=0)), 0.0)
    share_N1 = (threshold_N1 - before_N1) / (cumulative_N_B.gather(1, block_N1) - before_N1)
    token_N_B = block_N1 * BLOCK + torch.arange(BLOCK, device=block_N1.device)
    last = probabilities_N_V.shape[1] - 1
    inner_N_B = probabilities_N_V.gather(1, token_N_B.clamp(max=last)).masked_fill(token_N_B > last, 0.0)
    cumulative_N_B = _cumulative(inner_N_B)
    inner_N1 = torch.searchsorted(cumulative_N_B, _below(share_N1 * cumulative_N_B[:, -1:], cumulative_N_B), right=True)
    return _where_finite(block_N1 * BLOCK + inner_N1, total_N1)


def _where_finite(token_N1: Tensor, value_N1: Tensor) -> Tensor:
    return torch.where(value_N1.isfinite(), token_N1, NOT_FINITE).squeeze(1)


def _cumulative(values_N_B: Tensor) -> Tensor:
    return values_N_B.cumsum(-1, dtype=torch.float32 if values_N_B.device.type == "mps" else torch.float64)


def _below(threshold_N1: Tensor, cumulative_N_B: Tensor) -> Tensor:
    """The threshold, kept below the total, which rounding may bring it to: there is then an entry above it."""
    total_N1 = cumulative_N_B[:, -1:]
    return torch.minimum(threshold_N1, torch.nextafter(total_N1, torch.zeros_like(total_N1)))
