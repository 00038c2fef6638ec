"""Optimizers by name, those of transformers: which of them can be used here."""

import difflib
from importlib import import_module
from typing import Any

import torch
from transformers.training_args import OptimizerNames

from aftune.common.errors import UsageError

DEFAULT = "adamw"
# What the state of these holds beside tensors: a class of tensors and numbers, which torch reads from a checkpoint if it is named.
_PROJECTIONS = {
    "galore": ("galore_torch.galore_projector", "GaLoreProjector"),
    "apollo": ("apollo_torch.random_projector", "GradientProjector"),
}
_WIDTH = 128  # of a layer that is large enough for every optimizer to treat as it treats real ones


def optimizer_settings(name: str) -> dict[str, Any]:
    """The settings of `TrainingArguments` for an optimizer; GaLore and APOLLO take all linear layers."""
    if name == DEFAULT:
        return {}
    return {"optim": name} | ({"optim_target_modules": "all-linear"} if name.startswith(tuple(_PROJECTIONS)) else {})


def allow_projections(name: str) -> None:
    """Lets a run that uses GaLore or APOLLO continue from a checkpoint."""
    for prefix, (module, kind) in _PROJECTIONS.items():
        if name.startswith(prefix):
            torch.serialization.add_safe_globals([getattr(import_module(module), kind)])


def why_not(name: str, weights: str) -> str:
    """Why training on groups cannot use an optimizer of transformers, with weights of this type; '' if it can."""
    if "lomo" in name or name.endswith("_layerwise"):
        return "it changes weights within each backward pass, and a step has several here; take another one, such as adafactor"
    if name == "grokadamw":
        return "its checkpoints lack its state, so that an interrupted run would end otherwise; take another one, such as adamw"
    if weights == "bfloat16" and name.startswith(("schedule_free", "stable_adamw", "adamw_torch_4bit", "adamw_torch_8bit")):
        return "it cannot round the updates of bfloat16 weights at random; take another one, such as adamw_8bit, or float32 weights"
    return ""


def check_optimizer_name(key: str, name: str, weights: str = "float32") -> None:
    """Raises UsageError, which starts with `key`, for a name that is neither `adamw` nor known to transformers, and for an
    optimizer that cannot train on groups, or not with such weights."""
    known = [DEFAULT, *(optimizer.value for optimizer in OptimizerNames)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known
        raise UsageError(f"{key} is {name!r}, expected {DEFAULT} or an optimizer of transformers, such as {', '.join(near)}")
    if reason := why_not(name, weights):
        raise UsageError(f"{key} is {name!r}: {reason}")


def check_optimizer(key: str, name: str, device: str, weights: str = "float32") -> None:
    """Raises UsageError, which starts with `key`, as `check_optimizer_name` does, and for an optimizer that cannot be used, as a
    package or a device is not here: it is tried on a small layer."""
    check_optimizer_name(key, name, weights)
    if name == DEFAULT:
        return
    try:
        _try(name, device)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{key} is {name!r}, which does not work here ({reason}); take another one, such as adafactor") from error


def _try(name: str, device: str) -> None:
    from transformers import Trainer, TrainingArguments

    layer = torch.nn.Sequential(torch.nn.Linear(_WIDTH, _WIDTH, bias=False, device=device))
    args = TrainingArguments(use_cpu=device == "cpu", **optimizer_settings(name))
    kind, settings = Trainer.get_optimizer_cls_and_kwargs(args, layer)
    optimizer = kind(settings.pop("params", None) or list(layer.parameters()), **settings)
    if hasattr(optimizer, "train"):  # schedule-free ones want to be told
        optimizer.train()
    layer(torch.ones(1, _WIDTH, device=device)).sum().backward()
    optimizer.step()
