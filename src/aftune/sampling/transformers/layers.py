"""What the layers of a model attend to and keep, and whether the decoding loop can run it."""

import inspect

from transformers import PreTrainedModel

WITH_KEYS = {"full_attention", "sliding_attention", "chunked_attention"}
WITH_STATES = {"linear_attention", "conv", "hybrid"}  # layers that keep a state instead of, or beside, keys and values
WITH_NEITHER = {"mlp", "moe"}


def unsupported(model: PreTrainedModel, longest: int) -> str | None:
    """Why the loop cannot run a model on sequences of up to `longest` tokens, or None where it can."""
    config = model.config.get_text_config(decoder=True)
    kinds, by_kind = layer_kinds(model), _takes_masks_by_kind(model)
    parameters = inspect.signature(type(model).forward).parameters
    known = kinds <= WITH_KEYS | WITH_STATES | WITH_NEITHER and model._supports_default_dynamic_cache()
    if not known or (model._is_stateful and not kinds & WITH_STATES):
        return "it keeps a state that is not known here"
    if not has_only_states(model) and config._attn_implementation not in ("eager", "sdpa"):
        return f"attention {config._attn_implementation!r} does not take our own mask"
    takes_rows = "position_ids" in parameters and (model._supports_attention_backend or by_kind)
    if "logits_to_keep" not in parameters or not (takes_rows or has_only_states(model)):
        return "it does not take positions and masks for each row"
    if "chunked_attention" in kinds and (getattr(config, "attention_chunk_size", None) or longest) < longest:
        return f"its attention is in chunks shorter than {longest} tokens"
    if takes_rows and not by_kind and (kinds & WITH_STATES or (len(kinds) > 1 and attention_window(model, longest) is not None)):
        return "it does not take a mask for each kind of layer"
    if kinds & WITH_STATES and not _keeps_padding_out(model):
        return "it takes padding into its state"
    return None


def layer_kinds(model: PreTrainedModel) -> set[str]:
    """Of the model's layers; empty where all are ordinary attention."""
    return set(getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ())


def has_only_states(model: PreTrainedModel) -> bool:
    """Whether no layer of the model attends, as in Mamba: then it takes no positions, and calls its cache by another name."""
    return layer_kinds(model) == {"linear_attention"} and "cache_params" in inspect.signature(type(model).forward).parameters


def attention_window(model: PreTrainedModel, longest: int) -> int | None:
    """How many tokens, itself included, a token sees where a layer's attention slides; None where no sequence is longer."""
    config, kinds = model.config.get_text_config(decoder=True), layer_kinds(model)
    window = getattr(config, "sliding_window", None)
    in_use = "sliding_attention" in kinds or (not kinds and getattr(config, "use_sliding_window", True))
    return window if in_use and window is not None and window < longest else None


def _takes_masks_by_kind(model: PreTrainedModel) -> bool:
    """Whether the model takes a dictionary of masks by `layer_types`, as those of transformers with several kinds do."""
    return "attention_mask, dict)" in inspect.getsource(type(model.base_model).forward)


def _keeps_padding_out(model: PreTrainedModel) -> bool:
    """Whether the model's states leave out what is masked, for which transformers has a function in the model's own module."""
    return hasattr(inspect.getmodule(type(model)), "apply_mask_to_padding_states")
