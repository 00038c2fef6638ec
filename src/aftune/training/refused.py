"""Settings of `transformers.TrainingArguments` that training on groups cannot honour: refused, never ignored."""

from typing import Any

from aftune.common.errors import UsageError
from aftune.training.optimizers import why_not

_LOSS_ONLY = "evaluation computes the loss only; give AlignmentTrainer a function `validate` for other metrics"

# Name: the only value that is honoured, and the reason.
_REFUSED: dict[str, tuple[Any, str]] = {
    "label_smoothing_factor": (0.0, "both losses use the likelihood of responses, which has no labels to smooth"),
    "neftune_noise_alpha": (None, "its noise depends on the length of a row, and a row holds several texts here"),
    "average_tokens_across_devices": (True, "losses are divided by counts over all devices"),
    "include_num_input_tokens_seen": ("no", "a batch has no input_ids of its own, so nothing would be counted"),
    "label_names": (None, "groups have no labels"),
    "length_column_name": ("length", "groups have no columns; their lengths are counted in tokens"),
    "use_cache": (False, "training never uses a cache, and a saved model keeps the setting of the one passed in"),
    "include_for_metrics": ([], _LOSS_ONLY),
    "batch_eval_metrics": (False, _LOSS_ONLY),
    "bf16_full_eval": (False, "evaluation uses the precision of training; set bf16"),
    "fp16_full_eval": (False, "evaluation uses the precision of training; set fp16"),
}
_REFUSED_ARGUMENTS = {
    "compute_loss_func": "the loss is AlignmentConfig's `loss`, or the attribute `alignment_loss`",
    "compute_metrics": _LOSS_ONLY,
    "preprocess_logits_for_metrics": _LOSS_ONLY,
}


def check_settings(args: Any) -> None:
    """Raises UsageError for a setting that would have no effect, or not the one that it promises."""
    for name, (allowed, reason) in _REFUSED.items():
        value = getattr(args, name)
        if value != allowed:
            raise UsageError(f"{name} is {value!r}: {reason}; leave it at {allowed!r}")
    if reason := why_not(args.optim.value, args.weights):
        raise UsageError(f"optim is {args.optim.value!r}: {reason}")
    if args.accelerator_config.dispatch_batches:
        raise UsageError("accelerator_config.dispatch_batches would split groups; leave it out")


def check_arguments(arguments: dict[str, Any]) -> None:
    """Raises UsageError for an argument of `transformers.Trainer` that would have no effect."""
    for name, reason in _REFUSED_ARGUMENTS.items():
        if arguments.get(name) is not None:
            raise UsageError(f"AlignmentTrainer takes no {name}: {reason}")
