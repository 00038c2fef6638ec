"""Starting a command in several processes on this machine."""

import logging
import os
import signal
import sys

import typer

from aftune.common.errors import AftuneError, UsageError


def wanted_processes(text: str | None) -> int:
    """The number behind `--processes`: auto is one for each GPU, else one. Processes that a launcher started start no others."""
    if text is None or "WORLD_SIZE" in os.environ:
        return 1
    if text == "auto":
        import torch

        return max(1, torch.cuda.device_count())
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--processes is {text!r}, expected a number of processes, or auto for one per GPU")
    return int(text)


def launch(number: int) -> None:
    """Runs this command in that many processes, by torch's launcher; raises typer.Exit with the status of the first to fail."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the process that fails says why
    arguments = parse_args(  # type: ignore[no-untyped-call]
        ["--standalone", f"--nproc-per-node={number}", "-m", "aftune", *sys.argv[1:]]
    )
    try:
        run(arguments)  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            ended = f"process {rank + 1} of {number} was ended by {signal.Signals(-failure.exitcode).name}"
            raise AftuneError(f"{ended}; run the same command again, finished work is kept") from error
        raise typer.Exit(failure.exitcode) from error
