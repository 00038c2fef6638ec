"""What losses share that compare the policy with a reference policy, usually the model that training starts from."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aftune.losses.constrained import ConstrainedLoss, check_number
from aftune.losses.interface import LossInputs


@dataclass(frozen=True)
class ReferenceLoss(ConstrainedLoss):
    """dpo_beta: b, called beta in DPO's paper: the weight of h = log pi - log pi_ref, summed over the tokens of a response.
    beta: of the boundary, in nats (per response, not per token)."""

    needs_reference: ClassVar[bool] = True

    dpo_beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("dpo_beta", self.dpo_beta)

    def log_ratios(self, inputs: LossInputs) -> Tensor:
        """h, [P, G]. Raises ValueError without the log-probabilities of a reference policy."""
        return log_ratios(inputs, type(self).__name__)


def log_ratios(inputs: LossInputs, name: str) -> Tensor:
    """h, [P, G], for the loss of that name. Raises ValueError without the log-probabilities of a reference policy."""
    if inputs.reference_logprob_sums is None:
        raise ValueError(
            f"{name} needs LossInputs.reference_logprob_sums: give the summed log-probabilities of the responses under a frozen "
            "reference policy, usually the model that training starts from"
        )
    return inputs.filled(inputs.logprob_sums) - inputs.filled(inputs.reference_logprob_sums).detach()
