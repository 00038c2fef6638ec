"""APO-zero (D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7): better responses up, worse ones down, each fading out.

    none      L = 1 - sigma(b h_w) + sigma(b h_l),  h = log pi - log pi_ref, summed over the tokens of a response, b = dpo_beta
    detached  the same with D(h_l), D stops the gradient; our derivation, after AFT's

On all pairs, see `aftune.losses.pairs`. The push on a worse response fades far from the reference, on either side. There is no
boundary: mirrored at one above the reference, such a curve would push the wrong way.
"""

from dataclasses import dataclass
from typing import ClassVar

from aftune.losses.interface import LossInputs, LossOutputs
from aftune.losses.pairs import mean_of_pairs
from aftune.losses.reference import WeightedReferenceLoss


@dataclass(frozen=True)
class ApoZeroLoss(WeightedReferenceLoss):
    """dpo_beta: b. beta has no effect."""

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached")

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError without the log-probabilities of a reference policy."""
        h = self.log_ratios(inputs)
        better, worse = h[:, :, None], self.pushed(h[:, None, :])
        return mean_of_pairs(self, inputs, h, (-self.dpo_beta * better).sigmoid() + (self.dpo_beta * worse).sigmoid())
