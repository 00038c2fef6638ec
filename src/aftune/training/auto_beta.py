"""Choosing the boundary's beta from the groups. The paper leaves it open; this is our derivation.

The boundary takes part of the push off worse candidates long before they reach it: above it, the push of AFT is in proportion to
2 sinh(s - B). A small beta is therefore a weak loss, and a beta that lets nearly all of the push through is a boundary that is
hardly felt. So beta is chosen by that share: under the model that training starts from, the sum of the push on worse candidates
is a given part of what it is without constraint.
"""

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch

from aftune.losses import AftLoss, Loss, LossInputs
from aftune.losses.constrained import ConstrainedLoss
from aftune.prompts.encoding import EncodedGroup
from aftune.records import GroupLogprobs
from aftune.training.reference_logprobs import matched

_CHUNK = 1024  # groups
_SMALLEST, _LARGEST, _PRECISION = 1e-4, 1e6, 1e-9  # fine enough that rounding of scores moves it by rounding only
_TOLERANCE = 0.05


def auto_beta(groups: Iterable[EncodedGroup], logprobs: Iterable[GroupLogprobs], loss: Loss, share: float) -> float:
    """The beta, in the unit of the loss, with which the constrained loss pushes worse candidates `share` as hard as without.

    groups: as they are trained on, so that feedback, number of candidates and reference count as they do there; `logprobs`: those
    of the same groups under the model that training starts from, which is also the reference policy. share: above 0, below 1.
    The push is the sum over candidates that are better than none of the loss's derivative by their summed log-probability; pulls
    count against it. Where the share cannot be reached (no worse candidate is pushed, nearly all of them lie far above their
    boundary, or the loss is a hinge, which has steps), it is reached for a pair with equal scores instead, with a warning. Raises
    DataError where groups and `logprobs` do not match.
    """
    constrained = cast(ConstrainedLoss, loss)
    members = list(_members(zip(groups, logprobs, strict=True)))
    found = _found(constrained, [_padded(members[start : start + _CHUNK]) for start in range(0, len(members), _CHUNK)], share)
    if found is None:
        equal = [_padded([_EQUAL])]
        found = _found(constrained, equal, share) or cast(float, _found(AftLoss(), equal, share))  # AFT reaches any share
        warnings.warn(
            f"align.beta: in these groups no beta leaves {100 * share:.0f} % of the push; auto took {found:.3g}, which does so for "
            "a pair with equal scores. A number may serve better",
            stacklevel=2,
        )
    return found


def _found(loss: ConstrainedLoss, chunks: Sequence[LossInputs], share: float) -> float | None:
    """None where no beta comes near the share."""
    whole = sum(_push(replace(loss, constraint="none"), chunk) for chunk in chunks)
    if not whole > 0:
        return None

    def reached(beta: float) -> float:
        return sum(_push(replace(loss, beta=beta), chunk) for chunk in chunks) / whole

    low, high = _SMALLEST, _LARGEST
    while high / low > 1 + _PRECISION:
        middle = math.sqrt(low * high)
        if reached(middle) < share:
            low = middle
        else:
            high = middle
    return high if abs(reached(high) - share) <= _TOLERANCE else None


Member = tuple[float, float, int]  # quality, summed log-probability, tokens
_EQUAL: tuple[int, list[Member]] = (1, [(1.0, -1.0, 1), (0.0, -1.0, 1)])  # of a group: the tokens of its prompt, its candidates


def _members(pairs: Iterable[tuple[EncodedGroup, GroupLogprobs]]) -> Iterator[tuple[int, list[Member]]]:
    """Of each group that has a pair: the tokens of its prompt, and the candidates in the alignment loss."""
    for group, item in pairs:
        places = matched(group, item)
        found = [
            (quality, item.sums[place], item.lengths[place])
            for quality, place in zip(group.qualities, places, strict=True)
            if quality is not None
        ]
        if len({quality for quality, _, _ in found}) > 1:
            yield len(group.prompt_ids), found


def _padded(groups: Sequence[tuple[int, list[Member]]]) -> LossInputs:
    width = max(len(members) for _, members in groups)
    rows = torch.tensor([[*members, *[(0.0, 0.0, 0)] * (width - len(members))] for _, members in groups], dtype=torch.float64)
    qualities, sums, lengths = rows.unbind(2)
    sums = sums.clone().requires_grad_()
    prompts = torch.tensor([tokens for tokens, _ in groups])
    return LossInputs(
        scores=sums / lengths.clamp(min=1),
        logprob_sums=sums,
        qualities=qualities,
        mask=lengths > 0,
        reference_logprob_sums=sums.detach(),
        padded_lengths=prompts + lengths.amax(1),
        response_lengths=lengths,
    )


def _push(loss: ConstrainedLoss, inputs: LossInputs) -> float:
    total = cast(Loss, loss)(inputs).losses_P.sum()
    (gradient,) = torch.autograd.grad(total, inputs.logprob_sums, retain_graph=True)
    worst = inputs.pairs_P_G_G.any(1) & ~inputs.pairs_P_G_G.any(2)
    return float(gradient[worst].sum())
