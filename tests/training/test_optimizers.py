"""Optimizers by name."""

import pytest

from aftune.common.errors import UsageError
from aftune.training.optimizers import check_optimizer


def test_names() -> None:
    for name in ("adamw", "adafactor", "adamw_8bit", "paged_adamw_8bit", "galore_adamw"):
        check_optimizer("sft.optimizer", name)
    with pytest.raises(UsageError, match=r"align\.optimizer is 'adafacto', expected adamw or an optimizer .*, such as adafactor"):
        check_optimizer("align.optimizer", "adafacto")
