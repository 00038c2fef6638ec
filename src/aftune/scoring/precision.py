"""Types of numbers: what products are computed in, and what log-probabilities are summed in."""

import torch
from torch import Tensor


def compute_dtype(values: Tensor) -> torch.dtype:
    """That of autocast where it is on, else that of the values."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


def score_dtype(dtype: torch.dtype) -> torch.dtype:
    """float32, or float64 for logits of that."""
    return torch.float64 if dtype == torch.float64 else torch.float32
