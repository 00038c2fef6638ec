"""Model folders that any transformers program can load: the type of their weights, and writing them whole or not at all."""

import shutil
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from transformers import GenerationConfig, PreTrainedTokenizerBase
from transformers.utils import CHAT_TEMPLATE_FILE

from aftune.common import durable
from aftune.models.loading import load_config, resolve
from aftune.models.precision import SHORT
from aftune.recipe import ModelSection


def save_policy(
    model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path, *, max_new_tokens: int, chat_template: str | None = None
) -> None:
    """Writes safetensors and the tokenizer to a folder that any transformers program can load.

    `generate` then answers as evaluation does: greedy, with at most `max_new_tokens`. chat_template: takes the place of the
    tokenizer's own.
    """
    before = model.generation_config
    ends = {name: getattr(before, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=max_new_tokens, **ends)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if chat_template is not None:
        (partial / CHAT_TEMPLATE_FILE).write_text(chat_template, encoding="utf-8")
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
