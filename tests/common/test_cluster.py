"""Batches of work on a real Ray cluster of two nodes on the loopback, and what is said where it cannot be done."""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from aftune.common.cluster import Places, Workers, _connect
from aftune.common.errors import DataError, StageError

pytest.importorskip("ray", reason="ray is not installed: pip install 'aftune[ray]'")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]


def squaring(offset: int) -> Callable[[list[int]], list[tuple[int, int]]]:
    """Gives each number's square, and the process."""
    return lambda numbers: [(number * number + offset, os.getpid()) for number in numbers]


def test_results_of_single_items_come_in_order_and_are_taken_a_few_ahead(ray_cluster: Any) -> None:
    """Without a number there is a worker for each of four cores; they have at most 2 x 4 + 1 of 40 batches when the first comes."""
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(80):
            taken.append(number)
            yield number

    with Workers(partial(squaring, 1), Places()) as workers:
        assert list(workers.of_each([], 2)) == []
        results = workers.of_each(numbers(), 2)
        first = next(results)
        assert len(taken) <= 18
        found = [first, *results]
    assert [square for square, _ in found] == [number * number + 1 for number in range(80)]
    assert len({process for _, process in found}) == 4
    assert os.getpid() not in {process for _, process in found}


def test_more_workers_than_the_cluster_has_room_for(ray_cluster: Any) -> None:
    message = r"engine ray: \d of 5 workers run after 0.5 s: each takes 1 of 4 CPU, 0 GPU; set engine.workers"
    with pytest.raises(StageError, match=message):
        Workers(partial(squaring, 0), Places(5, patience=0.5))


def without_a_model() -> Callable[[list[int]], list[int]]:
    raise FileNotFoundError("no model here")


def of_bad_data() -> Callable[[list[int]], list[int]]:
    def work(numbers: list[int]) -> list[int]:
        raise DataError("file:3: no number")

    return work


def test_errors_of_a_worker(ray_cluster: Any) -> None:
    """Ours are raised as they are; what keeps a worker from starting is named."""
    with pytest.raises(StageError, match=r"^engine ray: FileNotFoundError: no model here; the cluster is that of RAY_ADDRESS"):
        Workers(without_a_model, Places(1))
    with Workers(of_bad_data, Places(1)) as workers, pytest.raises(DataError, match=r"^file:3: no number$"):
        list(workers.of_each([1], 1))


def test_sigterm_stays_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray takes it for itself when it connects."""
    import ray

    def init(**settings: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, frame: None)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ray, "init", init)
    _connect()
    assert signal.getsignal(signal.SIGTERM) is before
