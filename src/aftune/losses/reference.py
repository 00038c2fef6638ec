"""What losses share that compare the policy with a reference policy, usually the model that training starts from."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aftune.common.errors import UsageError
from aftune.losses.constrained import ConstrainedLoss, check_number
from aftune.losses.interface import LossInputs


@dataclass(frozen=True)
class ReferenceLoss(ConstrainedLoss):
    """beta: of the boundary, in nats (per response, not per token)."""

    needs_reference: ClassVar[bool] = True

    def log_ratios(self, inputs: LossInputs) -> Tensor:
        """h = log pi - log pi_ref, summed over the tokens of a response: [P, G]. Raises UsageError without the log-probabilities
        of a reference policy."""
        if inputs.reference_logprob_sums is None:
            raise UsageError(
                f"{type(self).__name__} needs LossInputs.reference_logprob_sums: give the summed log-probabilities of the "
                "responses under a frozen reference policy, usually the model that training starts from"
            )
        return inputs.filled(inputs.logprob_sums) - inputs.filled(inputs.reference_logprob_sums).detach()


@dataclass(frozen=True)
class WeightedReferenceLoss(ReferenceLoss):
    """dpo_beta: b, called beta in DPO's paper: the weight of h."""

    dpo_beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("dpo_beta", self.dpo_beta)
