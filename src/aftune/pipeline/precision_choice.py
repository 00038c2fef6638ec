"""Settles `model.precision: auto`, once for a run: it keeps the choice wherever it continues."""

from collections.abc import Sequence
from dataclasses import dataclass

from aftune.models.devices import pick_device
from aftune.models.precision import faster_precision, product_rates
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.recipe import Recipe


@dataclass(frozen=True)
class Settled:
    """A recipe whose precision is float32 or bfloat16, and why; `is_slow`: it was asked for although it is slow here."""

    recipe: Recipe
    why: str
    is_slow: bool = False

    def lines(self) -> list[str]:
        """What a user should know about it, in rich's markup."""
        if self.is_slow:
            return [f"precision [yellow]{self.recipe.model.precision}: {self.why}[/yellow]"]
        return [f"precision {self.recipe.model.precision}: {self.why}"] if self.why else []


def settle(recipe: Recipe, runs: Sequence[RunDirectory]) -> Settled:
    """Takes the precision of the first run that has one, else one that is fast here; one that the recipe asks for stays, and
    bfloat16 weights ask for bfloat16."""
    if recipe.model.weights == "bfloat16":
        recipe = _with_precision(recipe, "bfloat16")
    asked = recipe.model.precision
    device = pick_device(recipe.model.device)
    if asked == "float32":
        return Settled(recipe, "")
    if asked == "bfloat16":
        rates = product_rates(device)
        slow = faster_precision(device) != asked
        remedy = "model.precision=auto" if recipe.model.weights == "float32" else "model.weights=float32 with model.precision=auto"
        why = f"slow on this machine, {rates}; {remedy} takes float32" if slow else ""
        return Settled(recipe, why, is_slow=slow)
    kept = next((chosen for run in runs if (chosen := run.precision()) is not None), None)
    chosen, why = (faster_precision(device), str(product_rates(device))) if kept is None else (kept, "as when this run began")
    return Settled(_with_precision(recipe, chosen), why)


def settle_elsewhere(recipe: Recipe, *, has_bfloat16: bool) -> Recipe:
    """The recipe with what auto means on a machine that is not here: bfloat16 on a card that has it, and for bfloat16 weights."""
    if recipe.model.precision != "auto" and recipe.model.weights != "bfloat16":
        return recipe
    return _with_precision(recipe, "bfloat16" if has_bfloat16 or recipe.model.weights == "bfloat16" else "float32")


def _with_precision(recipe: Recipe, precision: str) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"precision": precision})})
