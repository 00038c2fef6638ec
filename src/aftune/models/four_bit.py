"""Frozen weights in 4 bits (QLoRA, Dettmers et al. 2023, arXiv 2305.14314), through bitsandbytes: NF4, its scales quantised too."""

from typing import Any

import torch

from aftune.common.errors import UsageError
from aftune.common.extras import needed

_DEVICES = ("cuda", "cpu")
_BLOCK = 64  # weights that share a scale


def check_four_bit(device: str, model: Any | None = None) -> None:
    """Raises UsageError where bitsandbytes is missing, or cannot compute on a device, or not with the layers of a model there (an
    empty one will do)."""
    needed("bitsandbytes", extra="qlora", purpose="adapter.kind: qlora", otherwise="use lora")
    if device not in _DEVICES:
        raise UsageError(f"adapter.kind: qlora needs a CUDA GPU, or (slowly) a CPU, and model.device is {device}; use lora")
    if device == "cpu" and model is not None:
        # The scales of a block that goes over the end of a row are mixed up there (bitsandbytes 0.50).
        head = model.get_output_embeddings()
        for name, layer in model.named_modules():
            if isinstance(layer, torch.nn.Linear) and layer is not head and layer.in_features % _BLOCK:
                raise UsageError(
                    f"adapter.kind: qlora on a CPU needs layers whose inputs are a multiple of {_BLOCK}, and {name} has "
                    f"{layer.in_features}; use a CUDA GPU, or lora"
                )


def four_bit_settings(device: str, dtype: torch.dtype) -> dict[str, Any]:
    """Arguments of `from_pretrained` for a model on a device whose products are computed in `dtype`."""
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    place = torch.cuda.current_device() if device == "cuda" else device
    return {"quantization_config": settings, "device_map": {"": place}}


def exact_on_cpu(model: Any) -> None:
    """Keeps bitsandbytes from repacking the weights of a 4-bit model for processors with AVX-512 whenever they are used without a
    gradient: it rounds the scales once more each time, so weights that are frozen would change."""
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def is_four_bit(module: Any) -> bool:
    """Whether a module's own weights are in 4 bits."""
    return any(type(weight).__name__ == "Params4bit" for weight in module.parameters(recurse=False))
