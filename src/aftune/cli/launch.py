"""Starting a command in several processes on this machine."""

import logging
import os
import signal
import sys
from collections.abc import Mapping

import typer

from aftune.cli.slurm import join_step
from aftune.common import interrupts
from aftune.common.errors import StageError, UsageError
from aftune.common.progress import console
from aftune.pipeline import processes

# What `accelerate launch` tells its processes, what that is where nothing was asked for, and the key of the recipe that says it.
_SAID_BY_RECIPE = (
    ("ACCELERATE_MIXED_PRECISION", "no", "model.precision"),
    ("ACCELERATE_USE_FSDP", "false", "launch.sharding"),
    ("ACCELERATE_USE_DEEPSPEED", "false", "launch.sharding"),
)

_STOPPED = (-signal.SIGTERM, 128 + signal.SIGTERM)


def join_launcher() -> None:
    """Makes this process one of several, where Slurm or another launcher has started it as such."""
    check_launcher()
    join_step()


def in_processes(wanted: str | int) -> bool:
    """Runs this command in as many processes as `--processes` or `launch.processes` says. False: that is one, or this is one of
    those that a launcher started, and it goes on here; only the first of them says anything."""
    if (number := wanted_processes(wanted)) > 1:
        launch(number)
        return True
    console.quiet = not processes.is_first()
    return False


def check_launcher() -> None:
    """Raises UsageError for settings of `accelerate launch` that are the recipe's to make: they would take its place unseen."""
    for name, nothing, key in _SAID_BY_RECIPE:
        value = os.environ.get(name, nothing)
        if value.lower() != nothing:
            raise UsageError(
                f"accelerate launch has set {name}={value}, which the recipe's {key} decides; start with --mixed_precision no, "
                "and without --use_fsdp and --use_deepspeed"
            )


def wanted_processes(wanted: str | int) -> int:
    """The number behind `--processes` or `launch.processes`: auto is one for each GPU, else one. Processes that a launcher started
    start no others."""
    if "WORLD_SIZE" in os.environ:
        return 1
    if wanted == "auto":
        import torch

        return max(1, torch.cuda.device_count())
    if isinstance(wanted, str) and (not wanted.isdecimal() or int(wanted) < 1):
        raise UsageError(f"--processes is {wanted!r}, expected a number of processes, or auto for one per GPU")
    return int(wanted)


def launch(number: int) -> None:
    """Runs this command in that many processes, by torch's launcher; raises typer.Exit with the status of the first to fail."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # Each has its share of the cores. On one machine they meet on the loopback, whatever the machine's name stands for.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // number)))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", ",".join(number.name for number in interrupts.HEARD))
    os.environ[processes.LAUNCHER] = "aftune"
    for name in ("torch.distributed.elastic", "torch.distributed.elastic.agent.server.api"):  # each has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)  # the process that fails says why
    arguments = parse_args(  # type: ignore[no-untyped-call]
        ["--standalone", f"--nproc-per-node={number}", "-m", "aftune", *sys.argv[1:]]
    )
    try:
        run(arguments)  # type: ignore[no-untyped-call]
    except SignalException as error:
        raise interrupts.Interrupted(error.sigval) from error
    except ChildFailedError as error:
        rank, status = culprit({rank: failure.exitcode for rank, failure in error.failures.items()})
        if status < 0:
            ended = f"process {rank + 1} of {number} was ended by {signal.Signals(-status).name}"
            raise StageError(f"{ended}; run the same command again, finished work is kept") from error
        raise typer.Exit(status) from error


def culprit(statuses: Mapping[int, int]) -> tuple[int, int]:
    """The process that the others ended for, and its exit status, from the statuses of all that failed (rank to status; a negative
    one is a signal). The launcher looks ten times a second, so when one was killed the others may have ended too: those that only
    lost it say so by their status, and those that the launcher stopped have ended by SIGTERM or after it."""

    def guilt(process: tuple[int, int]) -> int:
        status = process[1]
        if status == processes.SAID_NOTHING:
            return 0
        return 1 if status in _STOPPED else 3 if status > 0 else 2  # one that told its error explains the end best

    return max(statuses.items(), key=guilt)
