"""What gradient checkpointing is called: transformers 5.23 renamed it, and vLLM needs an older version."""

from typing import Any

from transformers import TrainingArguments

SETTING = "activation_checkpointing" if hasattr(TrainingArguments, "activation_checkpointing") else "gradient_checkpointing"


def turn_on(model: Any) -> None:
    """Forward passes keep only what each layer begins with, and the rest is computed again in the backward pass."""
    getattr(model, f"{SETTING}_enable")()
