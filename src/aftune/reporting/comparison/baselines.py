"""The method that others are compared with where there is room for one."""

from collections.abc import Mapping
from typing import Any

from aftune.recipe.names import BASELINES


def headline_baseline(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The method that the others are compared with where there is room for one: VFT for the same steps, else VFT itself."""
    found = {method["name"]: method for method in results["methods"] if method["num_seeds"]}
    return next((found[name] for name in ("vft-steps", *BASELINES) if name in found), None)
