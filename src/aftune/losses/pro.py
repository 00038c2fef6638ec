"""PRO (Song et al. 2023, arXiv 2306.17492): each candidate against all worse ones, with temperatures from the rewards.

    none      L = - sum_i log[ exp(s_i / t_ii) / (exp(s_i / t_ii) + sum_j exp(s_j / t_ij)) ]
    detached  exp(D(s_j) / t_ij) in the denominator, D stops the gradient
    boundary  also exp((D(2 B_j) - s_j) / t_ij) in it,  B_j = min over the candidates l better than j of s_l, minus beta

i runs over the candidates that have worse ones, j over those that are worse than i; t_ij = 1 / (r_i - r_j) from the qualities
r, and t_ii = min_j t_ij. Pairs of equal quality are skipped. The constrained versions are our derivation, after AFT's: as a
worse one, a candidate above B_j is pushed down, and one below it is pulled up. PRO's maximum-likelihood term for the best
response is not included here.
"""

import math
from dataclasses import dataclass

import torch

from aftune.losses.constrained import ConstrainedLoss, boundaries, check_number, log_one_plus_sum_exp
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of


@dataclass(frozen=True)
class ProLoss(ConstrainedLoss):
    """beta: nats per token.

    eps: added to the denominator inside the logarithm. 0 gives the formula; the official code (AlibabaResearch/DAMO-ConvAI,
    PRO/train/utils/process_manager.py) uses 1e-10.
    """

    eps: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("eps", self.eps, zero=True)

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        scores = inputs.filled(inputs.scores)
        qualities = inputs.filled(inputs.qualities).to(scores.dtype)
        pairs = inputs.pairs_P_G_G
        # 1 / t_ij, and 1 / t_ii as the largest of them.
        sharpness = (qualities[:, :, None] - qualities[:, None, :]).masked_fill(~pairs, 0.0)
        own = (scores * sharpness.amax(2))[:, :, None]
        worse = scores[:, None, :]
        boundary_P_G = boundaries(scores, pairs, self.beta)
        # The denominator divided by the numerator, so that the numerator becomes 1.
        exponents = [self.pushed(worse) * sharpness - own]
        if self.constraint == "boundary":
            exponents.append((self.target(2 * boundary_P_G[:, None, :]) - worse) * sharpness - own)
        terms = [term.masked_fill(~pairs, -torch.inf) for term in exponents]
        if self.eps:
            terms.append(math.log(self.eps) - own)
        losses_P_G = log_one_plus_sum_exp(torch.cat(terms, dim=2)).masked_fill(~pairs.any(2), 0.0)
        return outputs_of(inputs, losses_P_G.sum(1), scores < boundary_P_G, pairs.any(1))
