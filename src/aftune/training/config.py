"""Settings of an alignment training run."""

from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

from aftune import losses
from aftune.errors import UsageError
from aftune.prompts import PLAIN_PROMPT

# Options of losses, and their names here.
_OPTIONS = {
    "constraint": "constraint",
    "beta": "beta",
    "detach_boundary": "detach_boundary",
    "dpo_beta": "dpo_beta",
    "length_normalisation": "rrhf_length_normalisation",
    "eps": "pro_eps",
}
_CHOICES = {
    "feedback": ("binary", "ranking"),
    "sft_on": ("reference", "positives"),
    "sft_reduction": ("token_mean", "token_sum"),
}


@dataclass
class AlignmentConfig(TrainingArguments):
    """`transformers.TrainingArguments` and the alignment loss; batch sizes count groups, not sequences.

    loss: a name from `aftune.losses`: aft, rrhf, pro or dpo; its options are constraint, beta (nats per token; nats for dpo) and
    detach_boundary. dpo_beta is of dpo only, rrhf_length_normalisation (`response` or `padded`) and pro_eps of those.
    alignment_weight, sft_weight: factors of the two losses; the paper has none, that is 1 and 1. With alignment_weight 0
    candidates are not computed at all, and training is plain VFT.
    reference_is_candidate: whether the reference response joins the best candidates (open in the paper).
    prompt_template: how a question is asked, `{question}` stands for it.
    feedback: `binary` (right and wrong) or `ranking` (the ranks of the candidates).
    num_candidates: at most the first so many samples of a problem; all by default.
    sft_on: the responses of the VFT loss: `reference`, or `positives` for RFT: the right candidates too, de-duplicated, at most
    `max_positives` a problem.
    sft_reduction: `token_mean` over the response tokens of a step, or `token_sum`: summed over the tokens of a group, averaged over
    groups, as the official code of PRO does.
    token_budget: tokens computed forward and backward at once, prompts counted once; memory grows with it. A batch is split
    into as many passes as it asks for, with the same gradient.
    """

    output_dir: str | None = field(default="aftune-output")
    loss: str = "aft"
    constraint: str = "boundary"
    beta: float = 0.15
    detach_boundary: bool = True
    dpo_beta: float = 0.1
    rrhf_length_normalisation: str = "response"
    pro_eps: float = 0.0
    alignment_weight: float = 1.0
    sft_weight: float = 1.0
    reference_is_candidate: bool = True
    prompt_template: str = PLAIN_PROMPT
    token_budget: int = 4096
    feedback: str = "binary"
    num_candidates: int | None = None
    sft_on: str = "reference"
    max_positives: int | None = None
    sft_reduction: str = "token_mean"

    remove_unused_columns: bool = False
    ddp_find_unused_parameters: bool | None = False
    report_to: str | list[str] | None = "none"
    logging_steps: float = 10
    save_strategy: str = "no"

    def __post_init__(self) -> None:
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False  # torch warns otherwise
        if self.token_budget < 1:
            raise UsageError(f"token_budget is {self.token_budget}, expected a positive number of tokens")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} is {getattr(self, name)!r}, expected {' or '.join(allowed)}")
        super().__post_init__()

    def alignment_loss(self) -> losses.Loss:
        """The loss with those of the options above that it has; raises UsageError for an unknown name or a wrong value."""
        known = losses.option_names(self.loss)
        return losses.build(self.loss, **{name: getattr(self, own) for name, own in _OPTIONS.items() if name in known})
