"""Number types: for products, for sums of log-probabilities, and which one is fast on a device."""

import time
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

SHORT = (torch.bfloat16, torch.float16)  # 16-bit types

_SMALL, _LARGE = 128, 640  # sides of the square matrices that are multiplied
_LARGE_GPU = 4096
_CLEARLY = 1.2  # at least this many times as fast; machines that have the instructions reach 2 or more, the others 0.05


def compute_dtype(values: Tensor) -> torch.dtype:
    """The type that products are computed in: autocast's where it is on, else that of the values."""
    device = values.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else values.dtype


def score_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type that log-probabilities are summed in: float32, or float64 for float64 logits."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def lengthen(model: torch.nn.Module) -> None:
    """Makes a model's 16-bit weights float32; weights in 4 bits are what they were."""
    for weight in model.parameters():
        if weight.dtype in SHORT:
            weight.data = weight.data.float()


@dataclass(frozen=True)
class ProductRates:
    """Speed of a matrix product, in 10^12 operations per second; bfloat16 is 0 where the device has none."""

    float32: float
    bfloat16: float

    @property
    def ratio(self) -> float:
        """How many times as fast bfloat16 is."""
        return self.bfloat16 / self.float32

    def __str__(self) -> str:
        if not self.bfloat16:
            return "this device cannot multiply bfloat16 matrices"
        return f"a bfloat16 matrix product is measured to be {self.ratio:.2g} times as fast as a float32 one"


@cache
def product_rates(device: str) -> ProductRates:
    """Measured in a fraction of a second, once per process: the fastest of a few products of each type, in turn.

    Small matrices come first: where the processor has no bfloat16 instructions, large ones would take many seconds.
    """
    rates = _measure(device, _SMALL)
    if device != "cpu" or rates.ratio > 0.5:
        rates = _measure(device, _LARGE_GPU if device == "cuda" else _LARGE)
    return rates


def faster_precision(device: str) -> Literal["float32", "bfloat16"]:
    """The type to compute in on a device: bfloat16 where its products are clearly faster."""
    return "bfloat16" if product_rates(device).ratio >= _CLEARLY else "float32"


def _measure(device: str, size: int, rounds: int = 5) -> ProductRates:
    seconds = {"float32": float("inf"), "bfloat16": float("inf")}
    for _ in range(rounds):
        for name in seconds:
            try:
                factor = torch.ones(size, size, device=device, dtype=getattr(torch, name))
                started = time.perf_counter()
                (factor @ factor)[0, 0].item()
            except RuntimeError:  # a type that the device does not support
                continue
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    return ProductRates(**{name: 2 * size**3 / best / 1e12 for name, best in seconds.items()})
