"""SimPO (Meng et al. 2024, arXiv 2405.14734): DPO on mean log-likelihoods, without a reference policy.

    none      L = log(1 + exp(b (s_l - s_w) + gamma)),  b = simpo_beta
    detached  L = log(1 + exp(b (D(s_l) - s_w) + gamma)), D stops the gradient
    boundary  L = log(1 + exp(b (s_l - s_w) + gamma) + exp(b (D(2B - s_w) - s_l) + gamma)),  B = s_w - beta

On all pairs, see `aftune.losses.pairs`. With b = 1 and gamma = 0, the loss of one pair is AFT's. The constrained versions are our
derivation, after AFT's.
"""

from dataclasses import dataclass

from aftune.losses.constrained import ConstrainedLoss, check_number
from aftune.losses.interface import LossInputs, LossOutputs
from aftune.losses.pairs import logistic_pairs


@dataclass(frozen=True)
class SimpoLoss(ConstrainedLoss):
    """simpo_beta: b. simpo_gamma: gamma, the margin that b (s_w - s_l) has to exceed. 2 and 1 are in the range that the paper
    recommends. beta: of the boundary, nats per token."""

    simpo_beta: float = 2.0
    simpo_gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("simpo_beta", self.simpo_beta)
        check_number("simpo_gamma", self.simpo_gamma, zero=True)

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        scores = inputs.filled(inputs.scores)
        return logistic_pairs(
            self, inputs, scores, lambda better: self.simpo_beta * better - self.simpo_gamma, lambda worse: self.simpo_beta * worse
        )
