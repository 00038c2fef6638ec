"""Loading and saving policies: the bundled model, a local folder, or a name on the Hub."""

import copy
import re
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from aftune.common import hub
from aftune.common.errors import DataError, MissingFileError, UsageError
from aftune.common.wording import counted, cut_short, one_line
from aftune.models.adapters import CONFIG, has_adapter, load_adapter, recorded_base
from aftune.models.devices import pick_device
from aftune.models.four_bit import check_four_bit, exact_on_cpu, four_bit_settings
from aftune.models.precision import faster_precision, lengthen
from aftune.recipe import BUNDLED, ModelSection

# Settings, vocabularies, weights, chat templates, and code of models that bring their own.
_READ = (".json", ".jinja", ".txt", ".model", ".tiktoken", ".safetensors", ".py")
_DOCUMENT = re.compile(r"\.|readme|licen[cs]e|notice|changelog", re.IGNORECASE)


def resolve(name: str, revision: str | None = None) -> str:
    """The folder or Hub name behind a recipe's `model.name`; raises DataError for a local path that holds no model, UsageError for
    a revision of one."""
    source = _resolved(name)
    if revision is not None and Path(source).is_dir():
        raise UsageError(
            f"model.revision: is {revision!r}, but model.name {name!r} is on this machine, where a model has no revisions; "
            "leave it out, or give a name of the Hub"
        )
    return source


def _resolved(name: str) -> str:
    if name == BUNDLED:
        return str(resources.files("aftune") / "assets" / "base")
    if Path(name).is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or Path(name).exists():
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file() and not has_adapter(folder):
            raise MissingFileError(
                f"model.name: {folder} holds no model (config.json is missing); give a folder in Hugging Face format"
            )
        return str(folder)
    return name


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that loading the model or its tokenizer may read, without documents and other programs' files."""
    return sorted(
        path
        for path in (*folder.iterdir(), *folder.glob("additional_chat_templates/*"))
        if path.is_file() and path.suffix in _READ and not _DOCUMENT.match(path.name)
    )


def load_tokenizer(name: str, *, trust_remote_code: bool = False, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a model; raises DataError where there is none or it has no end-of-sequence token."""
    source = resolve(name, revision)
    folder = Path(source)
    if folder.is_dir() and not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise MissingFileError(
            f"model.name: {folder} has no tokenizer (tokenizer.json is missing); copy the tokenizer's files into it"
        )
    try:
        with hub.loading(source):
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code, revision=revision)
        tokenizer("1 + 2 = 3")  # what is wrong in its files may only show now
    except Exception as error:  # whatever the libraries do with a damaged file
        raise _not_loaded(name, revision, "tokenizer", error) from error
    if tokenizer.eos_token_id is None:
        raise DataError(
            f"model.name: the tokenizer of {name} has no end-of-sequence token; set eos_token in its tokenizer_config.json"
        )
    return tokenizer


def load_model(name: str, section: ModelSection, *, float32: bool = False, four_bit: bool = False) -> PreTrainedModel:
    """A causal language model on the requested device, in evaluation mode. A folder with an adapter gives the section's model with
    that adapter in place.

    Its weights have the section's precision (auto: what is fast on the device); with `float32` they are float32, as small updates
    are lost in bfloat16. four_bit: those of linear layers but the head are in 4 bits, the same ones with and without `float32`,
    which then decides how it computes. Raises DataError for one that cannot be loaded, UsageError for a device that is not here.
    """
    revision = section.revision if name == section.name else None
    source = resolve(name, revision)
    folder = Path(source)
    if has_adapter(folder):
        if Path(resolve(section.name)) == folder:
            base = _load_recorded(folder, section, float32=float32, four_bit=four_bit)
        else:
            base = load_model(section.name, section, float32=float32, four_bit=four_bit)
        return cast(PreTrainedModel, load_adapter(base, folder)).eval()
    device = pick_device(section.device)
    precision = faster_precision(device) if section.precision == "auto" else section.precision
    short, dtype = getattr(torch, precision), torch.float32 if float32 else getattr(torch, precision)
    quantised = {}
    if four_bit:
        check_four_bit(device)
        quantised = four_bit_settings(device, dtype)
    attention = None if section.attention == "auto" else section.attention
    try:
        with hub.loading(source):
            model, loaded = AutoModelForCausalLM.from_pretrained(
                source,
                output_loading_info=True,
                dtype=short if four_bit else dtype,
                attn_implementation=attention,
                trust_remote_code=section.trust_remote_code,
                revision=revision,
                use_safetensors=True,
                **quantised,
            )
    except Exception as error:  # whatever the libraries do with a damaged file
        raise _not_loaded(name, revision, "model", error) from error
    if missing := sorted(loaded["missing_keys"]):  # transformers makes random ones
        shown = ", ".join([*missing[:3], *(["..."] * (len(missing) > 3))])
        raise DataError(
            f"model.name: the files of {name!r} lack {counted(len(missing), 'weight')} of the model ({cut_short(shown, 300)}); "
            "get them again, or correct config.json"
        )
    if not four_bit:
        return model.to(device).eval()
    check_four_bit(device, model)
    exact_on_cpu(model)
    if float32:
        lengthen(model)
    return model.eval()


def _load_recorded(folder: Path, section: ModelSection, **options: bool) -> PreTrainedModel:
    """The base model that an adapter's folder names."""
    section = section.model_copy(update=recorded_base(folder))
    if Path(section.name).expanduser() == folder:
        raise DataError(f"{folder / CONFIG}: names itself as the base model; correct base_model_name_or_path")
    try:
        return load_model(section.name, section, **options)
    except (DataError, UsageError) as error:
        raise DataError(f"{folder / CONFIG}: its base model: {error}") from error


def load_config(name: str, *, trust_remote_code: bool = False, revision: str | None = None) -> Any | None:
    """A model's configuration, or None where it is not on this machine (nothing is downloaded). Raises DataError for one of a local
    folder that cannot be loaded."""
    source, options = resolve(name, revision), {"trust_remote_code": trust_remote_code, "revision": revision}
    try:
        return AutoConfig.from_pretrained(source, local_files_only=True, **options)
    except Exception as error:
        if (Path(source) / "config.json").is_file():
            raise _not_loaded(name, revision, "configuration", error) from error
        return None


def empty_model(config: Any, dtype: torch.dtype = torch.float32) -> Any:
    """The model that a configuration describes, without memory for its weights; raises DataError where there is no such model."""
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype)
    except Exception as error:
        raise _not_loaded(config.name_or_path, None, "configuration", error) from error


def first_layers(config: Any, number: int) -> Any:
    """The configuration with that many layers."""
    config = copy.deepcopy(config)
    text = config.get_text_config(decoder=True)
    text.num_hidden_layers = number
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:number]
    return config


def count_parameters(config: Any) -> int:
    """The number of parameters of the model that a configuration describes."""
    return int(empty_model(config).num_parameters())


def context_length(config: Any) -> int:
    """The longest sequence that a model takes, in tokens."""
    return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2**31)


def stop_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """All ids that end a response: the tokenizer's and those of the model's generation configuration. Raises DataError for what is
    not an id there."""
    return sorted({tokenizer.eos_token_id, *token_ids(model.generation_config.eos_token_id, model.name_or_path)})


def configured_stop_ids(name: str, *, trust_remote_code: bool = False, revision: str | None = None) -> list[int]:
    """The stop ids of a model's generation configuration, or of its configuration where it has none; the model is not loaded."""
    source = resolve(name, revision)
    try:
        with hub.loading(source):
            return token_ids(GenerationConfig.from_pretrained(source, revision=revision).eos_token_id, name)
    except OSError:
        config = load_config(name, trust_remote_code=trust_remote_code, revision=revision)
        return token_ids(getattr(config, "eos_token_id", None), name)


def token_ids(configured: Any, name: str) -> list[int]:
    """The ids of a setting that holds one, several or none; raises DataError for anything else. name: of the model."""
    ids = configured if isinstance(configured, list) else [] if configured is None else [configured]
    if any(not isinstance(number, int) or isinstance(number, bool) for number in ids):
        raise DataError(
            f"model.name: a token id in config.json or generation_config.json of {name!r} is {configured!r:.80}, expected a whole "
            "number or a list of them; correct it there"
        )
    return list(ids)


def _not_loaded(name: str, revision: str | None, what: str, error: Exception) -> DataError:
    """What to say instead of an error of a library; raises the error itself where memory ran out."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        raise error
    local = Path(resolve(name)).is_dir()
    offline = None if local else hub.trouble()
    model = repr(name) if revision is None else f"{name!r} at revision {revision!r}"
    if offline is not None:
        return DataError(
            f"model.name: the {what} of {model} is not on this machine, and {offline}; give a local folder or check the network"
        )
    reason = one_line(str(error))[:200] or type(error).__name__
    remedy = "correct its files or get them again" if local else "give a local folder or check the network"
    return DataError(f"model.name: the {what} of {model} could not be loaded ({reason}); {remedy}")
