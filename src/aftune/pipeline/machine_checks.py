"""Whether the processes of a run fit the machine and the recipe, told before anything is computed."""

import importlib.util
import os

import torch

from aftune.common.errors import UsageError
from aftune.pipeline import processes
from aftune.recipe import Recipe


def check_gpus(device: str) -> None:
    """Raises UsageError for more processes on this machine than it has GPUs, where the run computes on them."""
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", processes.number())), torch.cuda.device_count()
    if device == "cuda" and here > gpus:
        raise UsageError(f"processes: {here} on a machine with {gpus} GPU{'s'[: gpus != 1]}; start one for each (--processes auto)")


def idle_gpus(device: str) -> str:
    """What to tell a user whose single process leaves GPUs idle; empty if it leaves none."""
    gpus = torch.cuda.device_count()
    if device != "cuda" or processes.number() > 1 or gpus < 2:
        return ""
    return f"one of {gpus} GPUs is used; `--processes auto` uses all of them"


def check_launch(recipe: Recipe, device: str) -> None:
    """Raises UsageError for batches that the processes cannot share, and for sharding that cannot be had here."""
    launch, number = recipe.launch, processes.number()
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
    if launch.sharding == "zero2" and importlib.util.find_spec("deepspeed") is None:
        raise UsageError("launch.sharding: zero2 needs DeepSpeed; pip install 'aftune[deepspeed]', or set fsdp")
