"""Turns whatever went wrong into one line for the user."""

import errno
from concurrent.futures.process import BrokenProcessPool

from aftune.common.errors import AftuneError

_TRACKERS = ("trackio", "wandb", "mlflow")  # refuse without a key or an address


def diagnose(error: Exception) -> AftuneError:
    """Our own errors unchanged; those of the system or a library with their place and the remedy, where known."""
    if isinstance(error, AftuneError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = f"{error.filename}: " if error.filename else ""
        return AftuneError(f"{place}the disk is full; free some space and run the same command again; finished work is kept")
    if isinstance(error, PermissionError):
        return AftuneError(f"{error.filename}: permission denied; change the permissions or choose another place")
    if isinstance(error, OSError) and error.filename:
        return AftuneError(f"{error.filename}: {error.strerror or error}")
    if "out of memory" in str(error).lower():
        return AftuneError("out of memory; lower token_budget (training) or batch_size (sample, evaluate), or use a smaller model")
    if isinstance(error, BrokenProcessPool):
        return AftuneError(
            "a worker process was killed, often for lack of memory; lower compare.jobs or token_budget, or set OMP_NUM_THREADS=1 "
            "(no workers in evaluate), and run the same command again; finished work is kept"
        )
    text = " ".join(str(error).split())[:300]
    source = type(error).__module__.partition(".")[0]
    if source in _TRACKERS:
        return AftuneError(f"{source}: {text} (track.report_to names it: do what it says, or leave it out)")
    return AftuneError(f"{type(error).__name__}: {text}; this looks like a bug in aftune; run again with --debug to see where")
