"""Processes of their own for tests, forked from one that has imported everything: imports take five seconds."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


def context() -> ForkServerContext:
    """Starts processes by forking one that has imported everything."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["everything_imported"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the server itself is not told sys.path
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return made


def start(function: Callable[..., Any], *args: Any) -> BaseProcess:
    """The function and what it gets must be such that they can be pickled."""
    process = context().Process(target=function, args=args)
    process.start()
    return process


def exit_status(function: Callable[..., Any], *args: Any) -> int | None:
    """0 if it returned, 1 if it raised, minus the number of the signal that killed it; None if it runs for longer than 300 s."""
    process = start(function, *args)
    process.join(300)
    status = process.exitcode
    process.kill()
    return status


def start_command(
    output: Path, words: Sequence[str], number: int = 1, before: Callable[[], None] | None = None
) -> list[BaseProcess]:
    """The command `aftune` in so many processes, as a launcher would start them; what they say is added to a file. before: what
    each does first."""
    return [start(command, output, words, own, before) for own in launched(number)]


def launched(number: int) -> list[dict[str, str]]:
    """The variables that a launcher sets for each of so many processes; none for one alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    counted = {"WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number)}
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]
    return [together | counted | rank if number > 1 else {} for rank in ranks]


def command(output: Path, words: Sequence[str], variables: dict[str, str], before: Callable[[], None] | None) -> None:
    """The command `aftune`, in this process."""
    import torch

    from aftune.cli.main import main

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for place in (1, 2):
        os.dup2(file, place)
    torch.set_num_threads(1)
    os.environ.update(variables, COLUMNS="200")
    if before is not None:
        before()
    sys.argv = ["aftune", *words]
    main()
