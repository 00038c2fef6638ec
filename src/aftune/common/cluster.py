"""Work over a Ray cluster: workers that load what they need once, and batches of work that any of them may get."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from aftune.common.errors import AftuneError, StageError
from aftune.common.extras import needed

Batch = TypeVar("Batch")
Result = TypeVar("Result")
Item = TypeVar("Item")
Made = TypeVar("Made")

_RETRIES = 3  # of a batch whose worker died: one that kills every worker is an error in the end
_AHEAD = 2  # batches for each worker that are taken before their results are asked for


@dataclass(frozen=True)
class Places:
    """workers: None for one per GPU that `gpus_per_worker` leaves room for, or without GPUs one per core. patience: seconds that
    they may take to start, on machines that a cluster may have to find first."""

    workers: int | None = None
    gpus_per_worker: float = 0.0
    patience: float = 600.0


class Workers(Generic[Batch, Result]):
    """make: makes what a worker does with a batch, in the worker, where aftune is installed too. They stay until `close`; a batch
    whose worker is lost is done again by the one that takes its place.

    Uses the cluster that RAY_ADDRESS names, else one on this machine's cores, which ends with this process. Raises StageError
    where the cluster has no room for that many workers, and for what Ray raises.
    """

    def __init__(self, make: Callable[[], Callable[[Batch], Result]], places: Places) -> None:
        needed("ray", extra="ray", purpose="engine: ray")
        with _its_errors():
            import ray

            if not ray.is_initialized():
                _connect()
            resources = ray.cluster_resources()
            self.number = places.workers or _room(resources, places.gpus_per_worker)
            takes: dict[str, Any] = {"num_gpus": places.gpus_per_worker} if places.gpus_per_worker else {"num_cpus": 1}
            worker = ray.remote(max_restarts=-1, max_task_retries=_RETRIES, **takes)(_Worker)
            self._workers: list[Any] = [worker.remote(make) for _ in range(self.number)]
            try:
                ready, waiting = ray.wait(
                    [one.ready.remote() for one in self._workers], num_returns=self.number, timeout=places.patience
                )
                if waiting:
                    has = ", ".join(f"{resources.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU"))
                    raise StageError(
                        f"engine ray: {len(ready)} of {self.number} workers run after {places.patience:g} s: each takes"
                        f" {next(iter(takes.values())):g} of {has}; set engine.workers or engine.gpus_per_worker to what fits"
                    )
                ray.get(ready)
            except Exception:
                self.close()
                raise

    def in_order(self, batches: Iterable[Batch]) -> Iterator[Result]:
        """The results in the order of the batches, which are taken a few ahead."""
        return self._results(batches, "get_next")

    def of_each(self: "Workers[list[Item], list[Made]]", items: Iterable[Item], batch: int) -> Iterator[Made]:
        """The results of single items, in their order, where a worker takes a list of them and gives one for each."""
        remaining = iter(items)
        for results in self.in_order(iter(lambda: list(islice(remaining, batch)), [])):
            yield from results

    def in_any_order(self, batches: Iterable[Batch]) -> Iterator[Result]:
        """The results as they come."""
        return self._results(batches, "get_next_unordered")

    def _results(self, batches: Iterable[Batch], how: str) -> Iterator[Result]:
        with _its_errors():
            from ray.util import ActorPool

            pool = ActorPool(self._workers)
            under_way = 0
            for batch in batches:
                pool.submit(lambda worker, one: worker.run.remote(one), batch)
                under_way += 1
                if under_way > _AHEAD * self.number:
                    yield getattr(pool, how)()
                    under_way -= 1
            while pool.has_next():
                yield getattr(pool, how)()

    def __enter__(self) -> "Workers[Batch, Result]":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        import ray

        for worker in self._workers:
            ray.kill(worker)


class _Worker:
    """Lives in a process of the cluster, with one thread where it computes on a CPU: more would be other rounding."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        import torch

        torch.set_num_threads(1)
        self.function = make()

    def ready(self) -> None:
        """Answers when all is loaded."""

    def run(self, batch: Any) -> Any:
        return self.function(batch)


@contextmanager
def _its_errors() -> Iterator[None]:
    """Raises an error of ours that a worker raised as itself, and StageError for Ray's."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except (RayError, ConnectionError) as error:
        cause: BaseException = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, AftuneError):
            raise cause from error
        last = str(cause).strip().splitlines()[-1]
        raise StageError(f"engine ray: {last}; the cluster is that of RAY_ADDRESS, or without it this machine") from error


def _connect() -> None:
    """To the cluster that RAY_ADDRESS names, else to a new one on this machine."""
    import ray

    quietly = {"log_to_driver": False, "logging_level": "error"}
    before = signal.getsignal(signal.SIGTERM)  # Ray takes it
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quietly)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address="local", include_dashboard=False, **quietly)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _room(resources: dict[str, float], gpus_per_worker: float) -> int:
    if gpus_per_worker:
        return max(1, math.floor(resources.get("GPU", 0) / gpus_per_worker))
    return max(1, int(resources.get("CPU", 1)))
