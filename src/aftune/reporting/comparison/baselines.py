"""The method that others are compared with where there is room for only one."""

from collections.abc import Mapping
from typing import Any

from aftune.recipe.names import BASELINES


def headline_baseline(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The method that the others are compared with where there is room for only one: “VFT, same steps”, else VFT, else “VFT, same
    compute”; None if none of these has finished."""
    found = {method["name"]: method for method in results["methods"] if method["num_seeds"]}
    return next((found[name] for name in ("vft-steps", *BASELINES) if name in found), None)
