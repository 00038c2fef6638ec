"""What all losses share: the constraint on worse candidates, its boundary, and a logarithm that does not overflow."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from aftune.common.errors import UsageError


@dataclass(frozen=True)
class ConstrainedLoss:
    """constraint: what holds a worse candidate up. `none`: nothing; `detached`: it gets no gradient; `boundary`: it is pushed
    down to its boundary, and from below back up to it.
    beta: how far the boundary lies below the lowest-scoring better candidate, in the loss's unit (nats per token, or nats for a
    loss that compares with a reference policy).
    detach_boundary: whether the gradient treats what the boundary adds as a constant. This is our derivation: without it, the
    constraint pushes better candidates down.

    CONSTRAINTS: those that the loss takes; one whose push fades, stops or turns around by itself takes no boundary.
    needs_reference: whether it reads log-probabilities under a reference policy.
    Raises UsageError for an invalid value.
    """

    CONSTRAINTS: ClassVar[tuple[str, ...]] = ("none", "detached", "boundary")
    needs_reference: ClassVar[bool] = False

    constraint: Literal["none", "detached", "boundary"] = "boundary"
    beta: float = 0.4
    detach_boundary: bool = True

    def __post_init__(self) -> None:
        check_choice("constraint", self.constraint, self.CONSTRAINTS)
        check_number("beta", self.beta, "nats")
        if not isinstance(self.detach_boundary, bool):
            raise UsageError(f"detach_boundary is {self.detach_boundary!r}, expected true or false")

    def needs_gradient(self, pairs_P_G_G: Tensor) -> Tensor:
        """[P, G] bool: the candidates whose scores get a gradient from the loss, whatever the scores are."""
        better_P_G, worse_P_G = pairs_P_G_G.any(2), pairs_P_G_G.any(1)
        return better_P_G if self.constraint == "detached" else better_P_G | worse_P_G

    def pushed(self, worse: Tensor) -> Tensor:
        """The values of worse candidates where they are pushed down."""
        return worse.detach() if self.constraint == "detached" else worse

    def target(self, target: Tensor) -> Tensor:
        """What the boundary adds beside the worse candidate."""
        return target.detach() if self.detach_boundary else target


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raises UsageError unless the value is one of the choices."""
    if value not in choices:
        raise UsageError(f"{name} is {value!r}, expected {', '.join(choices[:-1])} or {choices[-1]}")


def check_number(name: str, value: object, unit: str = "", *, zero: bool = False) -> None:
    """Raises UsageError unless the value is a finite number above 0, or 0 where `zero` allows it."""
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not (0 < number < math.inf or (zero and number == 0)):
        raise UsageError(f"{name} is {value!r}, expected {'0 or ' if zero else ''}a positive number{unit and ' of '}{unit}")


def boundaries(scores_P_G: Tensor, pairs_P_G_G: Tensor, beta: float) -> Tensor:
    """B_j, [P, G]: the lowest score among the candidates better than j, minus beta; meaningless where there is none."""
    lowest_better = scores_P_G[:, :, None].masked_fill(~pairs_P_G_G, torch.inf).amin(1)
    return torch.where(pairs_P_G_G.any(1), lowest_better, 0.0) - beta


def log_one_plus_sum_exp(exponents: Tensor) -> Tensor:
    """log(1 + sum exp(x)) over the last dimension; -inf marks absent terms."""
    return torch.nn.functional.pad(exponents, (0, 1)).logsumexp(-1)
