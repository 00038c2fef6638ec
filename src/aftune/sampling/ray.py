"""Another engine on all machines of a Ray cluster: batches of requests go to workers that have loaded the model once."""

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings


@dataclass(frozen=True)
class RaySettings:
    """workers: None for one per GPU that `gpus_per_worker` leaves room for, or without GPUs one per core. batch: requests that a
    worker gets at once: they are the same for any number of workers, and so are the completions."""

    batch: int
    workers: int | None = None
    gpus_per_worker: float = 0.0


class RayEngine:
    """make: makes the engine of a worker, where aftune is installed too. A batch whose worker is lost is done again by another.

    Uses the cluster that RAY_ADDRESS names, else starts one on this machine's cores, which `close` ends.
    """

    separate = False
    needs_ids = True

    def __init__(self, make: Callable[[], Engine], settings: RaySettings) -> None:
        import ray

        self.started = not ray.is_initialized()
        if self.started:
            _connect()
        self.make, self.settings = make, settings
        self.workers = settings.workers or _places(ray.cluster_resources(), settings.gpus_per_worker)
        self.batch_size = self.workers * settings.batch
        self.origin: dict[str, Any] = {"engine": "ray", "version": ray.__version__}

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, a batch at a time, in whatever order workers finish them."""
        import ray.data

        starts = range(0, len(requests), self.settings.batch)
        rows = [{"start": start, "batch": _packed(requests[start : start + self.settings.batch])} for start in starts]
        if not rows:
            return
        ray.data.DataContext.get_current().enable_progress_bars = False
        found = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            _Worker,
            fn_constructor_args=(self.make, settings),
            batch_size=1,
            concurrency=min(self.workers, len(rows)),
            num_gpus=self.settings.gpus_per_worker or None,
            num_cpus=None if self.settings.gpus_per_worker else 1,
        )
        for row in found.iter_rows():
            for place, completion in _unpacked(row["completions"]):
                yield row["start"] + place, completion

    def close(self) -> None:
        """Ends the cluster that was started for this engine."""
        import ray

        if self.started:
            ray.shutdown()


class _Worker:
    """Lives in a process of the cluster, with one thread where it computes on a CPU: more would be other rounding."""

    def __init__(self, make: Callable[[], Engine], settings: SamplingSettings) -> None:
        import torch

        torch.set_num_threads(1)
        self.engine, self.settings = make(), settings

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        [batch] = rows["batch"]
        requests = [Request(**values) for values in json.loads(batch)]
        completions = [[place, asdict(completion)] for place, completion in self.engine.complete(requests, self.settings)]
        return {"start": rows["start"], "completions": [json.dumps(completions)]}


def _packed(requests: Sequence[Request]) -> str:
    return json.dumps([{"prompt": request.prompt, "seed": request.seed, "name": request.name} for request in requests])


def _unpacked(text: str) -> Iterator[tuple[int, Completion]]:
    for place, values in json.loads(text):
        yield place, Completion(**values)


def _connect() -> None:
    """To the cluster that RAY_ADDRESS names, else to a new one on this machine."""
    import ray

    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level="warning")
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="warning")


def _places(resources: dict[str, float], gpus_per_worker: float) -> int:
    if gpus_per_worker:
        return max(1, math.floor(resources.get("GPU", 0) / gpus_per_worker))
    return max(1, int(resources.get("CPU", 1)))
