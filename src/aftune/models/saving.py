"""Model folders that any transformers program can load: the type of their weights, and writing them whole or not at all."""

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from transformers import PreTrainedTokenizerBase

from aftune.common import durable
from aftune.models.loading import load_config, resolve
from aftune.models.precision import SHORT
from aftune.recipe import ModelSection


def save_policy(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Writes safetensors and the tokenizer to a folder that any transformers program can load."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    durable.rename(partial, folder)


def saved_dtype(section: ModelSection) -> torch.dtype:
    """The type of the weights that a run saves: the recipe's, or that of the base model (float32 unless it is a 16-bit type)."""
    if section.save_dtype != "auto":
        return cast(torch.dtype, getattr(torch, section.save_dtype))
    config = load_config(section.name, **section.load_options)
    dtype = getattr(config, "dtype", None) or _dtype_of_files(Path(resolve(section.name)))
    return dtype if dtype in SHORT else torch.float32


def _dtype_of_files(folder: Path) -> torch.dtype | None:
    """The type of the first weight in a local folder; None where there is none."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - a file, not a dictionary
                return cast(torch.dtype, weights.get_tensor(name).dtype)
    return None
