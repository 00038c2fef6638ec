"""Another engine on all machines of a Ray cluster: batches of requests go to workers that have loaded the model once."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

from aftune.common.cluster import Places, Workers
from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings

_Batch = tuple[int, Sequence[Request], SamplingSettings]  # and the place of its first request
_Completions = list[tuple[int, Completion]]


class RayEngine:
    """make: makes the engine of a worker. batch: requests that a worker gets at once: they are the same for any number of workers,
    and so are the completions."""

    separate = False
    needs_ids = True

    def __init__(self, make: Callable[[], Engine], batch: int, places: Places) -> None:
        self.workers: Workers[_Batch, _Completions] = Workers(partial(_completing, make), places)
        self.batch = batch
        self.batch_size = self.workers.number * batch
        self.origin: dict[str, Any] = {"engine": "ray", "version": version("ray")}

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, a batch at a time, in whatever order workers finish them."""
        starts = range(0, len(requests), self.batch)
        for completions in self.workers.in_any_order((start, requests[start : start + self.batch], settings) for start in starts):
            yield from completions

    def close(self) -> None:
        self.workers.close()


def _completing(make: Callable[[], Engine]) -> Callable[[_Batch], _Completions]:
    """What a worker does with a batch."""
    engine = make()

    def complete(batch: _Batch) -> _Completions:
        start, requests, settings = batch
        return [(start + place, completion) for place, completion in engine.complete(requests, settings)]

    return complete
