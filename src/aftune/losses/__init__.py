"""Losses: pure functions of scores. A loss knows no model.

Adding one means adding a class and a line here, and what a recipe knows of it (`aftune.recipe.losses`). May import common.
"""

import difflib
import inspect
from collections.abc import Callable

from aftune.common.errors import UsageError
from aftune.losses.aft import AftLoss
from aftune.losses.apo import ApoZeroLoss
from aftune.losses.dpo import BdpoLoss, DpoLoss, DpopLoss, MinorDpoLoss
from aftune.losses.interface import METRICS, Loss, LossInputs, LossOutputs, ordered_pairs
from aftune.losses.nca import InfoNcaLoss, NcaLoss
from aftune.losses.pro import ProLoss
from aftune.losses.rrhf import RrhfLoss
from aftune.losses.simpo import SimpoLoss
from aftune.losses.squared import IpoLoss, SppoLoss

LOSSES: dict[str, Callable[..., Loss]] = {
    "aft": AftLoss,
    "rrhf": RrhfLoss,
    "pro": ProLoss,
    "dpo": DpoLoss,
    "simpo": SimpoLoss,
    "ipo": IpoLoss,
    "dpop": DpopLoss,
    "minor_dpo": MinorDpoLoss,
    "bdpo": BdpoLoss,
    "sppo": SppoLoss,
    "nca": NcaLoss,
    "infonca": InfoNcaLoss,
    "apo_zero": ApoZeroLoss,
}


def option_names(name: str) -> list[str]:
    """The names of a loss's options; raises UsageError for an unknown loss."""
    if name not in LOSSES:
        raise UsageError(f"there is no loss {name!r}; {_hint(name, list(LOSSES))}choose from {', '.join(LOSSES)}")
    return list(inspect.signature(LOSSES[name]).parameters)


def build(name: str, **options: object) -> Loss:
    """The loss of that name with its options set; raises UsageError for an unknown name, option or value."""
    allowed = option_names(name)
    for option in options:
        if option not in allowed:
            raise UsageError(f"loss {name} has no option {option!r}; {_hint(option, allowed)}its options are {', '.join(allowed)}")
    try:
        return LOSSES[name](**options)
    except ValueError as error:
        raise UsageError(f"loss {name}: {error}") from error


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name).lower(), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""


__all__ = [
    "LOSSES",
    "METRICS",
    "AftLoss",
    "ApoZeroLoss",
    "BdpoLoss",
    "DpoLoss",
    "DpopLoss",
    "InfoNcaLoss",
    "IpoLoss",
    "Loss",
    "LossInputs",
    "LossOutputs",
    "MinorDpoLoss",
    "NcaLoss",
    "ProLoss",
    "RrhfLoss",
    "SimpoLoss",
    "SppoLoss",
    "build",
    "option_names",
    "ordered_pairs",
]
