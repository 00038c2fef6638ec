"""Several processes in one run, started by torch's launcher (`aftune run --processes`, torchrun), by accelerate or by Slurm.

The first process decides and writes. Training, sampling and scoring it calls everywhere: the others do nothing else.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast

from aftune.common.errors import StageError, TrainingError, UsageError
from aftune.common.process import release_memory

Item = TypeVar("Item")

# What the launchers set; a process that starts workers of its own takes it from them.
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LAUNCHER = "AFTUNE_LAUNCHER"  # set where the command's own launcher tells how the processes ended
_LOST = ("Connection closed by peer", "Connection reset by peer", "remote process exited", "Broken pipe")
SAID_NOTHING = 75  # exit status of a process that leaves it to another one to tell the error
MEETING = timedelta(minutes=10)  # for all to have started: a launcher may leave alone those that wait for one that never came
_PATIENCE = timedelta(days=14)  # the others wait while the first one samples


def number() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The place of this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    return rank() == 0


@contextmanager
def led(wanted_device: str) -> Iterator[bool]:
    """A block of work on a device (`model.device` of a recipe) that the processes meet for; each of them must call this first.
    Gives whether this one leads: the others have then done what the leading one called everywhere, until its block had ended
    well."""
    if number() == 1:
        yield True
        return
    from aftune.models.devices import pick_device

    device = pick_device(wanted_device)
    check_gpus(device)
    _meet(cpu=device == "cpu")
    if is_first():
        yield True
        _dismiss()
    else:
        from aftune.common.progress import console  # brings rich, which starting up need not load

        console.quiet = True
        _follow()
        yield False


def _meet(*, cpu: bool) -> None:
    from accelerate import PartialState
    from torch.distributed import DistStoreError
    from torch.distributed.distributed_c10d import _set_pg_timeout

    try:
        PartialState(cpu=cpu, timeout=MEETING)
    except DistStoreError as error:
        waited = f"{MEETING.total_seconds() / 60:g} minutes"
        raise StageError(
            f"processes: not all {number()} of them have met within {waited} at {os.environ.get('MASTER_ADDR')}:"
            f"{os.environ.get('MASTER_PORT')}; look at the output of the others, and start them together"
        ) from error
    _set_pg_timeout(_PATIENCE)


def check_gpus(device: str) -> None:
    """Raises UsageError for more processes on this machine than it has GPUs, where the run computes on them. Slurm may show each of
    its tasks only one of them."""
    import torch

    here = int(os.environ.get("LOCAL_WORLD_SIZE", number()))
    gpus = max(torch.cuda.device_count(), int(os.environ.get("SLURM_GPUS_ON_NODE", "0")))
    if device == "cuda" and here > gpus:
        raise UsageError(f"processes: {here} on a machine with {gpus} GPU{'s'[: gpus != 1]}; start one for each (--processes auto)")


def end(status: int) -> NoReturn:
    """Ends this process at once, with all of its work done: when the interpreter ends, the threads of torch's connection to the
    others abort it now and then, and a run that succeeded would look as if it had failed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def share(value: Any = None) -> Any:
    """The first process's value, in every process; each of them must call this."""
    if number() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    values = [value]
    broadcast_object_list(values)
    return values[0]


def everywhere(function: Callable[..., Any], *args: Any) -> Any:
    """Calls a function of a module in all processes at once, and gives the first one's result when all have returned."""
    if number() == 1:
        return function(*args)
    share((function, args))
    result = function(*args)
    _wait()
    return result


def _follow() -> None:
    """What the processes beside the first do: what it calls everywhere, until it has no more."""
    while (work := share()) is not None:
        function, args = work
        function(*args)
        release_memory()
        _wait()
    _wait()


def _dismiss() -> None:
    """Tells the others that there is no more to do; no process ends while another one still listens to it."""
    share()
    _wait()


def own_part(path: Path) -> Path:
    """The file for this process's part of what belongs into `path`."""
    return _part(path, rank())


@contextmanager
def parts(path: Path) -> Iterator[list[Path]]:
    """The files that the processes wrote their parts into, in their order, for a block that joins them; one that had nothing to do
    has none. They are removed when the block has ended well."""
    found = [_part(path, process) for process in range(number())]
    yield found
    for one in found:
        one.unlink(missing_ok=True)


def _part(path: Path, process: int) -> Path:
    return path.with_name(f"{path.stem}.part-{process + 1}-of-{number()}{path.suffix}")


def own(items: Sequence[Item]) -> Sequence[Item]:
    """This process's share of some work: every n-th item, read when it is needed."""
    if number() == 1:
        return items
    from torch.utils.data import Subset

    return cast(Sequence[Item], Subset(cast(Any, items), range(rank(), len(items), number())))


def gather(results: Iterable[Item]) -> list[Item]:
    """One result for each item, in the order of the items and in every process, from what each made of its `own` ones. Each of them
    must call this."""
    if number() == 1:
        return list(results)
    from accelerate.utils import gather_object

    return list(_joined(gather_object([list(results)])))


def _joined(shares: Sequence[Sequence[Item]]) -> Iterator[Item]:
    missing = object()
    return (item for row in zip_longest(*shares, fillvalue=missing) for item in row if item is not missing)  # type: ignore[misc]


def _wait() -> None:
    from accelerate import PartialState

    PartialState().wait_for_everyone()


def says_nothing(error: Exception) -> bool:
    """Whether another process tells the user of this error: it ended, and this one lost it, or all end for the same reason."""
    lost = any(words in str(error) for words in _LOST)
    return number() > 1 and (lost or (isinstance(error, TrainingError | UsageError) and not is_first()))


def leave() -> None:
    """Makes this process one of its own, for a worker of one of several processes."""
    for name in _VARIABLES:
        os.environ.pop(name, None)
