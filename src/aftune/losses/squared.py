"""Losses with a target for the log-ratios h = log pi - log pi_ref, summed over the tokens of a response.

    ipo   L = (h_w / |w| - h_l / |l| - 1 / (2b))^2       Azar et al. 2023, arXiv 2310.12036, eq. 17, by tokens as in TRL
    sppo  L = (h_w - 1 / (2b))^2 + (h_l + 1 / (2b))^2    Wu et al. 2024, arXiv 2405.00675, eq. 4.7 with 1 for a win, 0 for a loss

On all pairs, see `aftune.losses.pairs`. Both turn around beyond their target: they pull a worse response up again and push a
better one down. They take no boundary. `detached`: the worse response gets no gradient; our derivation, after AFT's.
"""

from dataclasses import dataclass
from typing import ClassVar

from aftune.common.errors import UsageError
from aftune.losses.constrained import check_number
from aftune.losses.interface import LossInputs, LossOutputs
from aftune.losses.pairs import mean_of_pairs
from aftune.losses.reference import ReferenceLoss, WeightedReferenceLoss


@dataclass(frozen=True)
class IpoLoss(ReferenceLoss):
    """ipo_beta: b, tau in the paper. The margin asked for is 1 / (2b) nats per token: half a nat with 1. beta has no effect."""

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached")

    ipo_beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("ipo_beta", self.ipo_beta)

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError without the log-probabilities of a reference policy or without the lengths."""
        if inputs.response_lengths is None:
            raise UsageError("IpoLoss needs LossInputs.response_lengths: give the number of tokens of each response")
        h = self.log_ratios(inputs)
        mean_h = h / inputs.filled(inputs.response_lengths).clamp(min=1)
        margins = mean_h[:, :, None] - self.pushed(mean_h[:, None, :])
        return mean_of_pairs(self, inputs, h, (margins - 0.5 / self.ipo_beta).square())


@dataclass(frozen=True)
class SppoLoss(WeightedReferenceLoss):
    """dpo_beta: b; the targets are 1 / (2b) nats above and below the reference. The gradient at the start, 1 / b, is 2 / b^2 times
    DPO's, 200 times with 0.1: beside another loss it needs a small weight. beta has no effect."""

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached")

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError without the log-probabilities of a reference policy."""
        h, target = self.log_ratios(inputs), 0.5 / self.dpo_beta
        losses = (h[:, :, None] - target).square() + (self.pushed(h[:, None, :]) + target).square()
        return mean_of_pairs(self, inputs, h, losses)
