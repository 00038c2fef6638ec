"""Processes of their own for tests, forked from one that has imported everything: imports take five seconds."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any


def start(function: Callable[..., Any], *args: Any) -> BaseProcess:
    """The function and what it gets must be such that they can be pickled."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["small_comparison"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the server itself is not told sys.path
    try:
        process = context.Process(target=function, args=args)
        process.start()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return process


def exit_status(function: Callable[..., Any], *args: Any) -> int | None:
    """0 if it returned, 1 if it raised, minus the number of the signal that killed it; None if it runs for longer than 300 s."""
    process = start(function, *args)
    process.join(300)
    status = process.exitcode
    process.kill()
    return status
