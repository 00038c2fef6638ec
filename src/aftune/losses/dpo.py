"""DPO (Rafailov et al. 2023, arXiv 2305.18290) on all pairs of a better response w and a worse response l to a question.

    none      L = log(1 + exp(b (h_l - h_w))),  h = log pi - log pi_ref, summed over the tokens of the response, b = dpo_beta
    detached  L = log(1 + exp(b (D(h_l) - h_w))), D stops the gradient
    boundary  L = log(1 + exp(b (h_l - h_w)) + exp(b (D(2B - h_w) - h_l))),  B = h_w - beta

The loss of a group is the mean over its pairs, which is our choice: the loss of every group then starts at ln 2 where there is
no boundary. The constrained versions are our derivation, after AFT's; each pair has its own boundary, in h: above it the worse
response is pushed down, below it, pulled up.
"""

from dataclasses import dataclass

import torch

from aftune.losses.constrained import ConstrainedLoss, check_number, log_one_plus_sum_exp
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of


@dataclass(frozen=True)
class DpoLoss(ConstrainedLoss):
    """dpo_beta: b, called beta in DPO's paper. beta: how far h of the worse response may fall below that of the better one,
    in nats (per response, not per token)."""

    dpo_beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("dpo_beta", self.dpo_beta)

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises ValueError without the log-probabilities of a reference policy."""
        if inputs.reference_logprob_sums is None:
            raise ValueError(
                "DPO needs LossInputs.reference_logprob_sums: give the summed log-probabilities of the responses under a frozen "
                "reference policy, usually the model that training starts from"
            )
        h = inputs.filled(inputs.logprob_sums) - inputs.filled(inputs.reference_logprob_sums).detach()
        pairs = inputs.pairs_P_G_G
        better, worse = h[:, :, None], h[:, None, :]
        boundary = better - self.beta
        exponents = [self._pushed(worse) - better]
        if self.constraint == "boundary":
            exponents.append(self._target(2 * boundary - better) - worse)
        terms = [(self.dpo_beta * term).masked_fill(~pairs, -torch.inf) for term in exponents]
        losses_P_G_G = log_one_plus_sum_exp(torch.stack(terms, dim=-1))
        losses_P = losses_P_G_G.sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
        return outputs_of(inputs, losses_P, worse < boundary, pairs)
