"""The peers: trainers for the same groups, as they are usually written today.

Padded: `transformers.Trainer` with one row for each response, the prompt repeated in front of it, padded to the longest row of
the micro-batch, full logits, log-softmax and gather; loss as in aftune.

DPO: TRL's `DPOTrainer` on all pairs of a better and a worse response. It gets every advantage: no activation checkpointing
(TRL's default), token ids instead of texts, and the log-probabilities of its reference policy for free (zeros stand in for
them, as no time depends on their values; TRL would compute them with one more forward pass over all pairs).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments

from aftune.losses import AftLoss, LossInputs
from aftune.prompts.encoding import EncodedGroup


def pad(groups: Sequence[EncodedGroup], pad_token_id: int = 1) -> dict[str, Tensor]:
    """One row for each response; groups must have the same number of responses."""
    rows = [(group.prompt_ids, response) for group in groups for response in group.response_ids]
    num_tokens = max(len(prompt) + len(response) for prompt, response in rows)
    input_ids = torch.full((len(rows), num_tokens), pad_token_id)
    attention_mask, in_response = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor(prompt + response)
        attention_mask[row, :end] = 1
        in_response[row, len(prompt) : end] = 1
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "in_response": in_response,
        "in_sft": torch.tensor([group.in_sft for group in groups]),
        "qualities": torch.tensor([[quality or 0.0 for quality in group.qualities] for group in groups]),
        "in_alignment": torch.tensor([[quality is not None for quality in group.qualities] for group in groups]),
    }


class PaddedTrainer(Trainer):
    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Any:
        logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        logprobs = logits[:, :-1].log_softmax(-1).gather(-1, inputs["input_ids"][:, 1:, None]).squeeze(-1)
        in_response = inputs["in_response"][:, 1:]
        sums = (logprobs * in_response).sum(-1).view(inputs["qualities"].shape)
        lengths = in_response.sum(-1).view(inputs["qualities"].shape)
        sft_loss = -sums[inputs["in_sft"]].sum() / lengths[inputs["in_sft"]].sum()
        loss_inputs = LossInputs(sums / lengths, sums, inputs["qualities"], inputs["in_alignment"])
        return sft_loss + AftLoss(constraint="boundary")(loss_inputs).loss


def padded_trainer(
    model: PreTrainedModel, groups: Sequence[EncodedGroup], micro_batch: int, arguments: dict[str, Any], **kwargs: Any
) -> Trainer:
    """One optimizer step covers all groups, `micro_batch` of them at a time."""
    args = TrainingArguments(
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=-(-len(groups) // micro_batch),
        remove_unused_columns=False,
        **arguments,
    )
    return PaddedTrainer(model=model, args=args, train_dataset=list(groups), data_collator=pad, **kwargs)


def pairs(groups: Sequence[EncodedGroup]) -> list[dict[str, Any]]:
    """Every better response with every worse one of its group, in the columns that TRL makes from texts."""
    return [
        {
            "prompt_ids": group.prompt_ids,
            "chosen_ids": group.response_ids[better],
            "rejected_ids": group.response_ids[worse],
            "ref_chosen_logps": 0.0,
            "ref_rejected_logps": 0.0,
        }
        for group in groups
        for better, better_quality in enumerate(group.qualities)
        for worse, worse_quality in enumerate(group.qualities)
        if better_quality is not None and worse_quality is not None and better_quality > worse_quality
    ]


def dpo_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    groups: Sequence[EncodedGroup],
    micro_batch: int,
    arguments: dict[str, Any],
    *,
    padding_free: bool = False,
    liger: bool = False,
    **kwargs: Any,
) -> Trainer:
    """One optimizer step covers all pairs of all groups, `micro_batch` of them at a time.

    Raises RuntimeError where TRL does not do what was asked for.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    class PairTrainer(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *args: Any) -> Any:
            return dataset  # has token ids already

        def _precompute_ref_logps(self, dataset: Any, *args: Any) -> Any:
            return dataset  # has the reference policy's log-probabilities already

    rows = pairs(groups)
    config = DPOConfig(
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=-(-len(rows) // micro_batch),
        gradient_checkpointing=False,
        max_length=None,
        precompute_ref_log_probs=True,
        padding_free=padding_free,
        use_liger_kernel=liger,
        **arguments,
    )
    trainer = PairTrainer(model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, **kwargs)
    if trainer.padding_free != padding_free:
        raise RuntimeError("this version of TRL switches padding_free off and pads")
    return trainer
