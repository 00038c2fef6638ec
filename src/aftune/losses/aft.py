"""The alignment loss of AFT (Wang et al. 2023, arXiv 2309.02144), binary and ranking feedback in one function.

    none      L = log(1 + sum exp(s_j - s_i))                                   eq. 6
    detached  L = log(1 + sum exp(D(s_j) - s_i)), D stops the gradient          section 4.3.1
    boundary  L = log(1 + sum [exp(s_j - s_i) + exp(T_ij - s_j)])               section 4.3.2
              T_ij = 2 B_j - s_i,  B_j = min over the candidates l better than j of s_l, minus beta

The sums run over all pairs in which candidate i is better than candidate j. With two levels of quality these are the
positives and negatives of the paper; for more levels "positive and negative" becomes "better and worse", which is our
derivation. With the boundary, a worse candidate above B_j is pushed down, and one below it is pulled up.
"""

from dataclasses import dataclass

import torch

from aftune.losses.constrained import ConstrainedLoss, boundaries, log_one_plus_sum_exp
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of


@dataclass(frozen=True)
class AftLoss(ConstrainedLoss):
    """beta: nats per token. detach_boundary: whether the gradient treats T as a constant."""

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        scores = inputs.filled(inputs.scores)
        pairs = inputs.pairs_P_G_G
        better, worse = scores[:, :, None], scores[:, None, :]
        boundary_P_G = boundaries(scores, pairs, self.beta)
        exponents = [self.pushed(worse) - better]
        if self.constraint == "boundary":
            exponents.append(self.target(2 * boundary_P_G[:, None, :] - better) - worse)
        terms = torch.stack([term.masked_fill(~pairs, -torch.inf) for term in exponents], dim=1)
        return outputs_of(inputs, log_one_plus_sum_exp(terms.flatten(1)), scores < boundary_P_G, pairs.any(1))
