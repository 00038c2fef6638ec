"""Processes that run in parallel and share the cores."""

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from aftune.common import progress
from aftune.common.process import end_with_parent, keep_freed_memory
from aftune.models.devices import pick_device
from aftune.pipeline import processes
from aftune.pipeline.estimate.weights import num_parameters
from aftune.recipe import Recipe

_SMALL = 20e6  # parameters
_WORTH_A_START = 1000  # problems, over all pieces


@contextmanager
def executor(jobs: int) -> Iterator[Executor]:
    """Processes that share the cores; for one job, this process."""
    if jobs == 1:
        yield _Serial()
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(threads,))
    try:
        yield pool
    except KeyboardInterrupt:  # what the workers are at is resumed
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def jobs_for(recipe: Recipe, num_pieces: int, num_problems: int) -> int:
    """How many processes should share the pieces of work, each of `num_problems` problems.

    On a CPU a small model is bound by the overhead of its operations, which threads do not share: two processes with a thread
    each do nearly twice the work of one with two. Starting them takes seconds, which a few problems do not make up for.
    """
    if pick_device(recipe.model.device) != "cpu" or num_pieces * num_problems < _WORTH_A_START:
        return 1
    parameters = num_parameters(recipe)
    return min(torch.get_num_threads(), num_pieces) if parameters is not None and parameters <= _SMALL else 1


class _Serial(Executor):
    """Runs each job when it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _start_worker(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of the terminal; the first one ends the others
    processes.leave()
    end_with_parent()
    warnings.filterwarnings("ignore", category=FutureWarning)
    keep_freed_memory()
    torch.set_num_threads(threads)
    progress.console.quiet = True
