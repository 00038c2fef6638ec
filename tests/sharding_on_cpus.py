"""FSDP without a GPU, for tests."""

import os
from typing import Any

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType


def shard_on_cpus() -> None:
    """accelerate takes FSDP for GPUs only, though torch shards on CPUs as well."""
    made = AcceleratorState.__init__

    def make(self: Any, *args: Any, fsdp_plugin: Any = None, **options: Any) -> None:
        made(self, *args, fsdp_plugin=fsdp_plugin, **options)
        if fsdp_plugin is not None:
            self.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = make
    if "WORLD_SIZE" in os.environ and torch.accelerator.device_count() == 0:
        PartialState._prepare_backend = lambda self, *args: ("gloo", DistributedType.MULTI_CPU)


def allow_sharding_on_cpus() -> None:
    """For whole runs, which refuse it before they begin."""
    from aftune.pipeline import runner

    shard_on_cpus()
    check = runner.check_launch
    runner.check_launch = lambda recipe, device: check(recipe, "cuda")
