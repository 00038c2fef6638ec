"""Groups of different sizes as one batch of padded tensors.

Tensor suffixes: _P problems, _G responses of a problem, _T tokens. Dimension 0 is always problems, so that nothing that
splits or gathers a batch can tear a group apart.
"""

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor

from aftune.encoding import EncodedGroup


class GroupBatch(TypedDict):
    """`input_ids` are prompts joined with responses, padded on the right; a response of length 0 is padding."""

    input_ids: Tensor  # [P, G, T] int64
    prompt_lengths: Tensor  # [P] int64, tokens
    response_lengths: Tensor  # [P, G] int64, tokens; 0 where there is no response
    in_sft: Tensor  # [P, G] bool
    in_alignment: Tensor  # [P, G] bool
    qualities: Tensor  # [P, G] float32; 0 outside the alignment loss


def collate(groups: Sequence[EncodedGroup], pad_token_id: int = 0) -> GroupBatch:
    """Pads groups to the largest number of responses and the longest sequence among them."""
    num_responses = max(len(group.response_ids) for group in groups)
    num_tokens = max(len(group.prompt_ids) + max(map(len, group.response_ids), default=0) for group in groups)
    shape = (len(groups), num_responses)
    batch = GroupBatch(
        input_ids=torch.full((*shape, num_tokens), pad_token_id),
        prompt_lengths=torch.tensor([len(group.prompt_ids) for group in groups]),
        response_lengths=torch.zeros(shape, dtype=torch.long),
        in_sft=torch.zeros(shape, dtype=torch.bool),
        in_alignment=torch.zeros(shape, dtype=torch.bool),
        qualities=torch.zeros(shape),
    )
    for p, group in enumerate(groups):
        for g, response in enumerate(group.response_ids):
            ids = group.prompt_ids + response
            batch["input_ids"][p, g, : len(ids)] = torch.tensor(ids)
            batch["response_lengths"][p, g] = len(response)
            batch["in_sft"][p, g] = group.in_sft[g]
            quality = group.qualities[g]
            if quality is not None:
                batch["in_alignment"][p, g] = True
                batch["qualities"][p, g] = quality
    return batch
