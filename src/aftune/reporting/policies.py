"""The models of a run: what the page calls them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class PolicyName:
    """`key` is the name in metrics.json, `label` stands in tables and plots, `phrase` in sentences."""

    key: str
    label: str
    phrase: str


_NAMES = (
    PolicyName("base", "Base", "the base model"),
    PolicyName("vft", "VFT", "VFT"),
    PolicyName("vft_same_steps", "VFT, same steps", "VFT for the same number of optimizer steps"),
    PolicyName("aligned", "Aligned", "aligned"),
)


def named(keys: Iterable[str]) -> list[PolicyName]:
    """The names of some models, in the order of training; what is unknown comes last under its own name."""
    wanted = list(keys)
    known = [name for name in _NAMES if name.key in wanted]
    return known + [PolicyName(key, key, key) for key in wanted if key not in {name.key for name in _NAMES}]
