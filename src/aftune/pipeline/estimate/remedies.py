"""What would make a run fit a machine: a short list of settings, in the order of how little they change, tried by the same
calculation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from aftune.common.errors import UsageError
from aftune.pipeline.estimate.machines import CARDS, Machine, processes_on
from aftune.pipeline.estimate.memory import RunMemory, run_memory
from aftune.recipe import Recipe
from aftune.recipe import with_settings as recipe_with_settings

_BUDGETS = (1024, 512)
_ROWS = (64, 16, 4)  # sequences sampled at a time
_MORE_CARDS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Remedy:
    """Settings by their keys, on a machine, and the memory that a run then takes."""

    settings: dict[str, Any]
    machine: Machine
    memory: RunMemory

    def __str__(self) -> str:
        return " ".join(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in self.settings.items())


def memory_on(recipe: Recipe, machine: Machine) -> RunMemory | None:
    """The memory of each process of a recipe on a machine."""
    return run_memory(recipe, num_processes=processes_on(recipe, machine), gpu=machine.gpu)


def fits(memory: RunMemory, recipe: Recipe, machine: Machine) -> bool:
    return memory.peak <= machine.usable(processes_on(recipe, machine))


def first_remedy(recipe: Recipe, machine: Machine) -> Remedy | None:
    """The first remedy with which the run fits, or None."""
    for settings, place in _remedies(recipe, machine):
        try:
            changed = with_settings(recipe, settings)
            memory = memory_on(changed, place)
        except UsageError:  # settings that do not go together, or an adapter that cannot be had
            continue
        if memory is None:
            return None
        for rows in _ROWS:
            if _decoding(memory) <= place.usable(processes_on(changed, place)):
                break
            settings = settings | {f"{name}.batch_size": rows for name in ("sample", "evaluate")}
            changed = with_settings(recipe, settings)
            memory = memory_on(changed, place) or memory
        if fits(memory, changed, place):
            return Remedy(settings, place, memory)
    return None


def smallest_card(memory: RunMemory, recipe: Recipe) -> str | None:
    """The smallest of the known cards that holds the run of a process in the recipe's precision, or None."""
    machines = [Machine(name, 1, card.gib * 2**30, gpu=True, card=card) for name, card in CARDS.items()]
    able = [machine for machine in machines if machine.has_bfloat16 or recipe.model.precision != "bfloat16"]
    holding = [machine for machine in able if memory.peak <= machine.usable(1)]
    return min(holding, key=lambda machine: machine.memory).name if holding else None


def with_settings(recipe: Recipe, settings: dict[str, Any]) -> Recipe:
    """The recipe with settings by keys like `align.token_budget`; raises UsageError for some that do not go together."""
    unmerged = {"adapter.merge": False} if settings.get("adapter.kind") == "qlora" else {}  # its default
    return recipe_with_settings(recipe, settings | unmerged, "dry run")


def kind_settings(recipe: Recipe, kind: str) -> dict[str, Any]:
    """The settings that give a recipe another kind of training, with those that do not go with it taken back."""
    settings: dict[str, Any] = {"adapter.kind": kind}
    if kind != "none" and recipe.model.weights == "bfloat16":
        settings["model.weights"] = "float32"
    if kind == "qlora" and recipe.launch.sharding == "fsdp":
        settings["launch.sharding"] = "none"
    return settings


def _remedies(recipe: Recipe, machine: Machine) -> Iterator[tuple[dict[str, Any], Machine]]:
    """Settings and where they are tried: first those that change no result, then adapters, then more cards."""
    alike = list(_smaller_passes(recipe))
    yield from ((settings, machine) for settings in ({}, *alike))
    if machine.gpu and machine.number > 1 and recipe.launch.sharding != "fsdp":
        sharded: dict[str, Any] = {"launch.processes": "auto", "launch.sharding": "fsdp"}
        yield from ((sharded | settings, machine) for settings in ({}, *alike))
    own = recipe.adapter.kind
    for kind in ("lora", "qlora"):
        if own == "none" or (kind == "qlora" and own != "qlora"):
            adapter = kind_settings(recipe, kind)
            yield from ((adapter | settings, machine) for settings in ({}, *alike))
    if machine.gpu:
        for number in _MORE_CARDS:
            if number > machine.number:
                larger = replace(machine, name=f"{number}x{machine.name.partition('x')[2]}", number=number)
                sharded = {"launch.processes": "auto", "launch.sharding": "fsdp"}
                yield from ((sharded | settings, larger) for settings in ({}, *alike))


def _smaller_passes(recipe: Recipe) -> Iterator[dict[str, Any]]:
    settings: dict[str, Any] = {}
    sections = {name: getattr(recipe, name) for name in ("sft", "align")}
    if not all(section.gradient_checkpointing for section in sections.values()):
        settings = {f"{name}.gradient_checkpointing": True for name in sections}
        yield settings
    for budget in _BUDGETS:
        smaller = {f"{name}.token_budget": budget for name, section in sections.items() if section.token_budget > budget}
        if smaller:
            yield settings | smaller


def _decoding(memory: RunMemory) -> float:
    return max(moment.total for moment in memory.moments if "KV cache" in moment.parts)
