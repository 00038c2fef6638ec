"""Adapters (PEFT): a few weights that are trained while the model's own stay as they are."""

import difflib
import warnings
from pathlib import Path
from typing import Any

import torch

from aftune.common.errors import DataError, UsageError
from aftune.common.extras import needed
from aftune.common.json_text import read_json
from aftune.common.wording import one_line
from aftune.models.four_bit import is_four_bit
from aftune.recipe import AdapterSection

CONFIG = "adapter_config.json"  # what a folder with an adapter has


def _peft() -> Any:
    needed("peft", extra="peft", purpose="adapter.kind: an adapter", otherwise="set none")
    import peft

    return peft


def add_adapter(model: Any, section: AdapterSection, folder: Path | None = None, revision: str | None = None) -> Any:
    """The model with an adapter to train, a `peft.PeftModel`: the one in the folder, or a new one that changes nothing yet and
    records this revision of the model.

    Raises UsageError where PEFT is missing, and for targets that the model does not have. PEFT's `prepare_model_for_kbit_training`
    is not for us: it makes what is not in 4 bits float32, which costs memory and is otherwise as `model.precision` says, freezes
    what get_peft_model freezes, and turns on gradient checkpointing, which is a setting of its own.
    """
    peft = _peft()
    if folder is not None:
        return _in_place(model, folder, is_trainable=True)
    targets: Any = None if section.targets == "auto" else section.targets
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=section.rank,
        lora_alpha=section.alpha,
        lora_dropout=section.dropout,
        target_modules=targets,
        modules_to_save=list(section.modules_to_save) or None,
        use_dora=section.kind == "dora",
    )
    check_targets(model, section)
    try:
        return peft.get_peft_model(model, config, revision=revision)
    except ValueError as error:
        raise UsageError(f"adapter.targets: {str(error).splitlines()[0]}; name layers of the model, or use all-linear") from error


def check_targets(model: Any, section: AdapterSection) -> None:
    """Raises UsageError for a name in `targets` or `modules_to_save` that no layer of the model has, and for layers in 4 bits that
    are to be trained whole."""
    names = [name for name, _ in model.named_modules() if name]
    last = sorted({name.rpartition(".")[2] for name in names if not name.rpartition(".")[2].isdigit()})
    for key in ("targets", "modules_to_save"):
        given = getattr(section, key)
        for name in given if isinstance(given, list) else ():
            if not any(known == name or known.endswith(f".{name}") for known in names):
                near = difflib.get_close_matches(name, last, n=3, cutoff=0.4)
                known_names = f"the nearest are {', '.join(near)}" if near else f"it has {', '.join(last)}"
                raise UsageError(f"adapter.{key}: the model has no layer {name!r}; {known_names}")
    for name, layer in model.named_modules():
        whole = any(name == saved or name.endswith(f".{saved}") for saved in section.modules_to_save)
        if whole and any(is_four_bit(inner) for inner in layer.modules()):
            raise UsageError(f"adapter.modules_to_save: {name} is in 4 bits, which cannot be trained whole; put it into targets")


def check_adapter(section: AdapterSection) -> None:
    """Raises UsageError for an adapter that cannot be trained here, as PEFT is missing."""
    if section.kind != "none":
        _peft()


def count_adapted(model: Any, section: AdapterSection) -> int:
    """Weights that are trained with a new adapter in an empty model; no memory is taken for them."""
    with torch.device("meta"):
        adapted = add_adapter(model, section)
    return sum(weight.numel() for weight in adapted.parameters() if weight.requires_grad)


def has_adapter(folder: Path) -> bool:
    """Whether a model folder holds an adapter instead of a whole model."""
    return (folder / CONFIG).is_file()


def recorded_base(folder: Path) -> dict[str, str | None]:
    """Name and revision of the base model that an adapter folder names; raises DataError where it names none."""
    config = read_json(folder / CONFIG)
    name, revision = (config.get(key) if isinstance(config, dict) else None for key in ("base_model_name_or_path", "revision"))
    if not name or not isinstance(name, str) or not isinstance(revision, str | None):
        raise DataError(f"{folder / CONFIG}: names no base model; set base_model_name_or_path")
    return {"name": name, "revision": revision}


def load_adapter(model: Any, folder: Path) -> Any:
    """A base model with the adapter of a folder in place, for sampling and scoring: still a transformers model. Raises DataError
    for files that are damaged or lack weights."""
    return _in_place(model, folder).get_base_model()


def _in_place(model: Any, folder: Path, **options: Any) -> Any:
    peft = _peft()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*missing adapter keys", UserWarning)  # it makes new ones, which change nothing
            return peft.PeftModel.from_pretrained(model, folder, **options)
    except Exception as error:  # whatever the libraries do with a damaged file
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise
        reason = one_line(str(error))[:200] or type(error).__name__
        raise DataError(f"{folder}: the adapter could not be loaded ({reason}); correct its files or get them again") from error


def merged(model: Any) -> Any:
    """A plain model with the adapter merged in, computed in float32: a small adapter would be rounded away in bfloat16."""
    return model.to(torch.float32).merge_and_unload()


def base_of(model: Any) -> Any:
    """The transformers model below an adapter, with the adapter in place; a model without one as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
