"""Numbers that are not finite, and what to say about a model that gives them."""

from typing import Any

import torch


def damaged_weight(model: Any) -> str | None:
    """The first weight that holds NaN or infinity, in words; None where all are finite."""
    for name, weight in model.named_parameters():
        if not weight.dtype.is_floating_point or weight.device.type == "meta":
            continue
        num_bad = weight.numel() - int(torch.isfinite(weight.detach()).sum())
        if num_bad:
            return f"its weight {name} holds {num_bad} of {weight.numel()} values that are not finite"
    return None


def why_not_finite(model: Any) -> str:
    """The rest of a sentence that begins with what a model gave: the cause and what to do."""
    if damage := damaged_weight(model):
        return f"{damage}: use an undamaged copy, or train it again with a lower learning_rate"
    return f"its weights are finite, but too large for {model.dtype}: its training has diverged; lower learning_rate"
