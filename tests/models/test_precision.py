"""Which type of numbers is fast: decided by measured products."""

import pytest
import torch

from aftune.models import precision
from aftune.models.precision import ProductRates, faster_precision


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [
        (0.1, 0.2, "bfloat16"),  # AVX-512 BF16: twice as fast
        (0.1, 0.13, "bfloat16"),
        (0.1, 0.11, "float32"),  # within what a busy machine can make of it
        (0.02, 0.0003, "float32"),  # AVX2: sixty times slower
        (0.02, 0.0, "float32"),  # not there at all
    ],
)
def test_bfloat16_only_where_it_is_clearly_faster(
    monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float, expected: str
) -> None:
    monkeypatch.setattr(precision, "product_rates", lambda device: ProductRates(float32, bfloat16))
    assert faster_precision("cpu") == expected


def test_large_products_are_left_out_where_small_ones_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """640 x 640 in bfloat16 takes seconds on a processor without the instructions."""
    sizes = []

    def measure(device: str, size: int) -> ProductRates:
        sizes.append(size)
        return ProductRates(0.02, 0.0004 if size == 128 else 1.0)

    monkeypatch.setattr(precision, "_measure", measure)
    precision.product_rates.cache_clear()
    assert faster_precision("cpu") == "float32"
    assert sizes == [128]
    precision.product_rates.cache_clear()


def test_products_are_really_measured() -> None:
    rates = precision._measure("cpu", 128)
    assert 0 < rates.float32 < 100  # 10^12 operations a second: a processor core has 0.01 to 1
    assert 0 < rates.ratio < 100


def test_a_device_without_bfloat16_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones

    def only_float32(*args: int, dtype: torch.dtype, **kwargs: object) -> torch.Tensor:
        if dtype == torch.bfloat16:
            raise RuntimeError("BFloat16 is not supported")
        return ones(*args, dtype=dtype)

    monkeypatch.setattr(torch, "ones", only_float32)
    rates = precision._measure("cpu", 16)
    assert rates.bfloat16 == 0
    assert str(rates) == "this device cannot multiply bfloat16 matrices"
