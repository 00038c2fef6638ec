"""Whether the processes of a run fit the machine and the recipe, told before anything is computed."""

import torch

from aftune.common.errors import UsageError
from aftune.common.extras import needed
from aftune.models.devices import pick_device
from aftune.pipeline import processes
from aftune.recipe import EngineSection, Recipe

_MODULES = {"transformers": (), "vllm": ("vllm",), "openai": ("openai", "tenacity"), "ray": ("ray",)}


def engines(recipe: Recipe) -> dict[str, EngineSection]:
    """The engines of a recipe, by where they stand in it."""
    sources = {f"sample.sources.{place}": source.engine for place, source in enumerate(recipe.sample.sources)}
    return {"sample": recipe.sample.engine, "evaluate": recipe.evaluate.engine} | sources


def idle_gpus(device: str) -> str:
    """What to tell a user whose single process leaves GPUs idle; empty if it leaves none."""
    gpus = torch.cuda.device_count()
    if device != "cuda" or processes.number() > 1 or gpus < 2:
        return ""
    return f"one of {gpus} GPUs is used; `--processes auto` uses all of them"


def check_launch(recipe: Recipe, device: str, number: int | None = None) -> None:
    """Raises UsageError for batches that the processes (`number`, or those that there are) cannot share, for engines that spread
    their work themselves, and for sharding that cannot be had here."""
    launch, number = recipe.launch, number or processes.number()
    for section, engine in engines(recipe).items():
        if number > 1 and engine.kind in ("vllm", "ray"):
            raise UsageError(
                f"{section}.engine: {engine.kind} spreads its work itself, and {number} processes would each start one; take one "
                "process, or the engine transformers"
            )
    for name in ("sft", "align"):
        size = getattr(recipe, name).batch_size
        if size % number:
            raise UsageError(f"{name}.batch_size: {size} problems cannot be shared by {number} processes; take a multiple")
    if launch.sharding == "none":
        if launch.offload:
            raise UsageError("launch.offload: only what is sharded can wait in the CPU's memory; set launch.sharding: fsdp as well")
        return
    if device != "cuda":
        raise UsageError(f"launch.sharding: {launch.sharding} needs GPUs, and the run computes on {device}; set none")
    if number == 1:
        raise UsageError(
            f"launch.sharding: {launch.sharding} spreads the model over processes, and there is one; set launch.processes"
        )
    if launch.sharding == "zero2":
        needed("deepspeed", extra="deepspeed", purpose="launch.sharding: zero2", otherwise="set fsdp")


def needed_for(engine: EngineSection, section: str) -> None:
    """Raises UsageError where what an engine needs is not installed."""
    for kind in (engine.kind, *([engine.engine] if engine.kind == "ray" else [])):
        needed(*_MODULES[kind], extra=kind, purpose=f"{section}.engine: {kind}")


def check_engines(recipe: Recipe) -> None:
    """Raises UsageError for engines that are not installed, and for a server where several models are measured."""
    for section, engine in engines(recipe).items():
        needed_for(engine, section)
    if recipe.evaluate.engine.kind == "openai":
        raise UsageError(
            "evaluate.engine: a server has one model, and a run measures several; set vllm or transformers, and measure a served "
            "model with aftune benchmark URL TASK"
        )


def check_rl(recipe: Recipe) -> None:
    """Raises UsageError where a recipe's model cannot be trained by reinforcement learning: TRL is not installed, or is given what
    this project does not use it with."""
    needed("trl", extra="trl", purpose=f"method {recipe.rl.algorithm}")
    if recipe.sample.num_candidates < 2:
        raise UsageError(
            f"sample.num_candidates: {recipe.rl.algorithm} compares at least 2 responses to a problem, and this is "
            f"{recipe.sample.num_candidates}; raise it, or leave {recipe.rl.algorithm} out"
        )
    if processes.number() > 1:
        raise UsageError(
            f"launch.processes: {recipe.rl.algorithm} trains in one process, and there are {processes.number()}; set 1, or leave "
            f"{recipe.rl.algorithm} out"
        )
    if recipe.model.weights != "float32":
        raise UsageError(
            f"model.weights: {recipe.rl.algorithm} trains float32 weights, and this is {recipe.model.weights}; leave it out"
        )
    if recipe.adapter.kind == "qlora":
        raise UsageError(f"adapter.kind: {recipe.rl.algorithm} does not train weights in 4 bits; set lora, dora or none")


def launch_obstacle(recipe: Recipe, number: int) -> str:
    """Why this machine cannot run so many processes of a recipe, or ''."""
    try:
        check_launch(recipe, pick_device(recipe.model.device), number)
    except UsageError as error:
        return str(error)
    return ""
