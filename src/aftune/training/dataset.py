"""The groups of a training run: encoded when they are asked for, in an order that shows at once whether they fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from aftune.encoding import EncodedGroup, check_lengths
from aftune.seeds import derive_seed


class EncodedGroups(Dataset[EncodedGroup]):
    """A sequence of encoded groups that holds none of them, made from anything that can be encoded.

    `num_tokens[i]`: of group i, the prompt counted once. `reference_logprobs[i]`: of group i, as many as it has responses or
    more. Raises DataError for a group that does not fit the context.
    """

    def __init__(self, sources: Sequence[Any], encode: Callable[[Any], EncodedGroup], context: int) -> None:
        self._sources = sources
        self._encode = encode
        self.reference_logprobs: Sequence[list[float]] | None = None
        self.num_tokens: list[int] = []
        for group in self:
            check_lengths(group, context)
            self.num_tokens.append(group.num_tokens)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> EncodedGroup:
        group = self._encoded(self._sources[index])
        if self.reference_logprobs is None:
            return group
        return replace(group, reference_logprobs=list(self.reference_logprobs[index][: len(group.response_ids)]))

    def __iter__(self) -> Iterator[EncodedGroup]:
        return map(self._encoded, self._sources)

    def _encoded(self, source: Any) -> EncodedGroup:
        return source if isinstance(source, EncodedGroup) else self._encode(source)


class LongestFirst(Sampler[int]):
    """Every group once an epoch, in an order that follows from seed and epoch. The group with the most tokens changes places
    with the first one, so that what does not fit the memory shows in the first step.

    grouped: batches of so many groups are of like length.
    """

    def __init__(self, num_tokens: Sequence[int], seed: int, grouped: int | None = None) -> None:
        self.num_tokens = num_tokens
        self.seed = seed
        self.grouped = grouped
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.num_tokens)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", self.epoch))
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        if self.grouped and order:
            order = get_length_grouped_indices(self.num_tokens, self.grouped, generator=generator)
        place = max(range(len(order)), key=lambda i: self.num_tokens[order[i]], default=0)
        if order:
            order[0], order[place] = order[place], order[0]
        return iter(order)
