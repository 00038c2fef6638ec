"""Optimizers by name: those of transformers, whose packages are looked for when training begins."""

import difflib

from transformers.training_args import OptimizerNames

from aftune.common.errors import UsageError

DEFAULT = "adamw"


def check_optimizer(key: str, name: str) -> None:
    """Raises UsageError, which starts with `key`, for a name that is neither `adamw` nor known to transformers."""
    known = [DEFAULT, *(optimizer.value for optimizer in OptimizerNames)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known
        raise UsageError(f"{key} is {name!r}, expected {DEFAULT} or an optimizer of transformers, such as {', '.join(near)}")
