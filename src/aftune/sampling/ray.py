"""Another engine on all machines of a Ray cluster: batches of requests go to workers that have loaded the model once."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings

_RETRIES = 3  # of a batch whose worker died: one that kills every worker is an error in the end


@dataclass(frozen=True)
class RaySettings:
    """workers: None for one per GPU that `gpus_per_worker` leaves room for, or without GPUs one per core. batch: requests that a
    worker gets at once: they are the same for any number of workers, and so are the completions."""

    batch: int
    workers: int | None = None
    gpus_per_worker: float = 0.0


class RayEngine:
    """make: makes the engine of a worker, where aftune is installed too. Workers stay until `close`; a batch whose worker is lost
    is done again by the one that takes its place.

    Uses the cluster that RAY_ADDRESS names, else starts one on this machine's cores, which `close` ends.
    """

    separate = False
    needs_ids = True

    def __init__(self, make: Callable[[], Engine], settings: RaySettings) -> None:
        import ray

        self.started = not ray.is_initialized()
        if self.started:
            _connect()
        number = settings.workers or _places(ray.cluster_resources(), settings.gpus_per_worker)
        gpus = settings.gpus_per_worker
        resources: dict[str, Any] = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
        worker = ray.remote(max_restarts=-1, max_task_retries=_RETRIES, **resources)(_Worker)
        self.workers: list[Any] = [worker.remote(make) for _ in range(number)]
        self.batch = settings.batch
        self.batch_size = number * settings.batch
        self.origin: dict[str, Any] = {"engine": "ray", "version": ray.__version__}

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, a batch at a time, in whatever order workers finish them."""
        from ray.util import ActorPool

        def begin(worker: Any, start: int) -> Any:
            return worker.complete.remote(start, _packed(requests[start : start + self.batch]), settings)

        for start, completions in ActorPool(self.workers).map_unordered(begin, range(0, len(requests), self.batch)):
            for place, values in json.loads(completions):
                yield start + place, Completion(**values)

    def close(self) -> None:
        """Ends the workers, and the cluster that was started for this engine."""
        import ray

        for worker in self.workers:
            ray.kill(worker)
        if self.started:
            ray.shutdown()


class _Worker:
    """Lives in a process of the cluster, with one thread where it computes on a CPU: more would be other rounding."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        import torch

        torch.set_num_threads(1)
        self.engine = make()

    def complete(self, start: int, batch: str, settings: SamplingSettings) -> tuple[int, str]:
        requests = [Request(**values) for values in json.loads(batch)]
        return start, json.dumps([[place, asdict(completion)] for place, completion in self.engine.complete(requests, settings)])


def _packed(requests: Sequence[Request]) -> str:
    return json.dumps([{"prompt": request.prompt, "seed": request.seed, "name": request.name} for request in requests])


def _connect() -> None:
    """To the cluster that RAY_ADDRESS names, else to a new one on this machine."""
    import ray

    quietly = {"log_to_driver": False, "logging_level": "error"}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quietly)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, **quietly)


def _places(resources: dict[str, float], gpus_per_worker: float) -> int:
    if gpus_per_worker:
        return max(1, math.floor(resources.get("GPU", 0) / gpus_per_worker))
    return max(1, int(resources.get("CPU", 1)))
