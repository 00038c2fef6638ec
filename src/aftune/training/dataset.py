"""The groups of a training run: encoded on demand, in an order that shows at once whether they fit in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

from aftune.common.errors import DataError
from aftune.common.seeds import derive_seed
from aftune.prompts.encoding import EncodedGroup, check_lengths
from aftune.records import GroupLogprobs
from aftune.training.reference_logprobs import from_list, matched


class Encoded(Sequence[EncodedGroup]):
    """Sources that are encoded on demand."""

    def __init__(self, sources: Sequence[Any], encode: Callable[[Any], EncodedGroup]) -> None:
        self._sources = sources
        self._encode = encode

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: Any) -> Any:
        return self._encode(self._sources[index])

    def __iter__(self) -> Iterator[EncodedGroup]:
        return map(self._encode, self._sources)


class EncodedGroups(Dataset[EncodedGroup]):
    """The data set of a trainer: groups, encoded on demand, and the reference policy's log-probabilities of their responses.

    `num_tokens[i]`: tokens of group i, the prompt counted once. Raises DataError for a group that does not fit the context.
    """

    def __init__(self, sources: Sequence[Any], encode: Callable[[Any], EncodedGroup], context: int) -> None:
        self._sources = sources
        self._encode = encode
        self._reference_logprobs: Sequence[GroupLogprobs | Sequence[float]] | None = None
        self.num_tokens: list[int] = []
        for group in self:
            check_lengths(group, context)
            self.num_tokens.append(group.num_tokens)

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: int) -> EncodedGroup:
        return self._with_reference(index)

    def _with_reference(self, index: int) -> EncodedGroup:
        """A group with the reference policy's log-probabilities of its responses, where those were given."""
        source = self._sources[index]
        group = self._encoded(source)
        if self._reference_logprobs is None:
            return group
        given = self._reference_logprobs[index]
        if not isinstance(given, GroupLogprobs):
            given = from_list(given, source, group)
        return replace(group, reference_logprobs=[given.sums[place] for place in matched(group, given)])

    def set_reference(self, given: Sequence[GroupLogprobs | Sequence[float]]) -> None:
        """Gives every group the log-probabilities of its responses under the reference policy: `given[i]` is for group i.

        Raises DataError where they do not belong to the groups, see `aftune.training.reference_logprobs`.
        """
        if len(given) != len(self):
            raise DataError(
                f"reference_logprobs: {len(given)} given, {len(self)} expected; give one entry for each group, in their order"
            )
        self._reference_logprobs = given
        for index in range(len(self)):
            self._with_reference(index)

    def __iter__(self) -> Iterator[EncodedGroup]:
        return map(self._encoded, self._sources)

    def _encoded(self, source: Any) -> EncodedGroup:
        return source if isinstance(source, EncodedGroup) else self._encode(source)


class LongestFirst(Sampler[int]):
    """Every group once per epoch, in an order that follows from seed and epoch. The group with the most tokens changes places
    with the first one, so that what does not fit in memory shows in the first step.

    grouped: batches of this many groups have similar lengths.
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
