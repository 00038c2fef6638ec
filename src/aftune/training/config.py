"""Settings of an alignment training run."""

import math
from dataclasses import dataclass, field
from typing import cast

import torch
from transformers import TrainingArguments

from aftune import losses
from aftune.common.errors import UsageError
from aftune.prompts.formats import PLAIN_PROMPT, STYLES, PromptFormat, Style
from aftune.training.refused import check_settings

# Options of losses, and their names here.
_OPTIONS = {
    "constraint": "constraint",
    "beta": "beta",
    "detach_boundary": "detach_boundary",
    "dpo_beta": "dpo_beta",
    "length_normalisation": "rrhf_length_normalisation",
    "eps": "pro_eps",
    "simpo_beta": "simpo_beta",
    "ipo_beta": "ipo_beta",
    "simpo_gamma": "simpo_gamma",
    "dpop_lambda": "dpop_lambda",
    "bdpo_lambda": "bdpo_lambda",
    "nca_alpha": "nca_alpha",
}
_CHOICES = {
    "prompt_style": STYLES,
    "feedback": ("binary", "ranking"),
    "sft_on": ("reference", "positives"),
    "sft_reduction": ("token_mean", "token_sum"),
    "weights": ("float32", "bfloat16", "as_given"),
    "train_sampling_strategy": ("random", "sequential", "group_by_length"),
}


@dataclass
class AlignmentConfig(TrainingArguments):
    """`transformers.TrainingArguments` and the settings of the alignment loss; batch sizes count groups, not sequences.

    loss: a name from `aftune.losses.LOSSES`: aft, rrhf, pro, dpo, ...; its options are constraint, beta (nats per token; nats for
    losses with a reference policy) and detach_boundary. dpo_beta is for dpo and all others with a reference policy but ipo,
    rrhf_length_normalisation (`response` or `padded`) for rrhf, pro_eps for pro; `simpo_*`, `ipo_*`, `dpop_*`, `bdpo_*` and `nca_*`
    for the losses of these names.
    alignment_weight, sft_weight: factors of the two losses; the paper has none, that is, 1 and 1. With alignment_weight 0,
    candidates are not computed at all, and training is plain VFT.
    reference_is_candidate: whether the reference response joins the best candidates (open in the paper).
    prompt_style: `plain`, `alpaca` or `chat` (the tokenizer's chat template), with prompt_system and prompt_instruction
    (aftune.prompts). prompt_template: the prompt in plain style, with `{question}` for the question.
    feedback: `binary` (right and wrong) or `ranking` (the ranks of the candidates).
    num_candidates: use at most this many samples of a problem, the first ones; all by default.
    sft_on: the responses of the VFT loss: `reference`, or `positives`, as in RFT: the right candidates too, de-duplicated, at most
    `max_positives` a problem.
    sft_reduction: `token_mean` over the response tokens of a step, or `token_sum`: summed over the tokens of a group, averaged over
    groups, as the official code of PRO does.
    token_budget: tokens computed forward and backward at once, prompts counted once; memory grows with it. A batch is split
    into as many passes as the budget requires, with the same gradient.
    kept_logits_gib: logits of a pass that take no more than this are kept for its backward pass, larger ones are computed again in
    it, 64 MiB at a time. With a head that is not trained (adapters), neither is necessary.
    weights: `float32` trains a bfloat16 or float16 model with float32 weights (bf16=True still computes in bfloat16): most
    updates are smaller than what the short types can hold. `bfloat16` trains a model that was loaded in bfloat16 as it is, in half
    the memory for weights and gradients, and rounds its updates at random so that small ones count on average
    (aftune.training.rounding). `as_given` changes nothing: the updates of a bfloat16 model are rounded to the nearest.
    warmup_fraction: `warmup_steps` as a share of all steps, 0 to 1. Either way the first step's learning rate is above 0.
    Settings of TrainingArguments that cannot be honoured are refused (aftune.training.refused).
    """

    output_dir: str | None = field(default="aftune-output")
    loss: str = "aft"
    constraint: str = "boundary"
    beta: float = 0.4
    detach_boundary: bool = True
    dpo_beta: float = 0.1
    rrhf_length_normalisation: str = "response"
    pro_eps: float = 0.0
    simpo_beta: float = 2.0
    simpo_gamma: float = 1.0
    ipo_beta: float = 1.0
    dpop_lambda: float = 50.0
    bdpo_lambda: float = 0.5
    nca_alpha: float = 0.0
    alignment_weight: float = 1.0
    sft_weight: float = 1.0
    reference_is_candidate: bool = True
    prompt_style: str = "plain"
    prompt_system: str | None = None
    prompt_instruction: str | None = None
    prompt_template: str = PLAIN_PROMPT
    token_budget: int = 4096
    kept_logits_gib: float = 0.5
    feedback: str = "binary"
    num_candidates: int | None = None
    sft_on: str = "reference"
    max_positives: int | None = None
    sft_reduction: str = "token_mean"
    weights: str = "float32"
    warmup_fraction: float = 0.0

    remove_unused_columns: bool = False
    ddp_find_unused_parameters: bool | None = False
    ddp_broadcast_buffers: bool | None = False  # they are the same everywhere, and processes differ in their forward passes
    report_to: str | list[str] | None = "none"
    logging_steps: float = 10
    save_strategy: str = "no"
    logging_nan_inf_filter: bool = False  # it would log a loss that is not finite as the mean of earlier steps

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False  # torch warns otherwise
        if self.token_budget < 1:
            raise UsageError(f"token_budget is {self.token_budget}, expected a positive number of tokens")
        if self.kept_logits_gib < 0:
            raise UsageError(f"kept_logits_gib is {self.kept_logits_gib}, expected 0 or more GiB")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(allowed)}")
        if not 0 <= self.warmup_fraction <= 1 or (self.warmup_fraction and self.warmup_steps):
            raise UsageError(
                f"warmup_fraction is {self.warmup_fraction}, expected a share of all steps from 0 to 1, and no warmup_steps as well"
            )
        super().__post_init__()
        check_settings(self)

    def get_warmup_steps(self, num_training_steps: int) -> int:
        """Whole steps; part of a step counts as one."""
        if self.warmup_fraction:
            return math.ceil(round(num_training_steps * self.warmup_fraction, 6))
        return cast(int, super().get_warmup_steps(num_training_steps))

    def prompt_format(self) -> PromptFormat:
        return PromptFormat(cast(Style, self.prompt_style), self.prompt_system, self.prompt_instruction)

    def alignment_loss(self) -> losses.Loss:
        """The loss with those of the options above that it has; raises UsageError for an unknown loss or a bad value."""
        known = losses.option_names(self.loss)
        return losses.build(self.loss, **{name: getattr(self, own) for name, own in _OPTIONS.items() if name in known})
