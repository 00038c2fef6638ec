"""Groups that are encoded on demand, and their order."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.prompts.encoding import EncodedGroup
from aftune.training.dataset import EncodedGroups, LongestFirst


def encoded(prompt: int, *responses: int) -> EncodedGroup:
    return EncodedGroup(f"{prompt}", [1] * prompt, [[5] * n for n in responses], [True] * len(responses), [None] * len(responses))


def test_sizes_count_the_prompt_once() -> None:
    groups = EncodedGroups([encoded(3, 4, 5), encoded(2, 1)], lambda group: pytest.fail("these are encoded"), context=8)
    assert groups.num_tokens == [12, 3]
    assert (len(groups), groups[1], list(groups)) == (2, encoded(2, 1), [encoded(3, 4, 5), encoded(2, 1)])
    with pytest.raises(DataError, match="3: prompt and response have 8 tokens, the model's context is 7"):
        EncodedGroups([encoded(3, 4, 5)], lambda group: group, context=7)  # type: ignore[arg-type, return-value]


def test_no_encoded_group_is_held() -> None:
    """Each is asked for once for its size, and again whenever it is used."""
    asked: list[int] = []

    class OnDisk(Sequence[Any]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: Any) -> Any:
            if index >= 3:
                raise IndexError
            asked.append(index)
            return index

    groups = EncodedGroups(OnDisk(), lambda index: encoded(1, int(str(index)) + 1), context=8)
    assert groups.num_tokens == [2, 3, 4]
    assert [groups[2].num_tokens, groups[2].num_tokens] == [4, 4]
    assert asked == [0, 1, 2, 2, 2]


def epochs(sampler: LongestFirst, count: int) -> Iterator[list[int]]:
    for epoch in range(count):
        sampler.set_epoch(epoch)
        yield list(sampler)


def test_every_epoch_is_another_order_that_starts_with_the_largest() -> None:
    num_tokens = [5, 80, 3, 79, 9, 11, 20, 30]
    orders = list(epochs(LongestFirst(num_tokens, seed=3), 5))
    assert [order[0] for order in orders] == [1] * 5
    assert [sorted(order) for order in orders] == [list(range(8))] * 5
    assert len({tuple(order) for order in orders}) == 5
    assert list(epochs(LongestFirst(num_tokens, seed=3), 5)) == orders
    assert list(epochs(LongestFirst(num_tokens, seed=4), 5)) != orders


def test_only_the_largest_changes_places() -> None:
    """Two runs that differ in one size only differ in the places of two groups."""
    same = list(LongestFirst([1] * 50, seed=0))
    other = list(LongestFirst([1] * 20 + [2] + [1] * 29, seed=0))
    assert other[0] == 20
    assert sum(a != b for a, b in zip(same, other, strict=True)) == 2


def test_no_epoch_of_a_seed_is_one_of_another() -> None:
    orders = [tuple(order) for seed in range(6) for order in epochs(LongestFirst([1] * 40, seed), 6)]
    assert len(set(orders)) == 36


def test_no_groups() -> None:
    assert list(LongestFirst([], seed=0)) == []
