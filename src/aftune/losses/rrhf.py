"""RRHF (Yuan et al. 2023, arXiv 2304.05302): a hinge on every pair whose worse candidate scores higher.

    none      L = sum max(0, s_j - s_i)
    detached  L = sum max(0, D(s_j) - s_i), D stops the gradient
    boundary  L = sum [max(0, s_j - s_i) + max(0, D(B_j) - s_j)],  B_j = min over the candidates l better than j of s_l, minus beta

The sums run over all pairs in which candidate i is better than candidate j. The constrained versions are our derivation,
after AFT's. With the boundary, the push on a worse candidate equals the number of better ones that it outscores; it is 0 from
the lowest better score down to B_j, and below B_j the pull upwards equals the number of better ones. RRHF's maximum-likelihood
term for the best response is not included here.
"""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from aftune.common.errors import UsageError
from aftune.losses.constrained import ConstrainedLoss, boundaries, check_choice
from aftune.losses.interface import LossInputs, LossOutputs, outputs_of


@dataclass(frozen=True)
class RrhfLoss(ConstrainedLoss):
    """beta: nats per token.

    length_normalisation: what the summed log-probability is divided by. `response`: the response's own length, as in the
    paper. `padded`: the length of the padded row (the group's prompt plus its longest response), as in the official code, which
    overwrites its label mask before it counts; needs `padded_lengths`. Scores, and with them beta, are then in that unit; all
    metrics except below_boundary still use the scores per token.
    """

    length_normalisation: Literal["response", "padded"] = "response"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("length_normalisation", self.length_normalisation, ("response", "padded"))

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError for `padded` without the lengths."""
        scores = self._scores(inputs)
        pairs = inputs.pairs_P_G_G
        better, worse = scores[:, :, None], scores[:, None, :]
        boundary_P_G = boundaries(scores, pairs, self.beta)
        terms = (self.pushed(worse) - better).relu()
        if self.constraint == "boundary":
            terms = terms + (self.target(boundary_P_G[:, None, :]) - worse).relu()
        return outputs_of(inputs, terms.masked_fill(~pairs, 0.0).sum((1, 2)), scores < boundary_P_G, pairs.any(1))

    def _scores(self, inputs: LossInputs) -> Tensor:
        if self.length_normalisation == "response":
            return inputs.filled(inputs.scores)
        if inputs.padded_lengths is None:
            raise UsageError(
                "length_normalisation is 'padded', but LossInputs has no padded_lengths: give the number of tokens in each "
                "group's prompt plus its longest response, or use 'response'"
            )
        return inputs.filled(inputs.logprob_sums) / inputs.padded_lengths.clamp(min=1)[:, None]
