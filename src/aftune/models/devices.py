"""The device that a recipe means."""

import torch

from aftune.common.errors import UsageError


def pick_device(device: str) -> str:
    """The device behind a recipe's `model.device`; raises UsageError for one that this machine does not have."""
    here = [name for name, backend in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if backend.is_available()] + ["cpu"]
    if device == "auto":
        return here[0]
    if device not in here:
        raise UsageError(f"model.device: torch finds no {device} on this machine; use auto or {' or '.join(here)}")
    return device
