"""Results in order, whatever the threads do."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.common.in_order import in_order


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 4))
def test_results_come_in_the_order_of_the_items(delays: list[int], num_threads: int) -> None:
    def slow(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 10_000)
        return item[0]

    assert list(in_order(slow, list(enumerate(delays)), num_threads)) == list(range(len(delays)))


def test_threads_work_at_the_same_time() -> None:
    """Each item waits until the other one has begun."""
    both = threading.Barrier(2, timeout=60)
    assert sorted(in_order(lambda item: both.wait() >= 0, [1, 2], 2)) == [True, True]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_first_error_is_raised_and_items_are_not_taken_to_the_end(num_threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_order(lambda item: 1 // (3 - item), items(), num_threads)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(taken) < 50
