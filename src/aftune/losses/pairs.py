"""What losses share that take all pairs of a better response w and a worse response l of a group, one by one.

The loss of a group is the mean over its pairs, which is our choice: it does not grow with their number. Each pair has its own
boundary, B = v_w - beta, in the values v that the loss compares.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from aftune.losses.constrained import ConstrainedLoss, log_one_plus_sum_exp
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of

OfValues = Callable[[Tensor], Tensor]


def logistic_pairs(loss: ConstrainedLoss, inputs: LossInputs, values_P_G: Tensor, won: OfValues, lost: OfValues) -> LossOutputs:
    """The negative log-likelihood that w wins: log(1 + exp(lost(v_l) - won(v_w))).

    With a boundary, what pushes the worse response down also pulls its mirror image at the boundary: exp(lost(2B - v_l) - won(v_w))
    joins the sum, with 2B and won(v_w) as constants. The two balance exactly at v_l = B. This is our derivation, after AFT's.
    """
    better, worse = values_P_G[:, :, None], values_P_G[:, None, :]
    exponents = [lost(loss.pushed(worse)) - won(better)]
    if loss.constraint == "boundary":
        exponents.append(lost(loss.target(2 * (better - loss.beta)) - worse) - loss.target(won(better)))
    terms = [term.masked_fill(~inputs.pairs_P_G_G, -torch.inf) for term in exponents]
    return mean_of_pairs(loss, inputs, values_P_G, log_one_plus_sum_exp(torch.stack(terms, dim=-1)))


def mean_of_pairs(loss: ConstrainedLoss, inputs: LossInputs, values_P_G: Tensor, losses_P_G_G: Tensor) -> LossOutputs:
    """The mean over the pairs of each group; what stands elsewhere in `losses_P_G_G` has no influence."""
    pairs = inputs.pairs_P_G_G
    losses_P = losses_P_G_G.masked_fill(~pairs, 0.0).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
    bounded = pairs if "boundary" in loss.CONSTRAINTS else torch.zeros_like(pairs)
    return outputs_of(inputs, losses_P, values_P_G[:, None, :] < values_P_G[:, :, None] - loss.beta, bounded)
