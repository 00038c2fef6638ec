"""Losses: pure functions of scores. A loss knows no model. Adding one means adding a file and a line here."""

from collections.abc import Callable

from aftune.errors import UsageError
from aftune.losses.aft import AftLoss
from aftune.losses.interface import Loss, LossInputs, LossOutputs, ordered_pairs

LOSSES: dict[str, Callable[..., Loss]] = {"aft": AftLoss}


def build(name: str, **options: object) -> Loss:
    """The loss of that name with its options set; raises UsageError for an unknown name, option or value."""
    if name not in LOSSES:
        raise UsageError(f"there is no loss {name!r}; there are {', '.join(LOSSES)}")
    try:
        return LOSSES[name](**options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"loss {name}: {error}") from error


__all__ = ["LOSSES", "AftLoss", "Loss", "LossInputs", "LossOutputs", "build", "ordered_pairs"]
