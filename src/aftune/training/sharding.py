"""Training with weights, gradients and optimizer state spread over several processes (FSDP2, or ZeRO-2 of DeepSpeed, through
accelerate).

A process that computes a layer collects its weights from all others, so all of them must do the same number of forward and
backward passes at the same time. Groups differ in length, and processes in their numbers of passes and rows: the shorter ones are
filled up with rows of a single token that nothing is computed from.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import torch
from accelerate.utils import gather_object

from aftune.common.errors import UsageError
from aftune.models.kernels.shared_prefix import Segment
from aftune.scoring.batches import Batch, Pass, Row

# Rows of a pass: those with gradients, and those without.
_Shape = tuple[int, int]


def sharding_arguments(kind: str, *, offload: bool) -> dict[str, Any]:
    """Settings of `transformers.TrainingArguments` for a recipe's `launch.sharding` and `launch.offload`."""
    if kind == "none":
        return {}
    if kind == "zero2":
        zero = {"stage": 2, "offload_optimizer": {"device": "cpu" if offload else "none"}}
        as_trainer = dict.fromkeys(("train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping"), "auto")
        return {"deepspeed": {"zero_optimization": zero, "bf16": {"enabled": "auto"}, **as_trainer}}
    return {"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT", "cpu_offload": offload}}


def check_sharded(args: Any, accelerator: Any) -> None:
    """Raises UsageError where sharding was asked for and accelerate gives something else."""
    kind, wanted = accelerator.distributed_type.value, "FSDP" if args.fsdp else "DEEPSPEED"
    if kind != wanted:
        raise UsageError(
            f"{wanted} was asked for, and accelerate gave {kind} on {accelerator.device.type}: "
            "it shards on two or more GPUs, with a process each; leave it out"
        )


def even_passes(batches: list[Batch], *, shared_prefix: bool) -> None:
    """Adds empty passes and rows to the batches of this process, so that all processes have as many of each kind. Every process
    must call it at once, with as many batches. shared_prefix: whether rows have segments."""
    own = [[_shape(part) for part in batch["passes"]] for batch in batches]
    everywhere: list[list[list[_Shape]]] = gather_object([own])
    for batch, shapes in zip(batches, zip(*everywhere, strict=True), strict=True):
        # Of each pass, the most rows of either kind that a process has.
        wanted = [tuple(map(max, zip(*of_pass, strict=True))) for of_pass in zip_longest(*shapes, fillvalue=(0, 0))]
        batch["passes"] += [_empty_pass() for _ in wanted[len(batch["passes"]) :]]
        for part, (num_with, num_without) in zip(batch["passes"], wanted, strict=True):
            have_with, have_without = _shape(part)
            part["rows"] += [_empty_row(shared_prefix, needs_gradient=True) for _ in range(num_with - have_with)]
            part["rows"] += [_empty_row(shared_prefix, needs_gradient=False) for _ in range(num_without - have_without)]
            part["rows"].sort(key=lambda row: not row["needs_gradient"])


def _shape(part: Pass) -> _Shape:
    num_with = sum(row["needs_gradient"] for row in part["rows"])
    return num_with, len(part["rows"]) - num_with


def _empty_pass() -> Pass:
    """A pass of one group without responses."""
    nothing = torch.zeros((1, 1))
    return Pass(
        response_lengths=nothing.long(),
        padded_lengths=torch.ones(1, dtype=torch.long),
        in_sft=nothing.bool(),
        in_alignment=nothing.bool(),
        qualities=nothing,
        reference_logprob_sums=nothing,
        rows=[],
    )


def _empty_row(shared_prefix: bool, *, needs_gradient: bool) -> Row:
    """One token and no response."""
    none = torch.zeros(0, dtype=torch.long)
    return Row(
        input_ids=torch.zeros((1, 1), dtype=torch.long),
        position_ids=torch.zeros((1, 1), dtype=torch.long),
        attention_mask=None,
        segments=[Segment(0, 1, ())] if shared_prefix else None,
        predictors_M=none,
        targets_M=none,
        places_N_L=none.view(0, 1),
        responses_N=none,
        num_tokens=0,
        needs_gradient=needs_gradient,
    )


@contextmanager
def whole(model: Any) -> Iterator[None]:
    """Within the block every process has the whole model, and uses it alone; no effect on a model that is not sharded."""
    from torch.distributed.fsdp import FSDPModule

    sharded = [module for module in model.modules() if isinstance(module, FSDPModule)]
    for module in sharded:
        module.set_reshard_after_forward(False, recurse=False)
        module.unshard()
    try:
        yield
    finally:
        for module in sharded:
            module.reshard()
            module.set_reshard_after_forward(True, recurse=False)


def unsharded(trainer: Any, load: Callable[[], Any]) -> Any:
    """The trained model as a plain one: `load` makes the model that training started from, which takes its weights. Every process
    must call it; the first gets the model, the others None."""
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return None
    model = load()
    model.load_state_dict(weights)
    return model
