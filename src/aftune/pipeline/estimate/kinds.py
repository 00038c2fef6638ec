"""Full fine-tuning, LoRA and QLoRA beside each other: the memory and time of a recipe with each of them."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from aftune.common.errors import UsageError
from aftune.pipeline.estimate import cost
from aftune.pipeline.estimate.card_speed import PEAK_SHARE, UNCERTAIN, card_speed
from aftune.pipeline.estimate.machines import Machine, processes_on
from aftune.pipeline.estimate.memory import RunMemory
from aftune.pipeline.estimate.remedies import fits, kind_settings, memory_on, with_settings
from aftune.pipeline.estimate.speed import Duration, duration
from aftune.recipe import Recipe

_TITLES = {"none": "full", "lora": "LoRA", "dora": "DoRA", "qlora": "QLoRA"}
_WHY = f"rough: {PEAK_SHARE:.0%} of the card's peak, from its data sheet"


@dataclass(frozen=True)
class Kind:
    """One way to train. own: whether it is the recipe's. memory: None where it cannot be told, for the reason `why`."""

    title: str
    own: bool
    recipe: Recipe
    machine: Machine
    memory: RunMemory | None
    why: str = ""

    @property
    def fits(self) -> bool:
        return self.memory is not None and fits(self.memory, self.recipe, self.machine)

    def costs(self, stages: Container[str]) -> list[cost.StageCost]:
        """Of the stages that are named."""
        return cost.estimate(self.recipe, stages)

    def duration(self, costs: Sequence[cost.StageCost]) -> Duration | None:
        """The time of some of its work; None where only the memory of the card is known."""
        if self.machine.card is None or self.memory is None:
            return None
        speed = card_speed(self.recipe, self.memory.weights, self.machine.card, processes_on(self.recipe, self.machine))
        found = duration(costs, self.recipe, speed, UNCERTAIN)
        return None if found is None else Duration(found.low, found.high, _WHY)


def kinds(recipe: Recipe, machine: Machine) -> list[Kind]:
    """The recipe with each kind of training, its own among them."""
    return list(_kinds(recipe, machine))


def _kinds(recipe: Recipe, machine: Machine) -> Iterator[Kind]:
    own = recipe.adapter.kind
    for kind in ("none", "dora" if own == "dora" else "lora", "qlora"):
        changed = recipe if kind == own else with_settings(recipe, kind_settings(recipe, kind))
        unsharded = changed.launch.sharding == "none" != recipe.launch.sharding  # FSDP does not take weights in 4 bits
        title = _TITLES[kind] + (", unsharded" if unsharded else "")
        try:
            memory = memory_on(changed, machine)
        except UsageError as error:  # no PEFT, or targets that the model does not have
            yield Kind(title, kind == own, changed, machine, None, str(error))
        else:
            yield Kind(title, kind == own, changed, machine, memory)
