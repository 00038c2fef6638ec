"""Trains in as many processes as `main` is called in, one training after the other.

Its specification is a JSON file: `model` and `tokenizer` (folders), `common` and `trainings` (settings of AlignmentConfig, for all
and by name; beside them `num_groups`, `resume`, a checkpoint, and `adapter`). With FSDP, accelerate is told that it may shard on
CPUs. The first process writes the weights and the log of each training beside the file, after all have compared their weights.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.models.adapters import add_adapter
from aftune.pipeline import processes
from aftune.recipe import AdapterSection
from sharding_on_cpus import shard_on_cpus
from small_groups import made_groups


def train(specification: dict[str, Any], folder: Path, name: str) -> None:
    settings = {**specification["common"], **specification["trainings"][name]}
    groups = made_groups(settings.pop("num_groups", 16))
    resume = settings.pop("resume", None)
    adapter = settings.pop("adapter", None)
    dtype = torch.bfloat16 if settings.get("weights") == "bfloat16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(specification["model"], dtype=dtype)
    torch.manual_seed(0)
    trainer = AlignmentTrainer(
        model if adapter is None else add_adapter(model, AdapterSection(**adapter)),
        AlignmentConfig(output_dir=str(folder / name), **{"beta": 0.15, **settings}),
        groups,
        AutoTokenizer.from_pretrained(specification["tokenizer"]),
    )
    trainer.train(resume_from_checkpoint=resume)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if processes.number() > 1 and not trainer.args.fsdp:
        for key, weight in model.named_parameters():
            first = weight.detach().clone()
            torch.distributed.broadcast(first, 0)
            assert torch.equal(weight, first), f"{name}: {key} is another one in process {processes.rank()}"
    if trainer.is_world_process_zero():
        save_file({key: value.clone() for key, value in weights.items()}, folder / f"{name}.safetensors")
        (folder / f"{name}.json").write_text(json.dumps(trainer.state.log_history))


def main(path: Path, variables: dict[str, str]) -> None:
    """path: of the specification. variables: what a launcher tells this process."""
    os.environ.update(variables, DS_ACCELERATOR="cpu")
    wanted = json.loads(path.read_text())
    torch.set_num_threads(1)
    shard_on_cpus()
    for training in wanted["trainings"]:
        train(wanted, path.parent, training)
    if processes.number() > 1:
        torch.distributed.barrier()
        processes.end(0)
