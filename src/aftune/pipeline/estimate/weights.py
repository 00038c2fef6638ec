"""How many weights a model has, of which kind, and how many bytes they take."""

import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LlamaConfig

from aftune.models.adapters import count_adapted
from aftune.models.loading import count_parameters, empty_model, load_config
from aftune.recipe import AdapterSection, Recipe

# A weight of each type. NF4 has 4 bits, for 64 weights a scale of 8 bits, and for 256 scales one of 32 bits.
WEIGHT_BYTES = {"float32": 4.0, "bfloat16": 2.0, "nf4": 0.5 + 1 / 64 + 4 / (64 * 256)}
# Optimizer state for each weight that is trained, by the beginning of the optimizer's name; the first that fits. Those not listed
# are counted as AdamW, which has two moments as large as the weight.
_STATE_VALUES = {"adafactor": 0.0, "sgd": 0.0, "ademamix": 3.0, "lion": 1.0, "paged_lion": 1.0, "paged_ademamix": 3.0}
_STATE_VALUES |= {"adagrad": 1.0, "rmsprop": 1.0}


@dataclass(frozen=True)
class Weights:
    """Numbers of weights: all of the model; those that a token is multiplied by (an embedding that the head does not share is only
    looked up); those of linear layers but the head; of the largest linear layer; of a layer of the model; and those that are
    trained with an adapter (0 for none), which the others leave out. cached: keys and values of a token."""

    total: float
    products: float
    linear: float
    largest: float
    layer: float
    adapted: float
    num_layers: int
    cached: float

    def size(self, dtype: str, *, four_bit: bool = False) -> float:
        """Bytes of the model, without an adapter. four_bit: with its linear layers in 4 bits."""
        short = self.linear if four_bit else 0.0
        return WEIGHT_BYTES["nf4"] * short + WEIGHT_BYTES[dtype] * (self.total - short)


def num_parameters(recipe: Recipe) -> float | None:
    """Parameters of the base model, from its configuration if it is here, else from its name (`...-1.5B`), else None."""
    section = recipe.model
    config = load_config(section.name, **section.load_options)
    return named_size(section.name) if config is None else float(count_parameters(config))


def named_size(name: str) -> float | None:
    """Parameters as a name tells them (`...-1.5B`), or None."""
    match = re.search(r"(\d+(?:\.\d+)?)\s*([bBmM])(?![a-zA-Z])", name)
    return float(match[1]) * (1e9 if match[2] in "bB" else 1e6) if match else None


def model_config(recipe: Recipe) -> tuple[Any, bool] | None:
    """The model's configuration, and whether it is the model's own: a Llama of the size in its name stands in for one that is not
    here. None where the name tells no size."""
    section = recipe.model
    config = load_config(section.name, **section.load_options)
    if config is not None:
        return config, True
    size = named_size(section.name)
    return None if size is None else (_llama(size), False)


def _llama(size: float) -> LlamaConfig:
    """A Llama of about that size, in the proportions of LLaMA: 128 more wide for each layer, which then has 12 x width^2
    weights."""
    layers = max(1, round((size / 12 / 128**2) ** (1 / 3)))
    width = 128 * layers
    inner = round(width * 8 / 3 / 256) * 256
    return LlamaConfig(hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=layers)


def count_weights(config: Any, adapter: AdapterSection) -> Weights:
    """Counts the weights of a configuration's model. Raises UsageError for an adapter that does not fit it."""
    model, text = empty_model(config), config.get_text_config(decoder=True)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    linear = [layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    total, looked_up = float(model.num_parameters()), float(embedding.weight.numel())
    shared = head is None or head.weight is embedding.weight
    own_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Weights(
        total=total,
        products=total - (0.0 if shared else looked_up),
        linear=float(sum(linear)),
        largest=float(max(linear, default=0)),
        layer=(total - looked_up * (1 if shared else 2)) / text.num_hidden_layers,
        adapted=float(count_adapted(model, in_full(adapter))) if adapter.kind != "none" else 0.0,
        num_layers=text.num_hidden_layers,
        cached=float(2 * text.num_hidden_layers * own_heads * width),
    )


def in_full(adapter: AdapterSection) -> AdapterSection:
    """The adapter of qlora on weights that are not in 4 bits, which computes the same things: lora."""
    return adapter.model_copy(update={"kind": "lora"}) if adapter.kind == "qlora" else adapter


def state_bytes(optimizer: str) -> float:
    """Bytes of optimizer state for each weight that is trained; it is in float32, for bfloat16 weights too."""
    name = optimizer.lower()
    values = next((number for start, number in _STATE_VALUES.items() if name.startswith(start)), 2.0)
    return values * (1.0 if "8bit" in name else 0.5 if "4bit" in name else WEIGHT_BYTES["float32"])
