"""The types of trained weights.

bfloat16 has 8 bits of precision: an update below 1/512 of a weight is rounded away, as most updates in fine-tuning are. So
weights are trained in float32, whatever type a model was loaded in; products may still be computed in bfloat16.
"""

import logging
from typing import Any

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
