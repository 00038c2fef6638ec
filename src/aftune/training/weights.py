"""The types of trained weights.

bfloat16 has 8 bits of precision: an update below 1/512 of a weight is rounded away, as most updates in fine-tuning are. So
weights are trained in float32, whatever type a model was loaded in; products may still be computed in bfloat16. Where memory is
short, bfloat16 weights are trained with an optimizer that rounds at random (aftune.training.rounding).
"""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from aftune.common.errors import UsageError
from aftune.models.precision import SHORT, lengthen

_log = logging.getLogger(__name__)


def train_in_float32(model: Any, *, autocast: bool) -> None:
    """Makes the weights of a model float32 if any trained one is bfloat16 or float16, and logs a warning. Frozen weights under
    float32 ones that are trained (adapters) keep their type."""
    short = next((weight.dtype for weight in model.parameters() if weight.requires_grad and weight.dtype in SHORT), None)
    if short is None:
        return
    lengthen(model)
    name = str(short).removeprefix("torch.")
    _log.warning(
        "%s: weights were %s and are trained in float32, as most updates are too small for %s (weights='as_given' keeps the type); "
        "products are computed in %s",
        type(model).__name__,
        name,
        name,
        "the type of autocast" if autocast else "float32 (bf16=True: in bfloat16)",
    )


def check_bfloat16(model: Any, arguments: Mapping[str, Any]) -> None:
    """Raises UsageError unless trained weights of the model are bfloat16, and for an optimizer among the arguments of the trainer,
    which would round them to the nearest."""
    types = {weight.dtype for weight in model.parameters() if weight.requires_grad}
    if torch.bfloat16 not in types:
        found = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
        raise UsageError(f"weights='bfloat16' trains a model that was loaded with dtype=torch.bfloat16, and this one is {found}")
    if (arguments.get("optimizers") or (None,))[0] is not None or arguments.get("optimizer_cls_and_kwargs") is not None:
        raise UsageError("weights='bfloat16' needs an optimizer that rounds at random; name one in `optim`, or set 'as_given'")
