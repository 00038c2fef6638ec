"""DPO (Rafailov et al. 2023, arXiv 2305.18290), and its kin that change how hard either response is pushed.

    none      L = log(1 + exp(b (h_l - h_w))),  h = log pi - log pi_ref, summed over the tokens of the response, b = dpo_beta
    detached  L = log(1 + exp(b (D(h_l) - h_w))), D stops the gradient
    boundary  L = log(1 + exp(b (h_l - h_w)) + exp(b (D(2B - h_w) - h_l))),  B = h_w - beta

On all pairs, see `aftune.losses.pairs`: the loss of every group starts at ln 2 where there is no boundary. With the boundary, a
worse response above it is pushed down, and one below it is pulled up. The constrained versions are our derivation.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from aftune.common.errors import UsageError
from aftune.losses.constrained import check_number
from aftune.losses.interface import LossInputs, LossOutputs
from aftune.losses.pairs import logistic_pairs
from aftune.losses.reference import WeightedReferenceLoss


@dataclass(frozen=True)
class DpoLoss(WeightedReferenceLoss):
    """As above. With the VFT loss on the right samples too (`sft_on="positives"`) this is close to Iterative RPO (Pang et al. 2024,
    arXiv 2404.19733)."""

    def __call__(self, inputs: LossInputs) -> LossOutputs:
        """Raises UsageError without the log-probabilities of a reference policy."""
        return logistic_pairs(self, inputs, self.log_ratios(inputs), self._won, self._lost)

    def _won(self, h_better: Tensor) -> Tensor:
        return self.dpo_beta * h_better

    def _lost(self, h_worse: Tensor) -> Tensor:
        return self.dpo_beta * h_worse


@dataclass(frozen=True)
class DpopLoss(DpoLoss):
    """DPO-Positive, of Smaug (Pal et al. 2024, arXiv 2402.13228): b (h_w - lambda max(0, -h_w)) in place of b h_w: the better
    response is held at the reference or above. dpop_lambda: lambda; 50 in the paper."""

    dpop_lambda: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("dpop_lambda", self.dpop_lambda, zero=True)

    def _won(self, h_better: Tensor) -> Tensor:
        return self.dpo_beta * (h_better - self.dpop_lambda * (-h_better).relu())


@dataclass(frozen=True)
class MinorDpoLoss(DpoLoss):
    """MinorDPO (Xie et al. 2024, arXiv 2408.09834): b max(0, h_l) in place of b h_l: below the reference the worse response is left
    alone. It takes no boundary."""

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached")

    def _lost(self, h_worse: Tensor) -> Tensor:
        return self.dpo_beta * h_worse.relu()


@dataclass(frozen=True)
class BdpoLoss(DpoLoss):
    """Bounded DPO (Cho et al. 2025, arXiv 2506.12725): b log(lambda e^h_l + 1 - lambda) in place of b h_l, the worse response
    under a mixture of policy and reference: pushing it below the reference gains at most -log(1 - lambda). It takes no
    boundary. bdpo_lambda: lambda, between 0 and 1; 1 is DPO and is not allowed."""

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached")

    bdpo_lambda: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("bdpo_lambda", self.bdpo_lambda)
        if self.bdpo_lambda >= 1:
            raise UsageError(f"bdpo_lambda is {self.bdpo_lambda!r}, expected a number between 0 and 1")

    def _lost(self, h_worse: Tensor) -> Tensor:
        floor = h_worse.new_tensor(math.log1p(-self.bdpo_lambda))
        return self.dpo_beta * torch.logaddexp(h_worse + math.log(self.bdpo_lambda), floor)
